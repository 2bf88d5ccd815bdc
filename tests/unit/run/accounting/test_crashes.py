"""What died with a source: counted and named from the ledgers that are left."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, current_thread

import pytest

from streamline.config import Pipeline, load
from streamline.ledger import Ledger, LedgerView
from streamline.messages import Dropped, FrameId, Verdict
from streamline.metrics.catalogue import CAMERA_REASONS, CAMERA_STATES
from streamline.run.accounting import belated
from streamline.run.accounting import crashes as module
from streamline.run.accounting.account import StageAccount
from streamline.run.accounting.crashes import Crashes
from streamline.run.accounting.fences import SUPERVISOR, Fences
from streamline.run.accounting.held import HeldFrames
from streamline.run.accounting.journal import Journal, Judged
from streamline.run.control import Control
from streamline.run.placement import WorkerPlan, plan
from streamline.run.runtime import Runtime
from streamline.run.views import Views
from tests.support.descriptors import no_descriptors

INCARNATION = 1_700_000_000_000
CRASHED = Dropped(stage="source", reason="crashed")


@dataclass
class Line:
    """The ledgers of a line of one camera, written by hand as its stages do."""

    pipeline: Pipeline
    runtime: Runtime
    seq: int = 0
    plans: list[WorkerPlan] = field(init=False)

    def __post_init__(self) -> None:
        self.plans = plan(self.pipeline)
        self.camera_plan = next(p for p in self.plans if "source" in p.stages)
        self.camera, self.alert = Ledger(), Ledger()
        labels = {"camera": "left"}
        self.captured = self.camera.counter("streamline_frames_captured_total", **labels)
        self.incarnation = self.camera.gauge("source_incarnation", **labels)
        self.base = self.camera.table("source_base", 1, **labels)
        self.held = HeldFrames(self.camera, "left")
        self.in_flight = self.camera.gauge("streamline_frames_in_flight", **labels)
        for state in CAMERA_STATES:
            self.camera.gauge("streamline_camera_state", **labels, state=state)
        for reason in CAMERA_REASONS:
            self.camera.gauge("streamline_camera_down_reason", **labels, reason=reason)
        self.camera.gauge("streamline_camera_state_since_timestamp_seconds", **labels)
        self.source = StageAccount(self.camera, "source", ["left"])
        self.preprocess = StageAccount(self.camera, "preprocess", ["left"])
        self.journal = Journal(self.alert, "left")
        self.fences = Fences(self.runtime.ledger(SUPERVISOR), self.alert, "alert", ["left"])
        self.camera.open(self.runtime.ledger(self.camera_plan.name))
        self.alert.open(self.runtime.ledger("alert"))
        self.supervisor = Ledger()
        self.views = Views(self.runtime, heir=True)
        self.crashes = Crashes(self.pipeline, self.plans, self.supervisor, self.views)
        self.supervisor.open(self.runtime.ledger(SUPERVISOR))
        self.held.clear()
        self.incarnation.set(INCARNATION)

    def close(self) -> None:
        self.crashes.close()
        self.views.close()
        for ledger in (self.camera, self.alert, self.supervisor):
            ledger.close()

    def capture(self, n: int) -> list[FrameId]:
        """Capture *n* frames, which are in flight then."""
        frames = [FrameId("left", INCARNATION, self.seq + i) for i in range(n)]
        for frame in frames:
            self.held.add(frame.seq)
            self.captured.add()
            self.in_flight.add()
        self.seq += n
        return frames

    def judge(self, frame: FrameId) -> None:
        """Judge a frame; whether the source comes to hear of it is another matter."""
        self.journal.add(
            Judged(
                incarnation=frame.incarnation,
                seq=frame.seq,
                verdict=Verdict.PASS,
                score=0.5,
                wall_ns=0,
                pin=None,
                pins=0,
                skips=0,
                fault=None,
                alerts=0,
                debounced=0,
                merged=0,
                alert=None,
            )
        )

    def hear(self, frame: FrameId) -> None:
        """Let the source know that a frame's fate is decided."""
        self.held.remove(frame.seq)
        self.in_flight.add(-1)

    def crashed(self) -> float:
        labels = {"camera": "left", "stage": "source", "reason": "crashed"}
        return self.counted("streamline_frames_dropped_total", **labels)

    def lines_lost(self) -> float:
        self.crashes.close()
        return self.counted("streamline_log_lines_lost_total", log="drops")

    def counted(self, series: str, **labels: str) -> float:
        """What the supervisor has counted."""
        view = LedgerView(self.runtime.ledger(SUPERVISOR))
        count = view.value(series, **labels)
        view.close()
        return count

    def named(self, reason: str = "source:crashed") -> list[int]:
        """Numbers in the drop log with that reason, once all lines are written."""
        self.crashes.close()
        path = self.pipeline.record.drops
        assert path is not None
        lines = path.read_text().splitlines() if path.exists() else []
        drops = [json.loads(line) for line in lines]
        assert all(drop["incarnation"] == INCARNATION for drop in drops)
        return [d["seq"] for d in drops if f"{d['stage']}:{d['reason']}" == reason]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    (tmp_path / "line1.yaml").write_text(
        "version: 1\nmodel: m\ncameras: {left: demo://inspect}\nrecord: {drops: drops.jsonl}\n"
    )
    runtime = Runtime(tmp_path / "run")
    runtime.folder.mkdir()
    Control.create(runtime.control)
    line = Line(load(tmp_path / "line1.yaml"), runtime)
    yield line
    line.close()


def die(line: Line) -> None:
    """The camera's worker dies; the alert stage sees the fence."""
    line.crashes.open(line.camera_plan)
    line.fences.watch()
    line.crashes.settle()


def test_lost_is_what_was_captured_and_neither_judged_nor_dropped(line: Line) -> None:
    frames = line.capture(12)
    for frame in frames[:4]:
        line.judge(frame)
        line.hear(frame)
    line.judge(frames[4])  # Its answer was on the way.
    line.source.dropped["left", "queue_full"].add(frames[6])
    line.preprocess.dropped["left", "queue_full"].add(frames[8])
    die(line)
    assert line.crashed() == 5
    assert line.named() == [5, 7, 9, 10, 11]
    assert line.named("source:queue_full") == [6]
    assert line.named("preprocess:queue_full") == [8]
    assert not line.crashes.is_open(line.camera_plan)


def test_a_drop_that_the_source_had_logged_itself_is_not_logged_again(line: Line) -> None:
    path = line.pipeline.record.drops
    assert path is not None
    frames = line.capture(4)
    for frame in frames[:3]:
        line.source.dropped["left", "overrun"].add(frame)
    line.hear(frames[0])  # Done with before its death, long since logged.
    logged = {**frames[1]._asdict(), "stage": "source", "reason": "overrun"}
    path.write_text(json.dumps(logged) + "\n")
    die(line)
    assert line.named("source:overrun") == [1, 2]
    assert line.named() == [3]


def test_what_a_killed_supervisor_had_logged_as_crashed_is_not_logged_again(line: Line) -> None:
    line.capture(3)
    die(line)
    assert line.named() == [0, 1, 2]
    again = Crashes(line.pipeline, line.plans, Ledger(), line.views)
    again.open(line.camera_plan)
    again.settle(ended=True)
    again.close()
    assert line.crashed() == 3
    assert line.named() == [0, 1, 2]


def test_a_frame_that_was_written_down_and_not_counted_was_never_captured(line: Line) -> None:
    line.capture(3)
    line.held.add(3)
    die(line)
    assert line.crashed() == 3
    assert line.named() == [0, 1, 2]


def test_a_drop_that_was_written_down_and_not_counted_is_a_crash(line: Line) -> None:
    frames = line.capture(600)
    drops = line.source.dropped["left", "queue_full"]
    for frame in frames[:598]:
        drops.add(frame)
        line.hear(frame)
    # The place of the next drop, written and not counted.
    drops._ids[2 * (598 % 512)] = INCARNATION
    drops._ids[2 * (598 % 512) + 1] = 598
    die(line)
    assert line.crashed() == 2
    assert line.named() == [598, 599]


def test_nothing_is_counted_before_the_alert_stage_has_seen_the_fence(line: Line) -> None:
    frames = line.capture(2)
    line.fences.watch()
    line.crashes.open(line.camera_plan)
    line.crashes.settle()
    assert line.crashes.is_open(line.camera_plan)
    line.judge(frames[0])
    assert not line.fences.excludes(frames[1])
    line.fences.watch()
    assert line.fences.excludes(frames[1])
    assert not line.fences.excludes(FrameId("left", INCARNATION + 1, 0))
    line.crashes.settle()
    assert line.crashed() == 1
    assert line.named() == [1]


def test_when_every_stage_has_ended_what_is_open_is_counted(line: Line) -> None:
    line.capture(2)
    line.crashes.open(line.camera_plan)
    line.crashes.settle()
    assert line.crashed() == 0
    line.crashes.settle(ended=True)
    assert line.crashed() == 2


def test_a_dead_source_holds_nothing_and_its_camera_is_down(line: Line) -> None:
    line.capture(3)
    die(line)
    view = LedgerView(line.runtime.ledger(line.camera_plan.name))
    assert view.value("streamline_frames_in_flight", camera="left") == 0
    assert view.value("streamline_camera_state", camera="left", state="down") == 1
    assert view.value("streamline_camera_state", camera="left", state="ok") == 0
    assert view.value("streamline_camera_down_reason", camera="left", reason="error") == 1
    view.close()


def test_a_source_that_never_began_has_lost_nothing(line: Line) -> None:
    line.capture(2)
    die(line)
    line.incarnation.set(0.0)  # Its successor opened the ledger, and died before its first frame.
    die(line)
    assert line.crashed() == 2
    assert line.named() == [0, 1]


def test_a_successor_that_dies_before_it_opens_its_ledger_has_lost_nothing(line: Line) -> None:
    line.capture(2)
    die(line)
    die(line)
    assert line.crashed() == 2
    assert line.named() == [0, 1]


def test_a_source_that_dies_again_is_charged_with_its_own_frames_only(line: Line) -> None:
    line.capture(3)
    die(line)
    line.held.clear()
    line.base[0] = line.captured.value
    line.incarnation.set(INCARNATION + 5)
    for seq in range(2):
        line.held.add(seq)
        line.captured.add()
    line.judge(FrameId("left", INCARNATION + 5, 0))
    die(line)
    assert line.crashed() == 4
    path = line.pipeline.record.drops
    assert path is not None
    line.crashes.close()
    last = json.loads(path.read_text().splitlines()[-1])
    assert (last["incarnation"], last["seq"]) == (INCARNATION + 5, 1)


def test_other_workers_deaths_lose_nothing(line: Line) -> None:
    line.capture(3)
    line.crashes.open(next(p for p in line.plans if "infer" in p.stages))
    line.crashes.settle()
    assert line.crashed() == 0


def test_where_nothing_can_be_opened_all_is_counted_but_the_lines_that_are_lost(
    line: Line,
) -> None:
    frames = line.capture(5)
    line.judge(frames[0])
    line.fences.watch()
    assert line.views.by_worker()
    with no_descriptors():
        die(line)
        line.crashes.close()
    assert not line.crashes.is_open(line.camera_plan)
    assert line.crashed() == 4
    assert line.in_flight.value == 0
    assert (line.named(), line.lines_lost()) == ([], 4)
    die(line)
    assert line.crashed() == 4


def test_nobodys_ledger_is_looked_for_where_nobody_has_died(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 64 cameras that would take 5 ms each time, many times a second."""
    looked: list[str] = []
    monkeypatch.setattr(Views, "is_hidden", lambda _, worker: looked.append(worker))
    line.crashes.settle()
    assert looked == []


def test_a_ledger_that_can_not_be_looked_at_yet_is_accounted_for_later(line: Line) -> None:
    line.capture(3)
    line.fences.watch()
    with no_descriptors():
        die(line)
        assert line.crashes.is_open(line.camera_plan)
    assert line.crashed() == 0
    line.crashes.settle()
    line.fences.watch()
    line.crashes.settle()
    assert not line.crashes.is_open(line.camera_plan)
    assert line.crashed() == 3
    assert line.named() == [0, 1, 2]


def test_nothing_is_taken_for_lost_that_a_hidden_ledger_may_know_as_judged(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_NS", 0)
    frames = line.capture(3)
    line.judge(frames[0])
    alert = line.runtime.ledger("alert")
    hidden = alert.rename(alert.with_suffix(".away"))
    alert.mkdir()  # Found, and can't be opened as a file.
    line.crashes.open(line.camera_plan)
    line.crashes.settle()
    assert line.crashes.is_open(line.camera_plan)
    alert.rmdir()
    hidden.rename(alert)
    line.fences.watch()
    line.crashes.settle()
    assert line.crashed() == 2


def test_a_log_that_no_disk_takes_or_gives_back_ends_nobody(line: Line) -> None:
    path = line.pipeline.record.drops
    assert path is not None
    path.symlink_to("/proc/self/mem")  # Opens, and fails to read and to write with EIO.
    line.capture(3)
    die(line)
    assert line.crashed() == 3
    assert line.lines_lost() == 3


def test_a_disk_that_does_not_answer_holds_up_nobody_who_accounts_for_the_dead(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(belated, "_CLOSE_S", 0.1)
    path = line.pipeline.record.drops
    assert path is not None
    os.mkfifo(path)  # Who opens it to read waits until somebody writes.
    line.capture(3)
    die(line)
    assert not line.crashes.is_open(line.camera_plan)
    assert line.crashed() == 3
    assert line.lines_lost() == 3
    os.close(os.open(path, os.O_RDWR))


def test_what_comes_while_the_thread_counts_what_it_has_written_waits_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, may_go_on, hangs, is_back = (Event() for _ in range(4))

    class Drops(dict[FrameId, Dropped]):
        def __len__(self) -> int:
            if current_thread().name == "belated":
                counts.set()
                assert may_go_on.wait(30)
            return super().__len__()

    def look(_log: Path) -> set[FrameId]:
        if counts.is_set():
            hangs.set()
            is_back.wait()
        return set()

    monkeypatch.setattr(belated, "_CLOSE_S", 0.1)
    monkeypatch.setattr(belated, "logged_lately", look)
    ledger = Ledger()
    lines = belated.BelatedLines(ledger, tmp_path / "drops.jsonl")
    lines.write(Drops({FrameId("left", INCARNATION, 0): CRASHED}))
    assert counts.wait(30)
    lines.write({FrameId("left", INCARNATION, 1): CRASHED})
    may_go_on.set()
    assert hangs.wait(30)
    lines.close()
    (lost,) = ledger.samples()
    assert lost.values[0] == 1
    is_back.set()
