"""The same on a GPU: scores, graphs, copies, and what is said where one is missing or too small."""

from collections.abc import Iterator
from dataclasses import replace
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt
import pytest

from streamline.errors import ConfigError
from streamline.infer import Compute, Precision, map_frames, open_scorer, score_frames, settle
from streamline.learn import FitSettings, fit_frames
from streamline.model import Model
from tests.support.parts import parts

pytest.importorskip("torch")
import torch

from streamline.infer.torch_backend.engine import batch_sizes
from streamline.infer.torch_backend.processors import processor_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch has no CUDA device here"),
]

Bytes = npt.NDArray[np.uint8]

OPENVINO = Compute(precision="f32")
CUDA = Compute(backend="torch", device="cuda:0")


def scores_of(model: Model, frames: Bytes, compute: Compute) -> npt.NDArray[np.float32]:
    return np.concatenate(list(score_frames(model, frames, compute=compute)))


@pytest.fixture(scope="module")
def exact() -> Model:
    """Fitted on a network that is not quantised."""
    settings = FitSettings(compute=OPENVINO, precision="bf16")
    return fit_frames(parts(24, seed=1), settings, source="drawn parts").model


@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 1e-3), ("f16", 0.01), ("bf16", 0.04)])
def test_scores_are_openvino_s_and_no_verdict_differs(
    exact: Model, frames: Bytes, precision: Precision, tolerance: float
) -> None:
    expected = scores_of(exact, frames, OPENVINO)
    found = scores_of(exact, frames, replace(CUDA, precision=precision))
    np.testing.assert_allclose(found, expected, rtol=tolerance)
    assert np.array_equal(found > exact.threshold, expected > exact.threshold)


def test_eight_bits_are_rounded_as_openvino_rounds_them(model: Model, frames: Bytes) -> None:
    expected = scores_of(model, frames, OPENVINO)
    for precision in ("f32", "f16"):
        found = scores_of(model, frames, replace(CUDA, precision=precision))
        np.testing.assert_allclose(found, expected, rtol=0.02)
        assert np.array_equal(found > model.threshold, expected > model.threshold)


def test_maps_are_openvino_s(exact: Model, frames: Bytes) -> None:
    found = np.concatenate(list(map_frames(exact, frames, compute=CUDA)))
    drawn = np.concatenate(list(map_frames(exact, frames, compute=OPENVINO)))
    np.testing.assert_allclose(found, drawn, rtol=0.05, atol=0.02 * float(drawn.max()))


@pytest.mark.parametrize("size", [1, 3, 8])
def test_captured_graphs_give_what_single_kernels_give(
    exact: Model, frames: Bytes, size: int
) -> None:
    graphs = scores_of(exact, frames, replace(CUDA, max_batch=size))
    single = scores_of(exact, frames, replace(CUDA, max_batch=size, fixed_batch=False))
    np.testing.assert_allclose(graphs, single, rtol=2e-3)


def test_batches_under_way_at_once_keep_their_frames_apart(exact: Model, frames: Bytes) -> None:
    expected = scores_of(exact, frames, CUDA)
    finished: SimpleQueue[int] = SimpleQueue()
    scorer = open_scorer([exact], CUDA, on_done=finished.put)
    draw = np.random.default_rng(3)
    under_way: dict[int, npt.NDArray[np.int64]] = {}
    free = list(range(scorer.slots))
    assert len(free) == 3
    for _ in range(200):
        while free:
            slot = free.pop()
            chosen = draw.integers(0, len(frames), draw.integers(1, 9))
            scorer.input(slot)[: len(chosen)] = frames[chosen]
            under_way[slot] = chosen
            scorer.start(slot, len(chosen))
        slot = finished.get(timeout=60)
        np.testing.assert_allclose(scorer.result(slot), expected[under_way.pop(slot)], rtol=5e-3)
        free.append(slot)
    scorer.close()


def test_heads_of_several_models_get_their_own_rows(exact: Model, frames: Bytes) -> None:
    settings = FitSettings(compute=OPENVINO, precision="bf16", retain=0.7)
    other = fit_frames(parts(16, seed=6), settings, source="drawn parts").model
    finished: SimpleQueue[int] = SimpleQueue()
    scorer = open_scorer([exact, other], CUDA, on_done=finished.put)
    scorer.input(0)[:8] = frames[:8]
    scorer.start(0, 3, 5)
    assert finished.get(timeout=60) == 0
    first, second = scorer.result(0), scorer.result(0, head=1)
    np.testing.assert_allclose(first, scores_of(exact, frames[:3], CUDA), rtol=5e-3)
    np.testing.assert_allclose(second, scores_of(other, frames[3:8], CUDA), rtol=5e-3)
    scorer.close()


def test_frames_and_results_lie_in_pinned_memory_and_are_copied_beside_the_work() -> None:
    processor = processor_of(settle(CUDA))
    host = processor.host((64, 256, 256, 3), torch.uint8)
    assert host.is_pinned()
    room = processor.staging(host)
    assert room.device == torch.device("cuda:0")
    copied = processor.event()
    with processor.computing():
        # A second or more, in cycles.
        torch.cuda._sleep(2_000_000_000)  # type: ignore[no-untyped-call]
        computed = processor.event()
        computed.record()
    with processor.copying():
        room.copy_(host, non_blocking=True)
        copied.record()
    copied.synchronize()
    assert isinstance(computed, torch.cuda.Event)
    assert not computed.query()  # type: ignore[no-untyped-call]
    computed.synchronize()


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Let torch have only little of the device."""
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, 2.5e8 / whole), 0)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0, 0)
    torch.cuda.empty_cache()


@pytest.mark.usefixtures("little_memory")
def test_a_device_too_small_for_the_batch_is_one_sentence(exact: Model) -> None:
    assert batch_sizes(256)[-1] == 256
    with pytest.raises(ConfigError, match="too small for batches of 256 frames; take smaller"):
        open_scorer([exact], replace(CUDA, max_batch=256), on_done=SimpleQueue[int]().put)


def test_a_device_too_many_is_told_with_those_that_are_there() -> None:
    with pytest.raises(ConfigError, match=r"no device 'cuda:77'.* it has cuda:0"):
        settle(replace(CUDA, device="cuda:77"))


def test_half_precision_is_what_a_gpu_is_given_and_f32_what_was_stored_so() -> None:
    assert settle(CUDA).precision == "f16"
    assert settle(CUDA, stored="f32").precision == "f32"
