"""The user's cache: where it is, and what goes when it grows too large."""

import os
from pathlib import Path

import pytest

from streamline.caches import cache_folder, drop_oldest


@pytest.mark.parametrize("given", ["", "not/absolute"])
def test_the_home_has_it_where_the_variable_says_nothing(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    assert cache_folder("demo") == tmp_path / ".cache" / "streamline" / "demo"


def test_the_variable_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("openvino") == tmp_path / "streamline" / "openvino"


def kept(place: Path, name: str, size: int, *, used_s: float) -> Path:
    folder = place / name / "inner"
    folder.mkdir(parents=True)
    (folder / "content").write_bytes(b"\0" * size)
    os.utime(place / name, (used_s, used_s))
    return place / name


def test_folders_used_longest_ago_go_until_the_rest_fits(tmp_path: Path) -> None:
    stray = tmp_path / "stray"
    stray.write_text("a file that is nobody's")
    # Neither the order of names nor that of making is that of use.
    old = kept(tmp_path, "b", 1000, used_s=1)
    middle = kept(tmp_path, "c", 1000, used_s=2)
    new = kept(tmp_path, "a", 1000, used_s=3)
    drop_oldest(new, 2000)
    assert [one.exists() for one in (old, middle, new, stray)] == [False, True, True, True]


def test_what_is_used_now_stays_whatever_its_size(tmp_path: Path) -> None:
    mine = kept(tmp_path, "mine", 3000, used_s=1)
    other = kept(tmp_path, "other", 10, used_s=2)
    drop_oldest(mine, 2000)
    assert mine.exists()
    assert other.exists()
