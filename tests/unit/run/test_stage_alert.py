"""What the alert stage asks sources to keep, and that it asks the same when it is asked again."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from streamline.alert.judge import CameraRule
from streamline.config import load
from streamline.ledger import Ledger
from streamline.messages import Fault, FrameId, Judged, Origin, Pin, PinKind, Scored
from streamline.run.control import Control
from streamline.run.runtime import Runtime
from streamline.run.stage import Site
from streamline.run.stage_alert import AlertStage
from streamline.transport.wire import decode_outcome


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """No stage opens a socket here."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.term()


def alert_stage(
    folder: Path, context: zmq.Context[zmq.Socket[bytes]], record: str = "evidence: kept"
) -> AlertStage:
    """Two fails of two begin an alert of the one camera."""
    (folder / "line.yaml").write_text(
        "version: 1\nmodel: m\ncameras: {left: demo://inspect}\n"
        f"alert: {{k: 2, n: 2, sinks: []}}\nrecord: {{{record}}}\n"
    )
    Control.create(folder / "control")
    site = Site(
        pipeline=load(folder / "line.yaml"),
        runtime=Runtime(folder),
        control=Control(folder / "control"),
        context=context,
        ledger=Ledger(),
    )
    rule = CameraRule(threshold=1.0, k=2, n=2, model="ab" * 32, evidence="kept/left")
    return AlertStage(site, {"left": rule})


def scored(seq: int, score: float, fault: Fault | None = None) -> Scored:
    origin = Origin(FrameId("left", 255, seq), 0, seq * 1_000_000_000, 0, seq / 25)
    return Scored(origin=origin, score=score, fault=fault)


def pin_of(answer: bytes) -> Pin | None:
    outcome = decode_outcome(answer)
    assert isinstance(outcome, Judged)
    return outcome.pin


def count(stage: AlertStage, name: str, **labels: str) -> float:
    (found,) = (
        sample
        for sample in stage.site.ledger.samples()
        if sample.name == name and sample.labels == {"camera": "left", **labels}
    )
    return float(found.values[0])


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
