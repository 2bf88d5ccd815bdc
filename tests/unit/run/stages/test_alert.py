"""What the alert stage asks sources to keep, and that it asks the same when it is asked again."""

import gc
import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zmq
from structlog.testing import capture_logs

from streamline.alert.judge import CameraRule
from streamline.alert.rules import Suppressed
from streamline.audit.runs import RunFolder
from streamline.clock import monotonic_ns
from streamline.config import load
from streamline.ledger import Ledger
from streamline.messages import Fault, FrameId, Judged, Origin, Pin, PinKind, Scored, Verdict
from streamline.run.accounting.account import StageAccount
from streamline.run.accounting.journal import REMEMBERED
from streamline.run.control import Control
from streamline.run.runtime import Runtime
from streamline.run.stages.alert import AlertStage
from streamline.run.stages.stage import Site
from streamline.transport.link import Outlet
from streamline.transport.wire import decode_outcome, encode_scored
from tests.support.line import json_lines
from tests.support.models import threshold_at
from tests.support.until import until


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """Terminates once every socket is closed."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.term()


def alert_stage(
    folder: Path,
    context: zmq.Context[zmq.Socket[bytes]],
    record: str = "evidence: kept",
    links: str = "",
    alert: str = "sinks: []",
) -> AlertStage:
    """Two fails of two begin an alert of the one camera."""
    (folder / "line.yaml").write_text(
        "version: 1\nmodel: m\ncameras: {left: demo://inspect}\n"
        f"alert: {{k: 2, n: 2, {alert}}}\nrecord: {{{record}}}\n"
        f"links: {{{links}}}\n"
    )
    Control.create(folder / "control")
    site = Site(
        pipeline=load(folder / "line.yaml"),
        runtime=Runtime(folder),
        control=Control(folder / "control"),
        context=context,
        ledger=Ledger(),
    )
    rule = CameraRule(
        test=threshold_at(1.0),
        calibration="cd" * 32,
        k=2,
        n=2,
        model="ab" * 32,
        evidence="kept/left",
    )
    return AlertStage(site, {"left": rule})


def scored(seq: int, score: float, fault: Fault | None = None) -> Scored:
    origin = Origin(FrameId("left", 255, seq), 0, seq * 1_000_000_000, 0, seq / 25)
    return Scored(origin=origin, score=score, fault=fault)


def pin_of(answer: bytes) -> Pin | None:
    outcome = decode_outcome(answer)
    assert isinstance(outcome, Judged)
    return outcome.pin


def count(stage: AlertStage, name: str, **labels: str) -> float:
    return counts(stage)[name, tuple(labels.values())]


def counts(stage: AlertStage) -> dict[tuple[str, tuple[str, ...]], float]:
    """What is counted of the camera, by series and the values of its other labels."""
    return {
        (one.name, tuple(x for label, x in one.labels.items() if label != "camera")): float(
            one.values[0]
        )
        for one in stage.site.ledger.samples()
        if one.kind in {"counter", "gauge"} and one.labels.get("camera") == "left"
    }


def test_an_answer_that_got_lost_is_given_again_to_the_letter(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    stage = alert_stage(tmp_path, context, "evidence: {path: kept, per_minute: {passes: 60}}")
    frames = [scored(0, 0.5), scored(1, 2.0), scored(2, 3.0), scored(3, 4.0)]
    first = [pin_of(stage._judge_new(frame)) for frame in frames]
    assert [None if pin is None else pin.kind for pin in first] == ["pass", "fail", "begin", "fail"]
    for frame, before in zip(frames, first, strict=True):
        known = stage._journals["left"].find(255, frame.origin.id.seq)
        assert known is not None
        again = pin_of(stage._again(frame, known))
        assert before is not None
        assert again is not None
        assert (again.kind, again.alert_id, again.score) == (
            before.kind,
            before.alert_id,
            before.score,
        )
        told, retold = json.loads(before.record), json.loads(again.record)
        if before.kind is not PinKind.BEGIN:
            told["latency_ms"] = None  # Known to the first answer alone.
        assert retold == told


def test_however_many_frames_fail_few_are_pinned_and_the_rest_is_counted(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    stage = alert_stage(tmp_path, context, "evidence: {path: kept, per_minute: {fails: 0.01}}")
    pins = [pin_of(stage._judge_new(scored(seq, 2.0))) for seq in range(1000)]
    kinds = [pin.kind for pin in pins if pin is not None]
    assert kinds == ["fail", "begin", "fail"]
    skipped = count(stage, "streamline_evidence_skipped_total", reason="rate")
    assert skipped == 1000 - len(kinds)
    assert count(stage, "evidence_pinned") == len(kinds)


def test_what_was_judged_and_not_counted_any_more_is_counted_by_the_successor(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    counted = {
        "judged": ("streamline_frames_judged_total", ("fail",)),
        "skipped": ("streamline_evidence_skipped_total", ("rate",)),
        "pins": ("evidence_pinned", ()),
        "alerts": ("streamline_alerts_total", ()),
        "active": ("streamline_alert_active", ()),
        "merged": ("streamline_alerts_suppressed_total", ("merged",)),
        "debounced": ("streamline_alerts_suppressed_total", ("debounced",)),
    }

    def now() -> dict[str, float]:
        found = counts(stage)
        return {what: found[series] for what, series in counted.items()}

    told = dict.fromkeys(counted, 0.0)
    for life in range(3):
        stage = alert_stage(tmp_path, context, "evidence: {path: kept, per_minute: {fails: 0.01}}")
        stage.site.ledger.open(tmp_path / "ledger")
        stage._recover()
        assert now() == told
        for seq in range(3):
            stage._judge_new(scored(10 * life + seq, 2.0))
        stage._settle()
        before = now()
        stage._judge_new(scored(10 * life + 3, 2.0))
        told = now()
        # As if it had died once the verdict was remembered.
        account = stage._cameras["left"]
        account.judged[Verdict.FAIL].set(before["judged"])
        for what in ("skipped", "pins", "alerts", "active"):
            getattr(account, what).set(before[what])
        account.suppressed[Suppressed.MERGED].set(before["merged"])
        stage.site.ledger.close()
    # Two fails are kept in each life before their rate counts, and the begin of the alert.
    assert told == {
        "judged": 12,
        "skipped": 5,
        "pins": 7,
        "alerts": 1,
        "active": 1,
        "merged": 10,
        "debounced": 0,
    }


def test_each_verdict_is_recorded_once_with_its_own_counts_whoever_dies_in_between(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    """In each life four frames are judged: of the last three, one was written before it ended."""
    record = "evidence: kept, audit: runs"
    run = RunFolder.new(tmp_path / "runs", config="c", key_file=None)
    run.leave_in(Runtime(tmp_path).audit)
    for life in range(3):
        stage = alert_stage(tmp_path, context, record, "scores: inproc")
        stage.site.ledger.open(tmp_path / "ledger")
        stage._open()
        stage._recover()
        for seq in range(4):
            stage._judge_new(scored(10 * life + seq, 2.0))
            if seq == 0:
                stage._settle()
            if seq < 2:
                stage._write_verdicts()
        stage._inlet.close()
        stage.site.ledger.close()
    stage = alert_stage(tmp_path, context, record, "scores: inproc")
    stage.site.ledger.open(tmp_path / "ledger")
    stage._open()
    stage._recover()
    stage._close()
    judged = [one for one in json_lines(run.folder / "verdicts.jsonl") if "seq" in one]
    assert [one["seq"] for one in judged] == [
        10 * life + seq for life in range(3) for seq in range(4)
    ]
    assert [one["counts"]["fail"] for one in judged] == list(range(1, 13))
    assert [one["counts"]["alerts"] for one in judged] == [0] + 11 * [1]
    assert [one["event"] for one in judged] == [None, "new"] + 10 * [None]
    assert {one["p_value"] for one in judged} == {judged[0]["p_value"]}


def test_a_verdict_that_was_too_many_to_be_recorded_is_not_recorded_behind_later_ones(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    """Of two passes one is a sample, then there is a fail; the successor has a new sample free."""
    record = "evidence: kept, audit: {path: runs, per_minute: {passes: 1}}"
    run = RunFolder.new(tmp_path / "runs", config="c", key_file=None)
    run.leave_in(Runtime(tmp_path).audit)
    for life in range(2):
        stage = alert_stage(tmp_path, context, record, "scores: inproc")
        stage.site.ledger.open(tmp_path / "ledger")
        stage._open()
        stage._recover()
        for seq, score in enumerate([0.5, 0.5, 2.0] if life == 0 else []):
            stage._judge_new(scored(seq, score))
            stage._write_verdicts()
        stage._inlet.close()
        stage.site.ledger.close()
    judged = [one for one in json_lines(run.folder / "verdicts.jsonl") if "seq" in one]
    assert [one["seq"] for one in judged] == [0, 2]


def test_sinks_are_told_how_an_alert_goes_on_whoever_dies_in_between(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    """Ten frames a second apart, two fails of two begin; the stage dies between two updates."""
    alert = "update_s: 3, sinks: [{type: jsonl, path: told}], outbox: {path: outbox.db}"
    for life in range(2):
        stage = alert_stage(tmp_path, context, "drops: d.jsonl", "scores: inproc", alert)
        stage.site.ledger.open(tmp_path / "ledger")
        stage._open()
        stage._recover()
        for seq in range(6 * life, 6 * life + 6):
            stage._judge_new(scored(seq, 2.0 + seq if seq < 10 else 0.5))
        # Nothing is settled: what the first life has told, the second tells again.
        stage._inlet.close()
        stage._delivery.close()
        stage.site.ledger.close()
    told = [(one["type"], one["seq"], one["worst_score"]) for one in json_lines(tmp_path / "told")]
    assert list(dict.fromkeys(told)) == [
        ("new", 1, 3.0),
        ("update", 4, 6.0),
        ("update", 7, 9.0),
        ("update", 10, 11.0),
        ("end", 11, 11.0),
    ]
    assert {one["id"] for one in json_lines(tmp_path / "told")} == {"left-ff-1"}


def test_an_alert_that_is_on_for_longer_than_verdicts_are_remembered_keeps_its_name(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    """The stage dies where nothing that it told was stored for as long."""
    alert = "sinks: [{type: jsonl, path: told}], outbox: {path: outbox.db}"
    logged = []
    last = REMEMBERED + 100
    for seqs in (range(last), range(last, last + 2)):
        stage = alert_stage(tmp_path, context, "drops: d.jsonl", "scores: inproc", alert)
        stage.site.ledger.open(tmp_path / "ledger")
        stage._open()
        with capture_logs() as logs:
            stage._recover()
        logged.append([line["event"] for line in logs])
        for seq in seqs:
            stage._judge_new(scored(seq, 2.0 if seq < last else 0.5))
        stage._inlet.close()
        stage._delivery.close()
        stage.site.ledger.close()
    assert logged == [[], ["alerts of verdicts long ago may be lost"]]
    told = [(one["type"], one["id"]) for one in json_lines(tmp_path / "told")]
    assert told == [("new", "left-ff-1"), ("end", "left-ff-1")]


def test_reasons_of_unknown_verdicts_are_counted_exactly_whoever_dies_in_between(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    faults = [Fault.FROZEN, Fault.BLACK, None, Fault.BLACK, Fault.LATE]
    for life in range(2):
        stage = alert_stage(tmp_path, context, "drops: d.jsonl")
        stage.site.ledger.open(tmp_path / "ledger")
        stage._recover()
        for seq, fault in enumerate(faults):
            score = 0.5 if fault is None else float("nan")
            stage._judge_new(scored(10 * life + seq, score, fault))
        account = stage._cameras["left"]
        # As if it had died before the last verdict was counted, or between it and its reason.
        account.unknown[Fault.LATE].add(-1)
        account.judged[Verdict.UNKNOWN].add(-life)
        stage.site.ledger.close()
    stage = alert_stage(tmp_path, context, "drops: d.jsonl")
    stage.site.ledger.open(tmp_path / "ledger")
    stage._recover()
    counted = {
        labels: number
        for (name, labels), number in counts(stage).items()
        if name == "streamline_frames_unknown_total" and number
    }
    assert counted == {("frozen",): 2, ("black",): 4, ("late",): 2}
    assert count(stage, "streamline_frames_judged_total", verdict="unknown") == 8
    stage.site.ledger.close()


def test_a_late_verdict_is_unknown_and_its_answer_says_why(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    stage = alert_stage(tmp_path, context, "drops: d.jsonl")
    stage._rules = {"left": replace(stage._rules["left"], deadline_ns=10**9)}
    now = Origin(FrameId("left", 255, 1), monotonic_ns(), 0, 0)
    answer = decode_outcome(stage._judge_new(Scored(origin=now, score=0.5)))
    assert isinstance(answer, Judged)
    assert (answer.verdict, answer.fault) == (Verdict.PASS, None)
    late = now._replace(id=FrameId("left", 255, 2), captured_ns=now.captured_ns - 2 * 10**9)
    answer = decode_outcome(stage._judge_new(Scored(origin=late, score=9.0)))
    assert isinstance(answer, Judged)
    assert (answer.verdict, answer.fault, answer.pin) == (Verdict.UNKNOWN, Fault.LATE, None)
    assert count(stage, "streamline_frames_unknown_total", reason="late") == 1
    assert count(stage, "streamline_alerts_total") == 0


def test_a_poisonous_frame_is_always_kept(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    stage = alert_stage(tmp_path, context, "evidence: {path: kept, per_minute: {unknowns: 0}}")
    assert pin_of(stage._judge_new(scored(0, float("nan"), Fault.CORRUPT))) is None
    pin = pin_of(stage._judge_new(scored(1, float("nan"), Fault.POISON)))
    assert pin is not None
    assert pin.kind is PinKind.UNKNOWN
    assert json.loads(pin.record)["reason"] == "poison"


def test_without_a_folder_nothing_is_pinned(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    stage = alert_stage(tmp_path, context, "drops: d.jsonl")
    assert [pin_of(stage._judge_new(scored(seq, 2.0))) for seq in range(5)] == [None] * 5


class Hop:
    """An alert stage and the link to it; twice as much is sent as fits, so that some is evicted."""

    def __init__(self, stage: AlertStage, ledger: Ledger) -> None:
        self.stage = stage
        stage._open()
        stage._inlet.admit()
        self.outlet = Outlet[FrameId](
            stage.site.context, stage.site.address("scores"), name="infer", depth=4, evict=True
        )
        self.sender = StageAccount(ledger, "preprocess", ["left"])
        self.judged = self.evicted = self.sent = 0

    def work(self) -> None:
        """Let both ends work."""
        for frame, answer in self.outlet.exchange():
            if answer is None:
                self.sender.dropped["left", "queue_full"].add(frame)
                self.evicted += 1
            else:
                self.judged += 1
        for delivery in self.stage._inlet.take(4):
            self.stage._handle(delivery)
        self.stage._write_verdicts()
        self.stage._settle()
        self.stage._inlet.exchange()

    def held_after(self, frames: int) -> int:
        """Bytes, once so many more frames have been judged."""
        end = self.judged + frames
        while self.judged < end:
            for _ in range(8 - self.outlet.waiting):
                frame = scored(self.sent, 2.0)
                self.outlet.offer(encode_scored(frame), frame.origin.id)
                self.sent += 1
            self.work()
        until(lambda: not self.outlet.waiting + self.outlet.unanswered, step=self.work)
        # Answers are kept until the sender is known to have heard them.
        until(lambda: not any(p.said for p in self.stage._inlet._peers.values()), step=self.work)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    def close(self) -> None:
        self.outlet.close()
        self.stage._close()


def test_nothing_is_held_of_frames_whose_fate_is_known(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    """Sent over a link or evicted from it, judged, counted, logged, remembered and answered."""
    record = "evidence: kept, verdicts: verdicts.jsonl"
    stage, ledger = alert_stage(tmp_path, context, record, "scores: inproc"), Ledger()
    hop = Hop(stage, ledger)
    stage.site.ledger.open(tmp_path / "alert")
    ledger.open(tmp_path / "preprocess")
    tracemalloc.start()
    try:
        until(lambda: hop.outlet.welcomed, step=hop.work)
        hop.held_after(2 * REMEMBERED)  # By then everything that is bounded is full.
        first, second = hop.held_after(2000), hop.held_after(6000)
    finally:
        tracemalloc.stop()
        hop.close()
        ledger.close()
        stage.site.ledger.close()
    assert hop.evicted > 2000
    # One pointer to each frame would be 48,000.  Python keeps tuples to use them anew, and those
    # that are in the journal are counted as it happens: 52 bytes for each that is remembered.
    assert second - first < 52 * REMEMBERED
