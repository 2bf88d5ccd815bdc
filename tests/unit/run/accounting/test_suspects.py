"""Which frame kills the stage: found by running those that were at work one at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamline.clock import monotonic_ns
from streamline.ledger import Ledger
from streamline.messages import FrameId
from streamline.run.accounting import suspects as module
from streamline.run.accounting.suspects import Suspects

CAMERAS = ["left", "right"]


def frame(seq: int, camera: str = "left") -> FrameId:
    return FrameId(camera, 1_700_000_000_000, seq)


_alive: dict[Path, Ledger] = {}


def born(path: Path) -> tuple[Ledger, Suspects]:
    """A process's own view of the table; the one before dies, and its lock with it."""
    if path in _alive:
        _alive.pop(path).close()
    ledger = _alive[path] = Ledger()
    suspects = Suspects(ledger, "infer", CAMERAS)
    ledger.open(path)
    suspects.recover()
    return ledger, suspects


def test_nobody_is_suspected_at_first(tmp_path: Path) -> None:
    _, suspects = born(tmp_path / "l")
    suspects.start([frame(1), frame(2)])
    assert not suspects.careful
    suspects.finish([frame(1), frame(2)])
    assert not born(tmp_path / "l")[1].careful


def test_what_ran_at_a_death_is_run_carefully_until_it_has_come_through(tmp_path: Path) -> None:
    _, first = born(tmp_path / "l")
    first.start([frame(1), frame(2, "right"), frame(3)])
    first.finish([frame(1)])
    _, second = born(tmp_path / "l")
    assert second.careful
    assert not second.is_poison(frame(3))
    for one in (frame(2, "right"), frame(3)):
        second.start([one])
        assert second.careful
        second.finish([one])
    assert not second.careful


def test_a_frame_at_work_at_two_deaths_is_poison_and_its_neighbours_are_not(
    tmp_path: Path,
) -> None:
    _, first = born(tmp_path / "l")
    first.start([frame(1), frame(2), frame(3)])
    _, second = born(tmp_path / "l")
    second.start([frame(1)])
    second.finish([frame(1)])
    second.start([frame(2)])
    _, third = born(tmp_path / "l")
    assert [third.is_poison(frame(n)) for n in (1, 2, 3)] == [False, True, False]
    # Still known should this one die before it meets the frame.
    _, fourth = born(tmp_path / "l")
    assert fourth.is_poison(frame(2))
    fourth.start([frame(2)])
    fourth.finish([frame(2)])
    assert not fourth.is_poison(frame(2))
    fourth.start([frame(3)])
    fourth.finish([frame(3)])
    assert not fourth.careful


def test_frames_that_never_come_again_are_forgotten_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first = born(tmp_path / "l")
    first.start([frame(1)])
    now_ns = monotonic_ns()
    monkeypatch.setattr(module, "monotonic_ns", lambda: now_ns)
    _, second = born(tmp_path / "l")
    careful = []
    for after_s in (5, 9, 11):
        later_ns = now_ns + after_s * 1_000_000_000
        monkeypatch.setattr(module, "monotonic_ns", lambda later_ns=later_ns: later_ns)
        careful.append(second.careful)
        # Others come all the time.
        second.start([frame(100 + after_s)])
        second.finish([frame(100 + after_s)])
    assert careful == [True, True, False]
    assert not born(tmp_path / "l")[1].careful


def test_more_frames_than_there_is_room_for_do_no_harm(tmp_path: Path) -> None:
    _, suspects = born(tmp_path / "l")
    many = [frame(n) for n in range(1100)]
    suspects.start(many)
    suspects.finish(many)
    assert not born(tmp_path / "l")[1].careful


STAGE = """
import os, signal, sys
from pathlib import Path
from streamline.ledger import Ledger
from streamline.messages import FrameId
from streamline.run.accounting.suspects import Suspects
path, done, deadly = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
ledger = Ledger()
suspects = Suspects(ledger, "infer", ["left", "right"])
ledger.open(path)
suspects.recover()
fate = dict(line.split() for line in done.read_text().splitlines()) if done.exists() else {}
left = [n for n in range(24) if str(n) not in fate]
with done.open("a") as log:
    while left:
        batch = left[: 1 if suspects.careful else 8]
        frames = [FrameId("left", 5, n) for n in batch]
        poison = [n for n, f in zip(batch, frames) if suspects.is_poison(f)]
        suspects.start(frames)
        if deadly in batch and deadly not in poison:
            os.kill(os.getpid(), signal.SIGKILL)
        suspects.finish(frames)
        for n in batch:
            log.write(f"{n} {'poison' if n in poison else 'judged'}\\n")
        log.flush()
        left = left[len(batch):]
"""


@pytest.mark.parametrize("deadly", [0, 3, 15, 23])
def test_a_deadly_frame_is_set_aside_after_two_deaths_and_all_others_come_through(
    deadly: int, tmp_path: Path
) -> None:
    ends: list[int] = []
    while not ends or ends[-1] != 0:
        assert len(ends) < 5
        arguments = [str(tmp_path / "l"), str(tmp_path / "done"), str(deadly)]
        done = subprocess.run(
            [sys.executable, "-c", STAGE, *arguments], check=False, env=dict(os.environ)
        )
        ends.append(done.returncode)
    assert ends == [-9, -9, 0]
    fates = dict(line.split() for line in (tmp_path / "done").read_text().splitlines())
    assert fates == {str(n): "poison" if n == deadly else "judged" for n in range(24)}
