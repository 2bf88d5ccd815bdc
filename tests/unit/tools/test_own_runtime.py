"""A tool's lines have a folder of their own, and whoever ran the tool has his again afterwards."""

from pathlib import Path

import pytest

from streamline.run.places import private_base
from tools.judge.line import own_runtime


@pytest.mark.parametrize("set_before", [True, False])
def test_the_folder_is_another_for_as_long_as_the_tool_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, set_before: bool
) -> None:
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    if set_before:
        monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "service"))
    before = private_base()
    with own_runtime(tmp_path):
        assert private_base() == tmp_path
    assert private_base() == before
