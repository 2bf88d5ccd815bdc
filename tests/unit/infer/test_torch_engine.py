"""How batches run on torch: in fixed sizes, in parts when memory is short, and when all is lost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt
import pytest
from structlog.testing import capture_logs

from streamline.errors import ConfigError, DeviceLostError, InferenceError
from streamline.infer import Compute, open_scorer, score_frames
from streamline.model import Model

pytest.importorskip("torch")
import torch

from streamline.infer.torch_backend.engine import Engine, Graphs, batch_sizes
from streamline.infer.torch_backend.processors import Outputs, Processor, processor_of
from streamline.infer.torch_backend.slots import Slot

Bytes = npt.NDArray[np.uint8]

TORCH = Compute(backend="torch", precision="f32")
SHAPE = (8, 4, 4, 3)


class Means(torch.nn.Module):
    """The mean of each frame; fails as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: Callable[[int], Exception | None] = lambda _count: None
        self.seen: list[int] = []

    def forward(self, frames: torch.Tensor) -> Outputs:
        self.seen.append(len(frames))
        failure = self.fails(len(frames))
        if failure is not None:
            raise failure
        return (frames.float().mean(dim=(1, 2, 3))[:, None],)


class Doubled(torch.nn.Module):
    def forward(self, means: torch.Tensor) -> Outputs:
        return (2 * means,)


def graphs(network: torch.nn.Module, *heads: torch.nn.Module) -> Graphs:
    traced = [torch.fx.symbolic_trace(head) for head in heads]
    # Not traced: it decides by the size of the batch.
    module = torch.fx.GraphModule(torch.nn.Module(), torch.fx.Graph())
    module.forward = network.forward
    return Graphs(module, tuple(traced), ("mean",))


def slot_of(parts: Graphs, *, fixed: bool = False) -> Slot:
    processor = processor_of(replace(TORCH, fixed_batch=fixed))
    slot = Slot(Engine(parts, processor, SHAPE), processor, SHAPE)
    slot.pixels[:] = np.arange(8, dtype=np.uint8)[:, None, None, None]
    return slot


def means_by(slot: Slot, *counts: int) -> list[list[float]]:
    slot.start(counts)
    slot.run()
    return [slot.output(head, "mean").ravel().tolist() for head, n in enumerate(counts) if n]


def test_sizes_are_doubled_up_to_the_largest_batch() -> None:
    assert [batch_sizes(most) for most in (1, 2, 3, 8, 9)] == [
        [1],
        [1, 2],
        [1, 2, 3],
        [1, 2, 4, 8],
        [1, 2, 4, 8, 9],
    ]


def test_a_batch_runs_in_the_next_fixed_size_and_gives_only_its_own_frames() -> None:
    network = Means()
    slot = slot_of(graphs(network), fixed=True)
    for count in (8, 3, 1, 5):
        network.seen.clear()
        assert means_by(slot, count) == [list(range(count))]
        assert network.seen == [next(size for size in (1, 2, 4, 8) if size >= count)]


@pytest.mark.parametrize("fixed", [False, True])
def test_each_head_gets_its_own_rows(*, fixed: bool) -> None:
    slot = slot_of(graphs(Means(), Doubled(), Doubled(), Doubled()), fixed=fixed)
    assert means_by(slot, 3, 0, 2) == [[0, 2, 4], [6, 8]]
    assert means_by(slot, 1, 1, 1) == [[0], [2], [4]]


@pytest.mark.parametrize("fixed", [False, True])
def test_where_memory_is_short_the_batch_is_run_again_in_halves(*, fixed: bool) -> None:
    network = Means()
    slot = slot_of(graphs(network, Doubled()), fixed=fixed)
    network.fails = lambda count: torch.OutOfMemoryError("no room") if count > 4 else None
    with capture_logs() as logs:
        assert means_by(slot, 7) == [[0, 2, 4, 6, 8, 10, 12]]
    assert [(one["log_level"], one["most"]) for one in logs] == [("warning", 3)]
    network.seen.clear()
    with capture_logs() as logs:
        assert means_by(slot, 8) == [[0, 2, 4, 6, 8, 10, 12, 14]]
    assert not logs
    assert max(network.seen) <= 4


def test_a_device_without_memory_for_half_a_batch_is_lost() -> None:
    network = Means()
    slot = slot_of(graphs(network))
    network.fails = lambda _count: torch.OutOfMemoryError("no room at all\nand so on")
    with pytest.raises(DeviceLostError, match=r"no memory for a batch.*: no room at all$"):
        means_by(slot, 4)


@pytest.mark.parametrize(
    "failure",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nand more"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate`"),
    ],
)
def test_a_device_in_trouble_is_lost(failure: Exception) -> None:
    network = Means()
    slot = slot_of(graphs(network))
    network.fails = lambda _count: failure
    with pytest.raises(DeviceLostError, match=r"lost to this process: (CUDA|cuDNN) error"):
        means_by(slot, 2)


def test_any_other_failure_is_the_batch_s_own() -> None:
    network = Means()
    slot = slot_of(graphs(network))
    network.fails = lambda _count: RuntimeError("this batch only")
    with pytest.raises(InferenceError, match="on a batch of frames: this batch only"):
        means_by(slot, 2)
    network.fails = lambda _count: None
    assert means_by(slot, 2) == [[0, 1]]


class NoGraphs:
    """A processor that can't capture."""

    def __init__(self, given: Processor) -> None:
        self._given = given
        self.device, self.fixed = given.device, True
        self.host, self.staging, self.event = given.host, given.staging, given.event
        self.copying, self.free = given.copying, given.free

    @contextmanager
    def computing(self) -> Iterator[None]:
        with self._given.computing():
            yield

    def capture(self, _work: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]:
        msg = "CUDA error: operation not permitted when stream is capturing"
        raise RuntimeError(msg)


def test_where_nothing_can_be_captured_batches_run_as_they_come() -> None:
    network, processor = Means(), NoGraphs(processor_of(replace(TORCH, fixed_batch=True)))
    with capture_logs() as logs:
        slot = Slot(Engine(graphs(network), processor, SHAPE), processor, SHAPE)
    assert "operation not permitted" in logs[0]["why"]
    slot.pixels[:] = 3
    assert means_by(slot, 5) == [[3] * 5]
    assert network.seen == [5]


def test_a_model_in_fixed_sizes_scores_as_it_does_in_any(model: Model, frames: Bytes) -> None:
    expected = np.concatenate(list(score_frames(model, frames, compute=TORCH)))
    fixed = replace(TORCH, fixed_batch=True, max_batch=4, streams=2)
    found = np.concatenate(list(score_frames(model, frames, compute=fixed)))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_device_too_small_for_the_model_is_one_sentence(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: Engine, *_given: object) -> Iterator[None]:
        msg = "CUDA out of memory. Tried to allocate 20.00 MiB.\nGPU 0 has …"
        raise torch.OutOfMemoryError(msg)

    monkeypatch.setattr(Engine, "run", full)
    with pytest.raises(ConfigError, match="too small for batches of 8 frames; take") as caught:
        open_scorer([model], TORCH, on_done=SimpleQueue[int]().put)
    assert len(str(caught.value).splitlines()) == 1
