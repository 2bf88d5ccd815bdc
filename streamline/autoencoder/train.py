"""One linear autoencoder, trained on frames in the coordinates of their span or a part of it.

Gradients are sums of frames, so a training that starts in the span of the frames never leaves
it: to train on ``m`` coordinates is to train on all ``d`` features, at ``m / d`` of the cost.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamline.fre import Epoch, Points, Training

__all__ = ["Trained", "train_autoencoder"]

Singles = npt.NDArray[np.float32]

_DECAY = 0.8
"""Steps become this much shorter whenever an epoch ended with a larger error than the best."""

_MOMENTA = (0.9, 0.95)

_CPU = "cpu"


class Weights(NamedTuple):
    """Encoder and decoder, each of shape ``(k, m)``; the same array if they are tied."""

    encoder: Singles
    decoder: Singles


class Trained(NamedTuple):
    """What a training ended with, and how it went."""

    weights: Weights
    curve: tuple[Epoch, ...]
    snapshots: dict[int, Weights]
    """Weights after the epochs that were asked for; the last, if it stopped before."""


def train_autoencoder(
    points: Points,
    training: Training,
    /,
    *,
    rank: int,
    tied: bool,
    on_epoch: Callable[[Epoch], None] = lambda _epoch: None,
) -> Trained:
    """Train until the error is close to that of as many principal directions.

    Parameters
    ----------
    points : Points
        The span of the frames, or a part of it; the optimum is read from the variances.
    rank : int
        Hidden units, less than the axes.
    tied : bool
        Whether the decoder is the encoder transposed.
    on_epoch : callable
        Told the error before the first epoch and after each.

    Raises
    ------
    ValueError
        If the error grows beyond all bounds, or there is no such device, or it fails.
    """
    with _one_thread():
        try:
            return _trained(_Run(points, training, rank=rank, tied=tied), training, on_epoch)
        except (RuntimeError, AssertionError) as exc:
            reason = str(exc).strip().splitlines()[0]
            msg = f"torch can't train on {training.device or _CPU!r}: {reason}"
            raise ValueError(msg) from exc


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread for a while.

    A step's products are small, and threads that wait for one another after each of them cost
    more than they save as soon as something else wants the processor too.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _trained(run: "_Run", training: Training, on_epoch: Callable[[Epoch], None]) -> Trained:
    curve: list[Epoch] = []
    snapshots: dict[int, Weights] = {}
    for epoch in run.epochs():
        curve.append(epoch)
        on_epoch(epoch)
        if epoch.epoch in training.snapshots:
            snapshots[epoch.epoch] = run.weights()
        if epoch.excess <= training.tolerance:
            break
    weights = run.weights()
    for wanted in training.snapshots:
        snapshots.setdefault(wanted, weights)
    return Trained(weights, tuple(curve), snapshots)


class _Run:
    """A training under way."""

    def __init__(self, frames: Points, training: Training, *, rank: int, tied: bool) -> None:
        self._training = training
        self._random = torch.Generator().manual_seed(training.seed)
        coordinates = frames.coordinates
        n, m = coordinates.shape
        total = float(frames.variances.sum()) + frames.discarded
        # What no weights can change: it belongs to the error, and to the optimum.
        self._outside = frames.discarded / total
        self._optimum = float(frames.variances[rank:].sum()) / total + self._outside
        # Adam works coordinate by coordinate: on principal axes it would be told the answer.
        self._turn = torch.linalg.qr(torch.randn(m, m, generator=self._random))[0]
        points = torch.from_numpy(np.asarray(coordinates / np.sqrt(total / n), np.float32))
        self._device = torch.device(training.device or _CPU)
        self._points = (points @ self._turn).to(self._device)
        self._encoder = self._initial(rank, m)
        self._decoder = self._encoder if tied else self._initial(rank, m)
        weights = [self._encoder] if tied else [self._encoder, self._decoder]
        self._error = 0.0
        self._optimiser = torch.optim.Adam(weights, lr=training.rate, betas=_MOMENTA)

    def _initial(self, rank: int, m: int) -> Tensor:
        if self._training.initial == "pca":
            rows = self._turn[:rank]
        else:
            rows = torch.linalg.qr(torch.randn(m, rank, generator=self._random))[0].T
        weights: Tensor = rows.clone().to(self._device).requires_grad_()
        return weights

    def epochs(self) -> Iterator[Epoch]:
        """Show all frames again and again, in another order each time."""
        best = self._loss_over_all()
        yield Epoch(epoch=0, excess=self._excess())
        for number in range(1, self._training.epochs + 1):
            order = torch.randperm(len(self._points), generator=self._random)
            for chosen in torch.split(order.to(self._points.device), self._training.batch):
                self._step(self._points[chosen])
            loss = self._loss_over_all()
            if not np.isfinite(loss):
                msg = f"the training diverged in epoch {number}; take a smaller rate"
                raise ValueError(msg)
            if loss > best:
                for group in self._optimiser.param_groups:
                    group["lr"] *= _DECAY
            best = min(best, loss)
            yield Epoch(epoch=number, excess=self._excess())

    def _step(self, points: Tensor) -> None:
        self._optimiser.zero_grad()
        bf16 = self._training.precision == "bf16"
        with torch.autocast(points.device.type, torch.bfloat16, enabled=bf16):
            rebuilt = (points @ self._encoder.T) @ self._decoder
        loss = (points - rebuilt.float()).square().sum(dim=1).mean() + self._penalty()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()

    def _penalty(self) -> Tensor:
        squares = self._encoder.square().sum() + self._decoder.square().sum()
        return self._training.regulariser * squares

    @torch.no_grad()
    def _loss_over_all(self) -> float:
        rebuilt = (self._points @ self._encoder.T) @ self._decoder
        self._error = float((self._points - rebuilt).square().sum(dim=1).mean())
        return self._error + float(self._penalty())

    def _excess(self) -> float:
        """Compare the error that was last found with the optimum."""
        return (self._error + self._outside) / self._optimum - 1

    @torch.no_grad()
    def weights(self) -> Weights:
        """Copy the weights, turned back to the axes of the span."""
        encoder = self._turned_back(self._encoder)
        if self._decoder is self._encoder:
            return Weights(encoder, encoder)
        decoder = self._turned_back(self._decoder)
        # Scaled against each other they reconstruct the same; alike they round alike.
        scale = np.sqrt(np.linalg.norm(decoder, axis=1) / np.linalg.norm(encoder, axis=1))[:, None]
        return Weights(encoder * scale, decoder / scale)

    def _turned_back(self, weights: Tensor) -> Singles:
        return np.asarray((weights.cpu() @ self._turn.T).numpy(), np.float32).copy()
