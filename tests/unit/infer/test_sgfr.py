"""Scores and maps of SGFR models in slots, against the formulas on the same features."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt
import pytest

from streamline import backbone
from streamline.errors import DeviceLostError, InferenceError
from streamline.infer import (
    Compute,
    Extractor,
    Features,
    extract_features,
    map_frames,
    map_network,
    open_extractor,
    open_mapper,
    open_scorer,
    score_frames,
    score_network,
)
from streamline.infer.protocol import OnDone
from streamline.infer.sgfr import JudgedFeatures, maps_by, scores_by
from streamline.learn import FitSettings, SgfrSettings, fit_frames
from streamline.model import Model, SgfrDetector
from streamline.sgfr import Judge
from tests.support.parts import parts
from tests.support.threads import new_threads

Bytes = npt.NDArray[np.uint8]

F32 = Compute(precision="f32")


@pytest.fixture(scope="module")
def banked() -> Model:
    """Fitted on 24 parts."""
    settings = SgfrSettings(samples=8, sparsity=4, compute=F32)
    return fit_frames(parts(24, seed=1), settings, source="drawn parts").model


@pytest.fixture(scope="module")
def other() -> Model:
    """Fitted on other parts, its score by another rule."""
    settings = SgfrSettings(
        samples=4, sparsity=3, rule="maximum", bank_precision="int8", compute=F32
    )
    return fit_frames(parts(12, seed=4), settings, source="drawn parts").model


def judge_of(model: Model) -> Judge:
    assert isinstance(model.detector, SgfrDetector)
    return model.detector.judge(size=(model.height, model.width), maps=True)


def features_of(model: Model, frames: Bytes) -> Features:
    layers = sorted(model.detector.map_taps)
    batches = list(extract_features(backbone.get(), layers, frames, compute=F32))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in layers}


def test_scores_and_maps_are_the_judge_s_on_the_backbone_s_features(
    banked: Model, frames: Bytes
) -> None:
    features = features_of(banked, frames)
    scores = np.concatenate(list(score_frames(banked, frames, compute=F32)))
    maps = np.concatenate(list(map_frames(banked, frames, compute=F32)))
    assert scores.dtype == np.float32
    assert maps.dtype == np.float16
    assert maps.shape == (10, *banked.map_shape) == (10, 32, 32)
    np.testing.assert_allclose(scores, judge_of(banked).scores(features), rtol=1e-4)
    np.testing.assert_allclose(maps, judge_of(banked).maps(features), rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_score_does_not_depend_on_the_batch_a_frame_came_in(
    banked: Model, frames: Bytes, size: int
) -> None:
    small = Compute(precision="f32", max_batch=size)
    np.testing.assert_allclose(
        np.concatenate(list(score_frames(banked, frames, compute=small))),
        np.concatenate(list(score_frames(banked, frames, compute=F32))),
        rtol=1e-4,
    )


def test_scratched_parts_score_higher_and_are_hot_where_they_are_scratched(
    banked: Model, frames: Bytes
) -> None:
    scores = np.concatenate(list(score_frames(banked, frames, compute=F32)))
    assert scores[1::2].min() > scores[::2].max()
    marked = frames[0].copy()
    marked[144:156, 84:96] = 250
    sound, hot = np.concatenate(list(map_frames(banked, [frames[0], marked], compute=F32))).astype(
        float
    )
    row, column = np.unravel_index((hot - sound).argmax(), hot.shape)
    assert (int(row), int(column)) == pytest.approx((150 / 8, 90 / 8), abs=1.6)


def test_several_banks_share_a_network_and_judge_their_own_frames(
    banked: Model, other: Model, frames: Bytes
) -> None:
    assert score_network(banked) == score_network(other) == map_network(banked)
    done: SimpleQueue[int] = SimpleQueue()
    scorer = open_scorer([banked, other], F32, on_done=done.put)
    mapper = open_mapper([banked, other], F32, on_done=done.put)
    for requests in (scorer, mapper):
        requests.input(0)[:6] = frames[:6]
        requests.start(0, 2, 4)
        assert done.get(timeout=60) == 0
    for head, (model, own) in enumerate([(banked, frames[:2]), (other, frames[2:6])]):
        features, judge = features_of(model, own), judge_of(model)
        np.testing.assert_allclose(scorer.result(0, head=head), judge.scores(features), rtol=1e-4)
        np.testing.assert_allclose(
            mapper.result(0, head=head), judge.maps(features), rtol=2e-3, atol=1e-3
        )
    scorer.close()
    mapper.close()


def test_a_bank_never_shares_a_network_with_subspaces(banked: Model) -> None:
    alike = FitSettings(score_layers=("block2", "block4", "block5"))
    subspaces = fit_frames(parts(8, seed=5), alike, source="drawn parts").model
    assert score_network(subspaces).layers == score_network(banked).layers
    assert score_network(subspaces) != score_network(banked)
    with pytest.raises(ValueError, match=r"must hang on one network"):
        open_scorer([banked, subspaces], F32, on_done=lambda _slot: None)


def test_slots_finish_on_their_own_and_closing_waits_for_them(banked: Model, frames: Bytes) -> None:
    before = threading.enumerate()
    expected = np.concatenate(list(score_frames(banked, frames, compute=F32)))
    done: SimpleQueue[int] = SimpleQueue()
    scorer = open_scorer([banked], Compute(precision="f32", slots=3, max_batch=4), on_done=done.put)
    assert (scorer.slots, scorer.max_batch, scorer.height, scorer.width) == (3, 4, 256, 256)
    batches = {0: [0, 1, 2, 3], 1: [4], 2: [5, 6, 7]}
    for slot, chosen in batches.items():
        scorer.input(slot)[: len(chosen)] = frames[chosen]
        scorer.start(slot, len(chosen))
    scorer.close()
    assert sorted(done.get_nowait() for _ in batches) == [0, 1, 2]
    for slot, chosen in batches.items():
        np.testing.assert_allclose(scorer.result(slot), expected[chosen], rtol=1e-4)
    assert new_threads(before) == []


class LostExtractor:
    """Whose device is gone."""

    height = width = 256
    max_batch = slots = 1

    def __init__(self, on_done: OnDone) -> None:
        self._on_done = on_done

    def input(self, _slot: int, /) -> Bytes:
        return np.zeros((1, 256, 256, 3), np.uint8)

    def start(self, slot: int, /, *_counts: int) -> None:
        self._on_done(slot)

    def result(self, _slot: int, /, *, head: int = 0) -> Features:
        msg = f"the device of head {head} is lost"
        raise DeviceLostError(msg)

    def close(self) -> None:
        """Nothing is left."""


def test_a_lost_device_is_told_apart_from_a_batch_that_failed(banked: Model) -> None:
    done: SimpleQueue[int] = SimpleQueue()
    scorer = JudgedFeatures([scores_by(judge_of(banked))], LostExtractor, on_done=done.put)
    scorer.start(0, 1)
    assert done.get(timeout=60) == 0
    with pytest.raises(DeviceLostError, match="head 0 is lost"):
        scorer.result(0)
    scorer.close()


def opened(model: Model, compute: Compute) -> Callable[[OnDone], Extractor]:
    layers = sorted(model.detector.score_taps)
    return lambda on_done: open_extractor(backbone.get(), layers, compute, on_done=on_done)


class FailingJudge(Judge):
    """Fails on its first batch."""

    def __init__(self, model: Model) -> None:
        self._judge = judge_of(model)
        self._sound = False

    def scores(self, features: Features, /, **_: object) -> npt.NDArray[np.float64]:
        if self._sound:
            return self._judge.scores(features)
        self._sound = True
        msg = "singular matrix"
        raise np.linalg.LinAlgError(msg)


def test_a_batch_the_numerics_fail_on_is_reported_and_the_slot_serves_again(
    banked: Model, frames: Bytes
) -> None:
    done: SimpleQueue[int] = SimpleQueue()
    single = Compute(precision="f32", slots=1, max_batch=1)
    failing = scores_by(FailingJudge(banked))
    scorer = JudgedFeatures([failing], opened(banked, single), on_done=done.put)
    scorer.start(0, 1)
    assert done.get(timeout=60) == 0
    with pytest.raises(InferenceError, match=r"matching pursuit failed on .*: singular matrix"):
        scorer.result(0)
    scorer.input(0)[0] = frames[0]
    scorer.start(0, 1)
    done.get(timeout=60)
    assert scorer.result(0)[0] > 0
    scorer.close()


def test_beyond_float16_a_map_is_as_hot_as_can_be(banked: Model) -> None:
    class Boiling(FailingJudge):
        def maps(self, features: Features, /, **_: object) -> npt.NDArray[np.float32]:
            return np.full((len(features["block5"]), 32, 32), 1e9, np.float32)

    done: SimpleQueue[int] = SimpleQueue()
    boiling = maps_by(Boiling(banked))
    mapper = JudgedFeatures([boiling], opened(banked, F32), on_done=done.put)
    mapper.start(0, 2)
    done.get(timeout=60)
    assert (mapper.result(0) == np.finfo(np.float16).max).all()
    mapper.close()
