"""Rendered clips as files: whole, good enough, and rendered once."""

import shutil
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import streamline.source.synthetic.clip as clip_module
from streamline.source.synthetic import (
    FPS,
    PICTURE,
    Clip,
    render,
    rendered_clip,
    rendered_truth,
)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return render("inspect", 3)


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The inspected clip in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return rendered_clip("inspect", 3)


@pytest.fixture
def cache(cached: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same cache, in force."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cached.parents[2]))
    return cached


def test_the_file_is_an_ordinary_video_with_every_frame(cache: Path, clip: Clip) -> None:
    with av.open(str(cache)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert (stream.height, stream.width) == PICTURE
        assert stream.average_rate == Fraction(FPS)
        times = [frame.time for frame in container.decode(stream)]
    assert times == pytest.approx(np.arange(len(clip)) / FPS)


def test_coding_leaves_the_picture_as_it_was(cache: Path, clip: Clip) -> None:
    with av.open(str(cache)) as container:
        decoded = next(container.decode(video=0)).to_ndarray(format="bgr24")
    assert cv2.PSNR(decoded, next(iter(clip))) > 32


def test_what_other_code_rendered_is_not_taken(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An upgrade of the package finds the files of the one before in the cache.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    package = Path(clip_module.__file__)
    shutil.copytree(package.parent, tmp_path / "package")
    (tmp_path / "package" / "defects.py").write_text("changed")
    monkeypatch.setattr(clip_module, "__file__", str(tmp_path / "package" / package.name))
    clip_module._edition.cache_clear()
    try:
        assert rendered_clip("inspect", 3).name != cache.name
    finally:
        clip_module._edition.cache_clear()


def test_a_clip_is_rendered_once(cache: Path) -> None:
    before = cache.stat().st_mtime_ns
    assert rendered_clip("inspect", 3) == cache
    assert cache.stat().st_mtime_ns == before


def test_the_truth_beside_the_file_is_that_of_the_clip(cache: Path, clip: Clip) -> None:
    assert rendered_truth("inspect", 3) == clip.truth
    assert cache.exists()


def test_nothing_half_made_is_left_in_the_cache(cache: Path) -> None:
    assert sorted(path.suffix for path in cache.parent.iterdir()) == [".json", ".mp4"]


def test_what_is_missing_is_rendered_again(cache: Path) -> None:
    truth = cache.with_suffix(".json")
    content = truth.read_bytes()
    truth.unlink()
    assert rendered_clip("inspect", 3) == cache
    assert truth.read_bytes() == content


def test_pictures_are_not_clipped_to_black_or_white(clip: Clip) -> None:
    picture = next(iter(clip))
    assert np.mean((picture == 0) | (picture == 255)) < 0.01
