"""Starting, watching and restarting workers: small real processes in their place."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep
from typing import Final

import pytest

from streamline.config import Pipeline
from streamline.errors import InputError, LineError
from streamline.ledger import Cell, Ledger, LedgerView
from streamline.metrics.catalogue import CAMERA_STATES
from streamline.run.accounting.fences import SUPERVISOR
from streamline.run.accounting.held import HeldFrames
from streamline.run.accounting.journal import Journal
from streamline.run.control import Control, Phase
from streamline.run.failures import leave_failure
from streamline.run.placement import WorkerPlan
from streamline.run.runtime import Runtime
from streamline.run.supervision import keeper as module
from streamline.run.supervision.keeper import Keeper
from streamline.run.views import Views
from tests.support.until import until

SLEEP: Final = ["sleep", "60"]
SPIN: Final = [sys.executable, "-c", "while True: pass"]
STOP: Final = ["sh", "-c", "kill -STOP $$"]
FAIL: Final = ["false"]

WAIT_FOR_ANOTHER_THREAD: Final = """
import os, sys, threading
os.sched_setaffinity(0, {int(sys.argv[1])})
os.nice(19)
def work():
    while True:
        pass
threading.Thread(target=work, daemon=True).start()
threading.Event().wait()
"""

GREEDY: Final = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
print(flush=True)
while True:
    pass
"""

WAIT_FOR_A_THREAD_THAT_WAITS_AS_FOR_A_DISK: Final = """
import ctypes, signal, threading
libc = ctypes.CDLL(None)
def wait():
    # The kernel lets it wait, uninterruptibly, until its child lets go of its memory.
    if libc.vfork() == 0:
        libc.prctl(1, signal.SIGKILL)
        libc.sleep(600)
threading.Thread(target=wait, daemon=True).start()
threading.Event().wait()
"""

PLAN: Final = WorkerPlan(name="infer", stages=("infer",), cameras=("left",))


class Tiny:
    """A worker that is any program."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command)

    @property
    def pid(self) -> int | None:
        return self.process.pid

    def exit_status(self) -> int | None:
        return self.process.poll()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Clock:
    """Goes on only when told."""

    now_ns: int = 1_000_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def pass_s(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


@dataclass
class Line:
    """A keeper of one worker."""

    pipeline: Pipeline
    runtime: Runtime
    clock: Clock
    command: list[str] = field(default_factory=lambda: SLEEP)
    plan: WorkerPlan = PLAN
    started: list[Tiny] = field(default_factory=list)
    on_start: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        Control.create(self.runtime.control)
        self.control = Control(self.runtime.control)
        self.views = Views(self.runtime, heir=True)
        self.ledger = Ledger()
        labels = {"stage": "infer"}
        self.pulse: Cell = self.ledger.gauge("stage_pulse_seconds", **labels)
        self.thread: Cell = self.ledger.gauge("stage_thread", **labels)
        self.finished: Cell = self.ledger.gauge("streamline_worker_finished", worker="infer")
        self._declare_camera()
        self.ledger.open(self.runtime.ledger("infer"))
        self.keeper = Keeper(
            self.pipeline,
            [self.plan],
            self.runtime,
            self.control,
            self.views,
            starter=self.start,
        )

    def _declare_camera(self) -> None:
        """What is read of a source that has died, and of the stage that judges."""
        ledger, labels = self.ledger, {"camera": "left"}
        self.captured: Cell = ledger.counter("streamline_frames_captured_total", **labels)
        self.incarnation: Cell = ledger.gauge("source_incarnation", **labels)
        ledger.gauge("streamline_frames_in_flight", **labels)
        ledger.table("source_base", 1, **labels)
        HeldFrames(ledger, "left")
        Journal(ledger, "left")
        for state in CAMERA_STATES:
            ledger.gauge("streamline_camera_state", **labels, state=state)
        ledger.gauge("streamline_camera_down_reason", **labels, reason="error")
        ledger.gauge("streamline_camera_state_since_timestamp_seconds", **labels)

    def start(self, _plan: WorkerPlan, _pipeline: Pipeline, _runtime: Runtime) -> Tiny:
        self.started.append(Tiny(self.command))
        self.on_start()
        return self.started[-1]

    def beat(self) -> None:
        """The worker's only stage shows that it goes round."""
        self.thread.set(float(self.started[-1].process.pid))
        self.pulse.set(self.clock() / 1e9)

    def look(self, *, after_s: float = 0.05) -> None:
        self.clock.pass_s(after_s)
        self.keeper.look_after()

    def look_for_s(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self.look()

    def restarts(self) -> float:
        return self._told("streamline_worker_restarts_total")

    def given_up(self) -> float:
        return self._told("streamline_worker_given_up")

    def _told(self, series: str) -> float:
        view = LedgerView(self.runtime.ledger(SUPERVISOR))
        value = view.value(series, worker="infer")
        view.close()
        return value

    def end(self) -> None:
        for one in self.started:
            one.kill()
        self.keeper.end_all()
        self.ledger.close()
        self.views.close()


@contextmanager
def a_line(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: WorkerPlan = PLAN
) -> Iterator[Line]:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic_ns", clock)
    runtime = Runtime(tmp_path / "line")
    runtime.folder.mkdir()
    line = Line(pipeline, runtime, clock, plan=plan)
    try:
        yield line
    finally:
        line.end()


@pytest.fixture
def line(pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    with a_line(pipeline, tmp_path, monkeypatch) as line:
        yield line


def die(line: Line) -> None:
    line.started[-1].process.send_signal(signal.SIGKILL)
    line.started[-1].process.wait()


def test_a_worker_that_lives_is_left_alone(line: Line) -> None:
    line.keeper.start_all()
    for _ in range(200):
        line.beat()
        line.look()
    assert len(line.started) == 1
    assert line.keeper.alive() == {"infer": True}
    assert line.restarts() == 0


def test_a_dead_worker_is_started_again_after_a_short_delay(line: Line) -> None:
    line.keeper.start_all()
    die(line)
    line.look()
    assert line.keeper.alive() == {"infer": False}
    assert (len(line.started), line.restarts()) == (1, 1)
    line.look_for_s(0.2)
    assert line.keeper.alive() == {"infer": True}
    assert len(line.started) == 2
    assert line.started[-1].exit_status() is None


def test_delays_double_up_to_the_limit_where_the_worker_is_given_up(line: Line) -> None:
    line.keeper.start_all()
    delays = []
    for _ in range(10):
        die(line)
        line.look()
        died_ns, lives = line.clock(), len(line.started)
        while len(line.started) == lives:
            line.look()
        delays.append((line.clock() - died_ns) / 1e9)
    assert line.given_up() == 0
    die(line)
    line.look()
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10], abs=0.06)
    (fault,) = line.keeper.faults
    assert isinstance(fault, LineError)
    assert re.search(r"signal 9.*that was the 11th time within 10 minutes", str(fault))
    assert line.given_up() == 1
    assert not line.keeper.can_go_on
    line.look_for_s(20)
    assert (len(line.started), line.restarts()) == (11, 10)


def test_a_camera_that_is_given_up_leaves_the_line_to_the_others(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = WorkerPlan(name="infer", stages=("source", "preprocess"), cameras=())
    with a_line(pipeline, tmp_path, monkeypatch, plan) as line:
        line.keeper.start_all()
        for _ in range(11):
            die(line)
            line.look()
            line.look(after_s=11)
        assert line.given_up() == 1
        assert line.keeper.can_go_on
        assert line.keeper.sources_have_ended()


def test_a_worker_of_a_killed_line_goes_on_with_its_counts_and_no_gauge(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_line(pipeline, tmp_path, monkeypatch) as line:
        line.keeper.start_all()
        die(line)
        line.look()
        line.pulse.set(7.0)
        line.finished.set(1.0)
        line.end()
        line.runtime.goes_on = True
        line.views = Views(line.runtime, heir=True)
        again = Keeper(
            line.pipeline, [PLAN], line.runtime, line.control, line.views, starter=line.start
        )
        again.start_all()
        view = line.views.by_worker()["infer"]
        assert view.value("stage_pulse_seconds", stage="infer") == 0
        assert view.value("streamline_worker_finished", worker="infer") == 0
        assert line.restarts() == 1
        assert again.alive() == {"infer": True}
        assert line.views.by_worker()[SUPERVISOR].value("streamline_line_takeovers_total") == 1
        line.started[-1].kill()
        again.end_all()


def test_one_that_ends_badly_when_all_is_done_is_a_fault_and_no_more(line: Line) -> None:
    line.command = FAIL
    line.keeper.start_all()
    line.started[0].process.wait()
    line.keeper.await_exit()
    assert [str(fault) for fault in line.keeper.faults] == [
        "worker infer ended with exit status 1; its log says why"
    ]


def test_one_that_hangs_when_all_is_done_is_killed_and_a_fault(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.keeper.start_all()

    def passes() -> int:
        line.clock.pass_s(0.5)
        return line.clock()

    monkeypatch.setattr(module, "monotonic_ns", passes)
    line.keeper.await_exit()
    assert line.started[0].exit_status() == -signal.SIGKILL
    (fault,) = line.keeper.faults
    assert str(fault).startswith("worker infer did not end within 15 s and was killed")


def test_what_a_worker_held_that_died_when_all_was_done_is_counted(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = ("source", "preprocess", "infer", "alert")
    plan = WorkerPlan(name="infer", stages=stages, cameras=("left",))
    with a_line(pipeline, tmp_path, monkeypatch, plan) as line:
        line.captured.add(3)
        line.incarnation.set(1.7e12)
        line.keeper.start_all()
        die(line)
        line.keeper.await_exit()
        labels = {"camera": "left", "stage": "source", "reason": "crashed"}
        supervisor = line.views.by_worker()[SUPERVISOR]
        assert supervisor.value("streamline_frames_dropped_total", **labels) == 3


def test_deaths_that_lie_far_apart_never_end_the_line(line: Line) -> None:
    line.keeper.start_all()
    for _ in range(25):
        die(line)
        line.look()
        line.look_for_s(0.2)  # It ran well before, so the delay is the shortest one.
        line.look(after_s=70)
    assert line.restarts() == 25
    assert line.keeper.alive() == {"infer": True}


@pytest.mark.parametrize(
    ("command", "begun", "limit_s"),
    [
        pytest.param(SLEEP, True, 1.5, id="asleep"),
        pytest.param(STOP, True, 0.3, id="stopped"),
        pytest.param(STOP, False, 0.3, id="stopped-before-it-went-round"),
        pytest.param(SLEEP, False, 30, id="asleep-before-it-went-round"),
    ],
)
def test_a_worker_that_no_longer_goes_round_is_killed_and_started_again(
    line: Line, command: list[str], limit_s: float, *, begun: bool
) -> None:
    line.command = command
    line.keeper.start_all()
    until(lambda: state(line) == ("T" if command is STOP else "S"))
    line.look()
    if begun:
        line.beat()
    line.look_for_s(limit_s - 0.1)
    assert line.started[0].exit_status() is None
    line.look_for_s(0.2)
    assert line.started[0].exit_status() == -signal.SIGKILL
    line.look_for_s(0.2)
    assert len(line.started) == 2


def test_one_that_works_may_take_its_time_to_begin(line: Line) -> None:
    line.command = SPIN
    line.keeper.start_all()
    for _ in range(10):
        before = ticks(line)
        until(lambda: ticks(line) > before)  # noqa: B023
        for _ in range(10):
            line.look(after_s=0.4)
    assert line.started[0].exit_status() is None


def test_a_worker_that_was_stopped_together_with_the_supervisor_goes_on_with_it(
    line: Line,
) -> None:
    line.command = STOP
    line.keeper.start_all()
    until(lambda: state(line) == "T")
    line.look()
    line.look(after_s=60)
    line.look(after_s=0.2)
    os.kill(line.started[0].process.pid, signal.SIGCONT)
    until(lambda: line.started[0].exit_status() == 0)


def ticks(line: Line) -> int:
    pid = line.started[-1].process.pid
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def threads(line: Line) -> int:
    return sum(1 for _ in Path(f"/proc/{line.started[-1].process.pid}/task").iterdir())


def state(line: Line) -> str:
    pid = line.started[-1].process.pid
    return state_of(Path(f"/proc/{pid}"))


def state_of(task: Path) -> str:
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


def test_a_stage_that_is_only_short_of_processor_time_gets_more_of_it(line: Line) -> None:
    line.command = SPIN
    line.keeper.start_all()
    until(lambda: state(line) == "R")
    line.look()
    line.beat()
    line.look_for_s(9.5)
    assert line.started[0].exit_status() is None
    line.look_for_s(60)  # This machine may be short of it in earnest.
    assert line.started[0].exit_status() == -signal.SIGKILL


def test_a_stage_whose_helping_thread_waits_for_a_processor_is_not_stuck(line: Line) -> None:
    processor = min(os.sched_getaffinity(0))
    line.command = [sys.executable, "-c", WAIT_FOR_ANOTHER_THREAD, str(processor)]
    line.keeper.start_all()
    until(lambda: threads(line) == 2 and state(line) == "S")
    greedy_too = [sys.executable, "-c", GREEDY, str(processor)]
    with subprocess.Popen(greedy_too, stdout=subprocess.PIPE) as greedy:
        assert greedy.stdout is not None
        greedy.stdout.readline()
        line.look()
        line.beat()
        for _ in range(40):
            sleep(0.1)
            line.look(after_s=0.1)
        assert line.started[0].exit_status() is None
        greedy.kill()
    line.look_for_s(60)  # It has a processor now, and comes to no end.
    assert line.started[0].exit_status() == -signal.SIGKILL


def wait_as_for_a_disk(line: Line) -> None:
    line.command = [sys.executable, "-c", WAIT_FOR_A_THREAD_THAT_WAITS_AS_FOR_A_DISK]
    line.keeper.start_all()
    tasks = Path(f"/proc/{line.started[0].process.pid}/task")
    until(lambda: sorted(map(state_of, tasks.iterdir())) == ["D", "S"])
    line.look()


def test_a_worker_that_waits_for_a_disk_to_begin_on_is_given_time(line: Line) -> None:
    wait_as_for_a_disk(line)
    line.look_for_s(85)
    assert line.started[0].exit_status() is None
    line.look_for_s(10)
    assert line.started[0].exit_status() == -signal.SIGKILL


def test_a_stage_that_waits_for_a_thread_that_waits_for_a_disk_is_given_time(line: Line) -> None:
    wait_as_for_a_disk(line)
    line.beat()
    line.look_for_s(29)
    assert line.started[0].exit_status() is None
    line.look_for_s(10)
    assert line.started[0].exit_status() == -signal.SIGKILL


def test_a_stage_that_has_not_begun_or_has_ended_is_not_stuck(line: Line) -> None:
    line.pulse.set(line.clock() / 1e9 - 100)  # A predecessor's.
    line.keeper.start_all()
    line.look_for_s(5)
    line.beat()
    line.pulse.set(0.0)
    line.look_for_s(5)
    assert line.restarts() == 0


def test_a_supervisor_that_was_held_up_itself_kills_nobody(line: Line) -> None:
    line.keeper.start_all()
    line.look()
    line.beat()
    line.look(after_s=60)
    assert line.started[0].exit_status() is None
    line.beat()
    line.look()
    assert line.restarts() == 0


def test_bad_input_ends_the_line_with_its_sentence(line: Line) -> None:
    line.command = FAIL
    error = InputError("clip.mp4: not found; give another path")

    def refuse() -> None:
        leave_failure(error, line.runtime.failure("infer"))

    line.on_start = refuse
    line.keeper.start_all()
    line.started[0].process.wait()
    with pytest.raises(InputError, match=r"^clip\.mp4: not found; give another path$"):
        line.look()
    assert line.control.phase is Phase.ABORT


def test_what_may_pass_is_tried_again(line: Line) -> None:
    line.command = FAIL
    line.keeper.start_all()
    line.started[0].process.wait()
    line.look()
    line.command = SLEEP
    line.look_for_s(0.2)
    assert line.keeper.alive() == {"infer": True}


def test_a_worker_whose_cameras_had_ended_does_not_play_them_again(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = WorkerPlan(name="infer", stages=("source", "preprocess"), cameras=("left",))
    with a_line(pipeline, tmp_path, monkeypatch, plan) as line:
        line.keeper.start_all()
        line.finished.set(1.0)
        assert line.keeper.sources_have_ended()
        die(line)
        line.look_for_s(1)
        assert len(line.started) == 1
        assert line.keeper.sources_have_ended()


def test_nobody_is_left_behind(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.keeper.start_all()
    os.kill(line.started[0].process.pid, signal.SIGSTOP)
    line.clock.pass_s(1)

    def passes() -> int:
        line.clock.pass_s(0.5)
        return line.clock()

    monkeypatch.setattr(module, "monotonic_ns", passes)
    line.keeper.end_all()
    assert line.started[0].exit_status() == -signal.SIGKILL
