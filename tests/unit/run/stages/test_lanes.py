"""Frames of cameras with different models: one batch on one network, each with its own score."""

import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import structlog
import zmq

import streamline.infer.openvino_backend  # noqa: F401 - first: it keeps openvino from reporting
from streamline.clock import SAME_CLOCK, monotonic_ns
from streamline.config import Pipeline, load
from streamline.infer import Compute, grouped, map_frames, score_frames, score_network
from streamline.learn import FitSettings, fit_frames
from streamline.ledger import Ledger
from streamline.messages import Fault, FrameId, Judged, Origin, Pin, PinKind, Prepared, Verdict
from streamline.model import Model, load_model, save_model
from streamline.run.accounting.suspects import Suspects
from streamline.run.control import Control
from streamline.run.placement import infer_shares
from streamline.run.runtime import Runtime
from streamline.run.stages import infer
from streamline.run.stages.infer import InferStage
from streamline.run.stages.lanes import Batch, Entry, HeatMaps, Lane
from streamline.run.stages.stage import Site
from streamline.transport.link import Delivery
from tests.support.parts import parts
from tests.support.threads import new_threads
from tests.support.until import until

Bytes = npt.NDArray[np.uint8]

COMPUTE = Compute(slots=2)
CAMERAS = ("left", "middle", "right")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """The outer cameras' and the middle one's, loaded from a copy for each camera."""
    folder = tmp_path_factory.mktemp("models")
    for name, seed in (("outer", 1), ("middle", 2)):
        model = fit_frames(parts(12, seed=seed), FitSettings(), source=name).model
        save_model(model, folder / name)
    paths = {"left": "outer", "middle": "middle", "right": "outer"}
    return {camera: load_model(folder / name) for camera, name in paths.items()}


@pytest.fixture
def wake() -> Iterator[int]:
    descriptor = os.eventfd(0, os.EFD_NONBLOCK)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def lane(models: dict[str, Model], wake: int) -> Iterator[Lane]:
    before = threading.enumerate()
    lane = Lane(models, COMPUTE, wake)
    yield lane
    lane.close()
    assert not new_threads(before)


def entry(camera: str, seq: int, pixels: Bytes | None) -> Entry:
    prepared = Prepared(
        origin=Origin(FrameId(camera, 1, seq), 0, 0, 0),
        pixels=pixels,
        fault=Fault.CORRUPT if pixels is None else None,
    )
    return Delivery(b"", seq, 0, SAME_CLOCK, 0, []), prepared


def judge(lane: Lane) -> tuple[Batch, dict[FrameId, float]]:
    """Run what has gathered as one batch."""
    lane.start(len(lane.gathered))
    until(lambda: lane.finished() is not None)
    batch = lane.finished()
    assert batch is not None
    ids = [prepared.origin.id for _, prepared in batch.entries]
    return batch, dict(zip(ids, lane.scores(batch), strict=True))


def alone(model: Model, frame: Bytes) -> float:
    return float(next(iter(score_frames(model, [frame], compute=COMPUTE)))[0])


def test_one_batch_serves_cameras_of_different_models(lane: Lane, models: dict[str, Model]) -> None:
    frames = list(parts(6, seed=9))
    for seq, frame in enumerate(frames):
        lane.gather(entry(CAMERAS[seq % 3], seq, None if seq == 4 else frame))
    batch, scores = judge(lane)
    assert len(batch.entries) == 6
    assert not lane.gathered
    assert len(lane.free) == lane.slots == 2
    for seq, frame in enumerate(frames):
        camera = CAMERAS[seq % 3]
        score = scores[FrameId(camera, 1, seq)]
        if seq == 4:
            assert math.isnan(score)
        else:
            assert score == pytest.approx(alone(models[camera], frame), rel=1e-5)


def test_a_lane_has_judged_a_frame_in_every_slot_before_the_first_that_counts(lane: Lane) -> None:
    assert [len(lane._scorer.result(slot)) for slot in lane.free] == [1, 1]
    assert lane.finished() is None


def test_a_camera_s_frames_leave_in_the_order_they_came(lane: Lane) -> None:
    frame = next(iter(parts(1, seed=9)))
    for seq, camera in enumerate(["right", "middle", "left", "right", "middle", "left"]):
        lane.gather(entry(camera, seq, frame))
    batch, _ = judge(lane)
    for camera in CAMERAS:
        ids = [prepared.origin.id for _, prepared in batch.entries]
        seqs = [one.seq for one in ids if one.camera == camera]
        assert seqs == sorted(seqs)
        assert len(seqs) == 2


def test_live_frames_are_shared_out_among_the_batches_side_by_side(
    models: dict[str, Model], wake: int
) -> None:
    lane = Lane(models, Compute(slots=3), wake)
    for seq in range(5):
        lane.gather(entry("left", seq, None))
    shares = []
    while lane.gathered:
        shares.append(lane.share)
        lane.start(lane.share)
    assert shares == [3, 1, 1]
    seqs = []
    while (batch := lane.finished()) is not None:
        seqs += [prepared.origin.id.seq for _, prepared in batch.entries]
        lane.scores(batch)
    assert seqs == [0, 1, 2, 3, 4]
    lane.close()


def test_a_batch_without_pixels_needs_no_device(lane: Lane) -> None:
    lane.gather(entry("left", 1, None))
    lane.gather(entry("middle", 2, None))
    _, scores = judge(lane)
    assert all(math.isnan(score) for score in scores.values())


def test_a_model_that_fails_leaves_the_other_cameras_their_scores(lane: Lane) -> None:
    frame = next(iter(parts(1, seed=9)))
    for slot in lane._scorer._slots:  # type: ignore[attr-defined]
        slot._heads[1]._inputs = ["no such layer"]
    for seq, camera in enumerate(CAMERAS):
        lane.gather(entry(camera, seq, frame))
    with structlog.testing.capture_logs() as logs:
        _, scores = judge(lane)
    (failed,) = [one for one, score in scores.items() if math.isnan(score)]
    assert failed.camera == "middle"
    (told,) = logs
    assert told["event"] == "inference failed"
    assert FrameId(told["camera"], told["incarnation"], told["seq"]) == failed


def test_models_are_grouped_by_the_network_they_hang_on(models: dict[str, Model]) -> None:
    deep = FitSettings(score_layers=("block5",))
    other = fit_frames(parts(12, seed=3), deep, source="deep").model
    groups = grouped({**models, "fourth": other}, score_network)
    assert [list(group) for group in groups.values()] == [list(CAMERAS), ["fourth"]]


@pytest.fixture
def maps(models: dict[str, Model], wake: int, tmp_path: Path) -> Iterator[HeatMaps]:
    ledger = Ledger()
    suspects = Suspects(ledger, "infer", CAMERAS)
    ledger.open(tmp_path / "ledger")
    maps = HeatMaps(models, COMPUTE, wake, suspects)
    yield maps
    maps.close()
    ledger.close()


def pinned(camera: str) -> Judged:
    pin = Pin(kind=PinKind.FAIL, alert_id=camera, score=2.0, threshold=1.0, map=None, record="{}")
    return Judged(verdict=Verdict.FAIL, pin=pin)


def test_maps_are_drawn_by_the_camera_s_own_model(models: dict[str, Model], maps: HeatMaps) -> None:
    (frame,) = parts(1, seed=9, defect=True)
    for seq, camera in enumerate(("left", "middle")):
        assert maps.add(entry(camera, seq, frame), pinned(camera))
    found: list[Judged] = []
    while len(found) < 2:
        until(lambda: maps._done)
        mapped = maps.finished()
        assert mapped is not None
        found.append(mapped[1])
    assert maps.since_ns is None
    for outcome in found:
        assert outcome.pin is not None
        assert outcome.pin.map is not None
        model = models[outcome.pin.alert_id]
        expected = next(iter(map_frames(model, [frame], compute=COMPUTE)))[0]
        np.testing.assert_allclose(
            outcome.pin.map.astype(float), expected.astype(float), rtol=5e-3, atol=1e-3
        )


def test_only_so_many_frames_wait_for_their_maps(maps: HeatMaps) -> None:
    (frame,) = parts(1, seed=9, defect=True)
    taken = [maps.add(entry("left", seq, frame), pinned("left")) for seq in range(100)]
    assert 1 < sum(taken) < 100
    assert taken == sorted(taken, reverse=True)
    until(lambda: maps._done)
    assert maps.finished() is not None
    assert maps.add(entry("left", 100, frame), pinned("left"))


@pytest.mark.parametrize("wait", ["40", "auto"])
def test_a_frame_alone_waits_no_longer_than_it_may_and_a_full_batch_not_at_all(
    lane: Lane, models: dict[str, Model], tmp_path: Path, wait: str
) -> None:
    path = tmp_path / "line.yaml"
    path.write_text(
        "version: 1\nmodel: m\nqueue: {policy: drop_oldest}\ncameras: {left: demo://inspect}\n"
        f"infer: {{batch: {{max: 3, wait_ms: {wait}}}}}\n"
    )
    pipeline, ledger = load(path), Ledger()
    Control.create(tmp_path / "control")
    runtime, control = Runtime(tmp_path), Control(tmp_path / "control")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    site = Site(pipeline=pipeline, runtime=runtime, control=control, context=context, ledger=ledger)
    stage = InferStage(site, infer_shares(pipeline)[0], {"left": models["left"]})
    stage._lanes.append(lane)
    lane.gather(entry("left", 0, None))
    # Of a live camera, and nothing is under way: why wait.
    assert stage._due(lane, lane.since_ns) == (wait == "auto")
    lane.running.append(Batch([], 1, [0]))
    limit_ns = 20_000_000 if wait == "auto" else 40_000_000
    assert not stage._due(lane, lane.since_ns + limit_ns - 1)
    assert stage._due(lane, lane.since_ns + limit_ns)
    for seq in (1, 2):
        lane.gather(entry("left", seq, None))
    assert stage._due(lane, lane.since_ns)
    lane.running.clear()
    context.destroy()


def test_a_map_that_does_not_come_back_shows_in_the_stage_s_pulse(
    pipeline: Pipeline, maps: HeatMaps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger()
    Control.create(tmp_path / "control")
    site = Site(
        pipeline=pipeline,
        runtime=Runtime(tmp_path),
        control=Control(tmp_path / "control"),
        context=zmq.Context(),
        ledger=ledger,
    )
    stage = InferStage(site, infer_shares(pipeline)[0], {})
    stage._maps.append(maps)

    def pulse_s() -> float:
        return next(float(s.values[0]) for s in ledger.samples() if s.name == "stage_pulse_seconds")

    stage._beat_if_working()
    begun_s = pulse_s()
    assert begun_s > 0
    (frame,) = parts(1, seed=9, defect=True)
    maps.add(entry("left", 0, frame), pinned("left"))
    late_ns = monotonic_ns() + 11_000_000_000
    monkeypatch.setattr(infer, "monotonic_ns", lambda: late_ns)
    stage._beat_if_working()
    assert pulse_s() == begun_s
    until(lambda: maps._done)
    assert maps.finished() is not None
    stage._beat_if_working()
    assert pulse_s() > begun_s
    site.context.destroy()
