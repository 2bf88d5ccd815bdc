"""SGFR's part of a fit: the features of all frames, stored, and the scores of frames held out."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamline.backbone import Backbone
from streamline.errors import InputError
from streamline.fre import held_out, span_of
from streamline.infer import Features
from streamline.learn.algebra import algebra_of
from streamline.learn.detector import FittedDetector, Places
from streamline.learn.holdout import HoldOut
from streamline.learn.settings import SgfrSettings
from streamline.model import BankLayer, SgfrDetector, hide_cells
from streamline.progress import Progress
from streamline.sgfr import Judge, most_frames, store_bank

__all__ = ["BankFit"]

Matrices = dict[str, npt.NDArray[np.float32]]

_TOGETHER = 8
"""Held-out frames that are scored at a time."""


class BankFit:
    """Takes the features of all frames in batches, and keeps them all: they are the model."""

    def __init__(self, net: Backbone, settings: SgfrSettings) -> None:
        self._net = net
        self._settings = settings
        self._batches: list[Features] = []
        self.frames = 0

    def add(self, passes: Sequence[Features], /) -> None:
        """Take the features of a batch, all from one pass.

        Raises
        ------
        InputError
            If there are more frames than a bank may hold.
        """
        (features,) = passes
        self._batches.append(features)
        self.frames += len(features[self._settings.deepest])
        most = most_frames([rows.shape[1] for rows in features.values()])
        if self.frames > most:
            msg = f"a memory bank of these layers holds {most} frames at most; set --max-frames"
            raise InputError(msg)

    def finish(self, held: HoldOut, progress: Progress) -> FittedDetector:
        """Store the bank, and score each frame by the bank without its block.

        Raises
        ------
        ValueError
            If the frames do not differ, or hold values that are no finite numbers.
        """
        features = self._joined()
        algebra = algebra_of(self._settings.compute)
        places = Places.of(span_of(features[self._settings.deepest], algebra=algebra))
        layers: dict[str, BankLayer] = {}
        for name, matrix in features.items():
            layer = self._net.layer(name)
            layers[name] = BankLayer(
                bank=store_bank(matrix, precision=self._settings.bank_precision),
                shape=(layer.channels, layer.height, layer.width),
            )
            progress("layers", len(layers), len(features))
        size = self._net.height, self._net.width
        whole = SgfrDetector(layers=layers, recipe=self._settings.recipe)
        detector = hide_cells(whole, self._settings.mask, size=size)
        judge = detector.judge(size=size, maps=False)
        scores = _heldout_scores(judge, features, held)
        return FittedDetector(detector=detector, scores=scores, held=held, places=places)

    def _joined(self) -> Matrices:
        """Concatenate layer by layer, so that one layer at most is held twice."""
        names = self._settings.recipe.layers
        parts = {name: [batch[name] for batch in self._batches] for name in names}
        self._batches.clear()
        return {name: np.concatenate(parts.pop(name)) for name in names}


def _heldout_scores(judge: Judge, features: Matrices, held: HoldOut) -> npt.NDArray[np.float64]:
    n = len(next(iter(features.values())))
    scores = np.empty(n)
    for block, others in held_out(n, blocks=held.blocks, gap=held.gap):
        known = np.zeros((_TOGETHER, n), np.bool_)
        known[:, others] = True
        for start in range(block.start, block.stop, _TOGETHER):
            part = slice(start, min(start + _TOGETHER, block.stop))
            some = {name: matrix[part] for name, matrix in features.items()}
            scores[part] = judge.scores(some, known=known[: part.stop - part.start])
    return scores
