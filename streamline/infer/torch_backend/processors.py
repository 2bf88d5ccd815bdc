"""Where graphs run, and how work is queued there: what is CUDA's own is here, and nowhere else.

A GPU is told what to do long before it does it. A batch's frames are copied on a stream of their
own while the last batch is computed on another, and whoever needs a result waits for the event
behind it, so that neither stream ever runs dry for want of orders. A CPU has done what it was
asked when the call returns: the same steps, and nothing to wait for.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock
from typing import Protocol

import torch
from torch import Tensor

from streamline.infer.protocol import Compute
from streamline.infer.torch_backend.device import device_of

__all__ = ["Captured", "Event", "Processor", "is_lost", "processor_of"]

Outputs = tuple[Tensor, ...]
Captured = tuple[Callable[[], None], Outputs]
"""What does the same work again, and where its results are then."""

_WARM_UP = 3
"""Runs before a capture: libraries choose their kernels and take their memory in them."""

_LOST = ("CUDA error", "cuDNN error", "CUDNN_STATUS", "CUBLAS_STATUS", "CUSOLVER_STATUS")
"""What failures say after which a process has no use of its device any more."""


class Event(Protocol):
    """A place in a queue of work."""

    def record(self) -> None:
        """Put it behind all that has been queued in the present context."""
        ...

    def wait(self) -> None:
        """Let what is queued next in the present context begin only after it."""
        ...

    def synchronize(self) -> None:
        """Wait here until it has been reached."""
        ...


class Processor(Protocol):
    """A device, with a queue for copies to it and one for the rest."""

    device: torch.device
    fixed: bool
    """Whether graphs run in a few fixed batch sizes, each captured once."""

    def host(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Make a buffer that the device reads and writes by itself."""
        ...

    def staging(self, host: Tensor) -> Tensor:
        """Make room on the device for a copy of a buffer; the buffer, if it is there already."""
        ...

    def event(self) -> Event:
        """Make an event."""
        ...

    def copying(self) -> AbstractContextManager[None]:
        """Queue copies to the device, beside what it computes."""
        ...

    def computing(self) -> AbstractContextManager[None]:
        """Queue work behind all that has been queued so; one thread at a time where it matters."""
        ...

    def capture(self, work: Callable[[], Outputs]) -> Captured:
        """Record work on tensors that stay where they are, within `computing`.

        Raises
        ------
        RuntimeError
            If the device can't.
        """
        ...

    def free(self) -> None:
        """Give back memory that nothing uses."""
        ...


def processor_of(compute: Compute) -> Processor:
    """Return the processor of settled compute."""
    device = device_of(compute)
    if device.type == "cuda":
        return _Gpu(device, fixed=compute.fixed_batch is not False)
    if compute.threads is not None:
        torch.set_num_threads(compute.threads)
    return _Cpu(device, fixed=bool(compute.fixed_batch))


def is_lost(failure: Exception) -> bool:
    """Whether no later work on the device can succeed in this process."""
    return isinstance(failure, torch.AcceleratorError) or (
        isinstance(failure, RuntimeError) and any(sign in str(failure) for sign in _LOST)
    )


class _Done:
    """An event where nothing is ever queued."""

    def record(self) -> None:
        """Nothing."""

    def wait(self) -> None:
        """Nothing."""

    def synchronize(self) -> None:
        """Nothing."""


class _Cpu:
    """See `Processor`."""

    def __init__(self, device: torch.device, *, fixed: bool) -> None:
        self.device = device
        self.fixed = fixed
        # Captured work has inputs and results that all threads share.
        self._turn: AbstractContextManager[object] = Lock() if fixed else nullcontext()

    def host(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Plain memory."""
        return torch.empty(shape, dtype=dtype)

    def staging(self, host: Tensor) -> Tensor:
        """Return the buffer itself."""
        return host

    def event(self) -> Event:
        """One that has always been reached."""
        return _Done()

    @contextmanager
    def copying(self) -> Iterator[None]:
        """Nothing to arrange."""
        yield

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Take turns if there is something to share."""
        with self._turn:
            yield

    def capture(self, work: Callable[[], Outputs]) -> Captured:
        """Do the work anew each time, and leave its results where the first ones are."""
        outputs = work()

        def replay() -> None:
            for kept, fresh in zip(outputs, work(), strict=True):
                kept.copy_(fresh)

        return replay, outputs

    def free(self) -> None:
        """Nothing is held back."""


class _Gpu:
    """See `Processor`."""

    def __init__(self, device: torch.device, *, fixed: bool) -> None:
        self.device = device
        self.fixed = fixed
        # Else what is allocated here and now would be the first device's.
        torch.cuda.set_device(device)
        _compute_as_asked()
        self._copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._work = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._turn = Lock()
        # Shared by all graphs: they run one after the other, and what one gives is read before
        # the next one runs.
        self._pool = torch.cuda.graph_pool_handle()

    def host(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Pinned memory."""
        return torch.empty(shape, dtype=dtype, pin_memory=True)

    def staging(self, host: Tensor) -> Tensor:
        """Memory of the device."""
        return torch.empty_like(host, device=self.device)

    def event(self) -> Event:
        """One that a thread sleeps at, instead of going round."""
        event: Event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        return event

    @contextmanager
    def copying(self) -> Iterator[None]:
        """Queue on the stream of copies."""
        with torch.cuda.stream(self._copies):
            yield

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Queue on the stream of work, where batches must not mix."""
        with self._turn, torch.cuda.stream(self._work):
            yield

    def capture(self, work: Callable[[], Outputs]) -> Captured:
        """Record a CUDA graph: one order instead of one for each kernel."""
        for _ in range(_WARM_UP):
            work()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(
            graph, pool=self._pool, stream=self._work, capture_error_mode="thread_local"
        ):
            outputs = work()
        return graph.replay, outputs

    def free(self) -> None:
        """Empty the allocator's cache."""
        torch.cuda.empty_cache()


def _compute_as_asked() -> None:
    """Set what torch would otherwise round in, and let convolutions be tried out once."""
    torch.backends.cudnn.benchmark = True
    # f32 means f32: TF32 has no more bits than f16.
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    # A head sums over all features: in half precision that is worth nothing.
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
