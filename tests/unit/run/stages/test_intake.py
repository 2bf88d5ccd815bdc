"""What comes over a link and is not for the stage there: refused, told once, and harmless."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq
from structlog.testing import capture_logs

from streamline.alert.judge import CameraRule
from streamline.clock import SAME_CLOCK, monotonic_ns, wall_ns
from streamline.config import load
from streamline.ledger import Ledger
from streamline.messages import (
    Dropped,
    Fault,
    Frame,
    FrameId,
    Judged,
    Origin,
    Picture,
    PixelFormat,
    Prepared,
    Scored,
    Verdict,
)
from streamline.run.accounting.fences import SUPERVISOR, FenceCells
from streamline.run.control import Control, Phase
from streamline.run.placement import infer_shares
from streamline.run.runtime import Runtime
from streamline.run.stages.alert import AlertStage
from streamline.run.stages.infer import InferStage
from streamline.run.stages.preprocess import PreprocessStage
from streamline.run.stages.stage import Site, Stage
from streamline.transport import protocol
from streamline.transport.link import Context, Inlet, Outlet
from streamline.transport.protocol import Welcome
from streamline.transport.wire import (
    Buffer,
    decode_outcome,
    decode_prepared,
    decode_scored,
    encode_frame,
    encode_outcome,
    encode_prepared,
    encode_scored,
)
from tests.support.models import save_light_model, threshold_at
from tests.support.until import until

REFUSED = Dropped(stage="source", reason="refused")
NONSENSE: list[list[Buffer]] = [
    [b"not msgpack"],
    [msgspec.msgpack.encode(["left", 1])],
    [b"\x91" * 10_000],
    [],
]


@pytest.fixture
def site(tmp_path: Path, context: Context) -> Iterator[Site]:
    """A line of one camera, its links within this process."""
    (tmp_path / "line.yaml").write_text(
        "version: 1\nmodel: m\ncameras: {left: demo://inspect}\nalert: {sinks: []}\n"
        "links: {frames: inproc, prepared: inproc, scores: inproc}\n"
    )
    runtime = Runtime(tmp_path / "run")
    runtime.folder.mkdir()
    Control.create(runtime.control)
    fences = Ledger()
    FenceCells(fences, ["left"])
    fences.open(runtime.ledger(SUPERVISOR))
    pipeline, control = load(tmp_path / "line.yaml"), Control(runtime.control)
    yield Site(
        pipeline=pipeline, runtime=runtime, control=control, context=context, ledger=Ledger()
    )
    fences.close()


@contextmanager
def running(stage: Stage) -> Iterator[None]:
    """Run a stage in its thread; it must not have failed."""
    stage.start()
    try:
        yield
    finally:
        stage.site.control.enter(Phase.FINISHING)
        stage.join(30)
    assert not stage.is_alive()
    assert stage.failure is None


@dataclass
class Sender:
    """The end of a link before the stage."""

    outlet: Outlet[int]
    outcomes: dict[int, object] = field(default_factory=dict)

    def send(self, *messages: list[Buffer], meanwhile: Callable[[], object] = list) -> list[object]:
        """Send messages, return the outcome of each."""
        first = len(self.outcomes)
        for token, message in enumerate(messages, start=first):
            self.outlet.offer(message, token)
        last = first + len(messages)

        def step() -> None:
            for token, outcome in self.outlet.exchange():
                assert outcome is not None
                self.outcomes[token] = decode_outcome(outcome)
            meanwhile()

        until(lambda: len(self.outcomes) == last, step=step)
        return [self.outcomes[token] for token in range(first, last)]


@contextmanager
def sender(site: Site, address: str) -> Iterator[Sender]:
    """A link to the stage, whose sender has the name of a stage."""
    outlet = Outlet[int](site.context, address, name="before", depth=100, evict=False)
    yield Sender(outlet)
    outlet.close()


def origin(camera: str = "left", seq: int = 0) -> Origin:
    return Origin(FrameId(camera, 255, seq), 0, 0, 0)


def test_scores_that_are_not_for_the_alert_stage_are_refused_and_others_judged(site: Site) -> None:
    rule = CameraRule(
        test=threshold_at(1.0), calibration="cd" * 32, k=2, n=2, model="ab" * 32, evidence=None
    )
    stage = AlertStage(site, {"left": rule})
    strange = encode_scored(Scored(origin=origin("right"), score=2.0, model="ab" * 6))
    with (
        capture_logs() as logs,
        running(stage),
        sender(site, site.address("scores")) as before,
    ):
        assert before.send(*NONSENSE, strange, strange) == [REFUSED] * 6
        ours = Scored(origin=origin(), score=0.5, model="ab" * 6)
        assert verdicts(before.send(encode_scored(ours))) == [Verdict.PASS]
    (told,) = [log for log in logs if log["event"] == "messages are refused"]
    assert (told["stage"], told["peer"]) == ("alert", "before")


def verdicts(outcomes: list[object]) -> list[Verdict]:
    """What frames were judged as."""
    return [outcome.verdict for outcome in outcomes if isinstance(outcome, Judged)]


def test_a_score_that_another_model_gave_is_held_against_no_threshold(site: Site) -> None:
    rule = CameraRule(
        test=threshold_at(1.0), calibration="cd" * 32, k=2, n=2, model="ab" * 32, evidence=None
    )
    models = ["ab" * 6, "cd" * 6, "", "ab" * 6]
    scores = [
        Scored(origin=origin(seq=seq), score=0.5, model=model) for seq, model in enumerate(models)
    ]
    with (
        capture_logs() as logs,
        running(AlertStage(site, {"left": rule})),
        sender(site, site.address("scores")) as before,
    ):
        outcomes = before.send(*map(encode_scored, scores))
    assert verdicts(outcomes) == ["pass", "unknown", "unknown", "pass"]
    (told,) = [log for log in logs if log["event"] == "scored by another model"]
    assert (told["camera"], told["model"], told["ours"]) == ("left", "cd" * 6, "ab" * 6)


def test_a_frame_in_another_models_size_has_no_score_and_the_others_have_theirs(
    site: Site, tmp_path: Path
) -> None:
    model = save_light_model(tmp_path / "m")
    behind = Inlet(site.context, site.address("scores"), window=4)
    behind.admit()
    seen: list[Scored] = []

    def alert() -> None:
        for delivery in behind.take(9):
            seen.append(decode_scored(delivery.parts, SAME_CLOCK))
            behind.answer(delivery, encode_outcome(Judged(verdict=Verdict.UNKNOWN)))
        behind.exchange()

    sides = (256, 1, 300, 256)
    frames = [
        Prepared(origin=origin(seq=seq), pixels=np.zeros((side, side, 3), np.uint8))
        for seq, side in enumerate(sides)
    ]
    with (
        running(InferStage(site, infer_shares(site.pipeline)[0], {"left": model})),
        sender(site, site.address("prepared")) as before,
    ):
        outcomes = before.send(*NONSENSE, *map(encode_prepared, frames), meanwhile=alert)
    behind.close()
    assert outcomes[:4] == [REFUSED] * 4
    faults = {one.origin.id.seq: one.fault for one in seen}
    assert faults == {0: None, 1: Fault.OTHER_MODEL, 2: Fault.OTHER_MODEL, 3: None}
    assert {one.model for one in seen if one.fault is None} == {model.digest[:12]}


def test_frames_that_are_not_for_the_preprocess_stage_are_refused_and_others_prepared(
    site: Site,
) -> None:
    stage = PreprocessStage(site, [site.pipeline.cameras["left"]], {"left": (8, 8)}, {"left": None})
    behind = Inlet(site.context, site.address("prepared"), window=4)
    behind.admit()
    seen: list[Prepared] = []

    def infer() -> None:
        for delivery in behind.take(9):
            seen.append(decode_prepared(delivery.parts, SAME_CLOCK))
            behind.answer(delivery, encode_outcome(Judged(verdict=Verdict.PASS)))
        behind.exchange()

    picture = Picture(format=PixelFormat.GRAY, planes=(np.zeros((16, 16), np.uint8),))
    strange = encode_frame(Frame(origin=origin("right"), picture=picture))
    with running(stage), sender(site, site.frames_address("left")) as before:
        refused = before.send(*NONSENSE, strange, meanwhile=infer)
        (outcome,) = before.send(
            encode_frame(Frame(origin=origin(), picture=picture)), meanwhile=infer
        )
    behind.close()
    assert refused == [REFUSED] * 5
    assert isinstance(outcome, Judged)
    assert [one.origin.id for one in seen] == [origin().id]


NO_MESSAGES: list[list[bytes]] = [
    [b"F", b"\xff"],
    [b"F"],
    [b"W", b"\x91" * 10_000],
    [b"W", msgspec.msgpack.encode([2**63 - 1, "", 1, 2**63 - 1, 0, 0, 0])],
    [b"H", b"\xa2\xff\xfe"],
    [b"D", b"short"],
    [b""],
    [b"other"],
]
"""To either end of a link none of these says anything."""


def test_neighbours_that_talk_nonsense_end_no_stage_and_are_counted(site: Site) -> None:
    stage = PreprocessStage(site, [site.pipeline.cameras["left"]], {"left": (8, 8)}, {"left": None})
    before, behind = site.context.socket(zmq.DEALER), site.context.socket(zmq.ROUTER)
    behind.bind(site.address("prepared"))

    def counted() -> dict[str, float]:
        return {
            one.labels["link"]: float(one.values[0])
            for one in site.ledger.samples()
            if one.name == "streamline_link_refused_total" and one.labels["reason"] == "message"
        }

    with capture_logs() as logs, running(stage):
        before.connect(site.frames_address("left"))
        until(lambda: bool(behind.poll(0)))
        infer = behind.recv_multipart()[0]
        for message in NO_MESSAGES:
            before.send_multipart(message)
            behind.send_multipart([infer, *message])
        both = {"frames": len(NO_MESSAGES), "prepared": len(NO_MESSAGES)}
        until(lambda: counted() == both)
        assert not stage.ready.is_set()
        welcome = Welcome(wall_ns(), "clock", 4, 0, 0, monotonic_ns(), monotonic_ns())
        behind.send_multipart([infer, protocol.WELCOME, protocol.write(welcome)])
        until(stage.ready.is_set)
    before.close(linger=0)
    behind.close(linger=0)
    told = [one["link"] for one in logs if one["event"] == "messages are refused"]
    assert sorted(told) == ["frames", "prepared"]
