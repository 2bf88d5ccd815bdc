"""Compiled graphs that are kept between runs."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamline.infer import Compute, score_frames
from streamline.infer.openvino_backend.cache import kept_graphs, trusted_folder
from streamline.model import Model, save_model

Bytes = npt.NDArray[np.uint8]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def saved(model: Model, home: Path) -> Model:
    return save_model(model, home / "model")


def score_of(model: Model, frames: Bytes) -> npt.NDArray[np.float32]:
    return np.concatenate(list(score_frames(model, frames[:2], compute=Compute())))


def blobs() -> list[Path]:
    return sorted(kept_graphs().glob("*/*.blob"))


def test_a_saved_model_is_compiled_once(saved: Model, frames: Bytes) -> None:
    first = score_of(saved, frames)
    (blob,) = blobs()
    made = blob.stat().st_mtime_ns
    np.testing.assert_array_equal(score_of(saved, frames), first)
    assert [path.stat().st_mtime_ns for path in blobs()] == [made]


def test_a_damaged_graph_is_compiled_anew_and_never_believed(saved: Model, frames: Bytes) -> None:
    first = score_of(saved, frames)
    (blob,) = blobs()
    data = bytearray(blob.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 100_000] = bytes(byte ^ 0x41 for byte in data[middle : middle + 100_000])
    blob.chmod(0o600)
    blob.write_bytes(bytes(data))
    np.testing.assert_array_equal(score_of(saved, frames), first)
    assert blobs()[0].read_bytes() != bytes(data)


@pytest.mark.usefixtures("home")
def test_a_model_that_was_not_saved_is_not_kept(model: Model, frames: Bytes) -> None:
    score_of(model, frames)
    assert blobs() == []


def test_a_home_that_can_not_be_written_stops_nothing(
    saved: Model, frames: Bytes, home: Path
) -> None:
    (home / "cache").write_text("a file where the folder should be")
    assert score_of(saved, frames).shape == (2,)


@pytest.mark.usefixtures("home")
def test_the_least_recently_used_go_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streamline.infer.openvino_backend.cache._MOST_BYTES", 2500)
    folders = []
    for name in ("first", "second", "third"):
        with trusted_folder(name) as folder:
            assert folder is not None
            (folder / "graph.blob").write_bytes(b"\0" * 1000)
            folders.append(folder)
    assert [folder.exists() for folder in folders] == [False, True, True]


@pytest.mark.usefixtures("home")
def test_what_another_process_is_still_writing_is_not_read() -> None:
    with trusted_folder("graph") as folder:
        assert folder is not None
    (folder / "half.blob").write_bytes(b"half")
    with trusted_folder("graph") as again:
        assert again == folder
        assert list(folder.glob("*.blob")) == []
