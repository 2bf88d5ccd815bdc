"""A pipeline file, and a runtime folder of the test's own."""

from pathlib import Path

import pytest

from streamline.config import Pipeline, load


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which lines make theirs."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    """A line of one camera."""
    (tmp_path / "line1.yaml").write_text("version: 1\nmodel: m\ncameras: {left: demo://inspect}\n")
    return load(tmp_path / "line1.yaml")
