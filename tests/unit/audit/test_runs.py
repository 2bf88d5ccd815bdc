"""Folders of runs: which have to go, oldest first."""

import os
from pathlib import Path

from streamline.audit.runs import RunFolder, removable, runs_in
from streamline.clock import wall_ns

DAY_NS = 86_400 * 10**9


def made(above: Path, days_ago: list[float], size: int = 1000) -> list[Path]:
    """Make runs, one for each age, oldest first."""
    for number, days in enumerate(days_ago):
        path = above / f"run-{number}" / "line.jsonl"
        path.parent.mkdir()
        path.write_bytes(b"x" * size)
        then_ns = wall_ns() - round(days * DAY_NS)
        os.utime(path, ns=(then_ns, then_ns))
    return runs_in(above)


def names(pairs: list[tuple[Path, str]]) -> list[tuple[str, str]]:
    return [(path.name, why) for path, why in pairs]


def test_runs_that_ended_too_long_ago_go_and_no_others(tmp_path: Path) -> None:
    runs = made(tmp_path, [9, 8, 2, 0])
    found = list(removable(runs, max_days=7, max_bytes=1e9))
    assert names(found) == [("run-0", "age"), ("run-1", "age")]


def test_the_oldest_runs_go_until_the_others_have_room(tmp_path: Path) -> None:
    runs = made(tmp_path, [9, 8, 2, 0])
    found = list(removable(runs, max_days=None, max_bytes=2000))
    assert names(found) == [("run-0", "size"), ("run-1", "size")]
    assert list(removable(runs, max_days=None, max_bytes=4000)) == []


def test_a_new_run_comes_after_all_before_it_and_is_told_whole(tmp_path: Path) -> None:
    key = tmp_path / "key"
    runs = [RunFolder.new(tmp_path / "runs", config="c", key_file=key) for _ in range(3)]
    assert sorted(run.folder for run in runs) == [run.folder for run in runs]
    runs[0].leave_in(tmp_path / "told")
    assert RunFolder.told_in(tmp_path / "told") == runs[0]
    assert RunFolder.told_in(tmp_path / "nothing") is None


def test_a_new_run_comes_last_also_when_the_clock_was_set_back(tmp_path: Path) -> None:
    later = tmp_path / "29991231T235959.999999Z-abcdef"
    later.mkdir()
    (later / "line.jsonl").touch()
    new = RunFolder.new(tmp_path, config="c", key_file=None)
    assert new.folder.name.startswith("30000101T000000.000000Z-")
    (new.folder / "line.jsonl").touch()
    assert runs_in(tmp_path) == [later, new.folder]
