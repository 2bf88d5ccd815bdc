"""SGFR as a model's detector: a memory bank per layer, how it is held and how it is stored."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from streamline.model.entries import Count, Entry, Level, Shape, Shapes, Side, Tap, TapName
from streamline.sgfr import (
    MOST_STEPS,
    BankPrecision,
    Judge,
    Recipe,
    ScoreRule,
    StoredBank,
    finest,
    most_frames,
)

__all__ = ["BankLayer", "SgfrDetector", "SgfrEntry"]

_DTYPES: dict[BankPrecision, str] = {"float16": "F16", "int8": "I8"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BankLayer:
    """One layer's memory bank and the shape its features were flattened from."""

    bank: StoredBank

    shape: Shape
    """Channels, rows, columns."""

    kept: npt.NDArray[np.bool_] | None = None
    """Shape ``(rows, columns)``: cells that are judged; None: all, and no mask was ever there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SgfrDetector:
    """Scores a frame by what combinations of few normal frames can't reconstruct."""

    layers: Mapping[str, BankLayer]
    """Of `Recipe.layers`, each with the same frames in the same order; taken from one pass of
    the backbone, which has to be asked for all of them whatever is computed."""

    recipe: Recipe

    kind: ClassVar[Literal["sgfr"]] = "sgfr"

    @property
    def score_taps(self) -> tuple[str, ...]:
        """Layers that the backbone is asked for to score: those the bank was made with."""
        return self.recipe.layers

    @property
    def map_taps(self) -> tuple[str, ...]:
        """Layers that the backbone is asked for to map: the same."""
        return self.recipe.layers

    @property
    def frames(self) -> int:
        """Number of normal frames in the bank."""
        return self.layers[self.recipe.sampling_layer].bank.frames

    @property
    def precision(self) -> BankPrecision:
        """What the bank is stored in."""
        return self.layers[self.recipe.sampling_layer].bank.precision

    @property
    def nbytes(self) -> int:
        """Size of the bank as it is stored, B."""
        return sum(layer.bank.nbytes for layer in self.layers.values())

    @property
    def map_shape(self) -> tuple[int, int]:
        """Rows and columns of the finest map layer, which are those of a map."""
        return finest([self.layers[name].shape for name in self.recipe.map_layers])

    def taps(self) -> Iterator[Tap]:
        """Yield what features it takes, and in what shape."""
        return ((name, layer.shape) for name, layer in self.layers.items())

    def judge(self, *, size: tuple[int, int], maps: bool) -> Judge:
        """Open the bank for use, in float32.

        Parameters
        ----------
        size : tuple of (rows, columns)
            Of an input frame, px.
        maps : bool
            Whether maps are wanted: often scores alone need less of the bank.
        """
        needed = self.recipe.layers if maps else self.recipe.score_layers
        return Judge(
            {name: self.layers[name].bank.opened() for name in needed},
            self.recipe,
            shapes={name: layer.shape for name, layer in self.layers.items()},
            size=size,
            kept={name: one.kept for name, one in self.layers.items() if one.kept is not None},
        )

    def summary(self) -> tuple[str, str]:
        """Say what was learnt and how much of it, for people to read."""
        recipe = self.recipe
        return "bank", (
            f"{self.frames} frames in {self.precision}, {self.nbytes / 1e6:.1f} MB; "
            f"{recipe.samples} of them chosen by {recipe.sampling_layer}, "
            f"{recipe.sparsity} combined for {' and '.join(recipe.map_layers)}"
        )

    def entry(self) -> "SgfrEntry":
        """Describe what `tensors` holds, for the manifest."""
        recipe = self.recipe
        return SgfrEntry(
            layers={name: BankEntry(*layer.shape) for name, layer in self.layers.items()},
            frames=self.frames,
            precision=self.precision,
            sampling_layer=recipe.sampling_layer,
            map_layers=recipe.map_layers,
            samples=recipe.samples,
            sparsity=recipe.sparsity,
            tolerance=recipe.tolerance,
            rule=recipe.rule,
        )

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Name all arrays that have to be stored."""
        tensors: dict[str, npt.NDArray[Any]] = {}
        for name, layer in self.layers.items():
            tensors[f"bank.{name}.codes"] = layer.bank.codes
            tensors[f"bank.{name}.scales"] = layer.bank.scales
        return tensors


class BankEntry(Entry, frozen=True, kw_only=False):
    """See `BankLayer`."""

    channels: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
    height: Side
    width: Side

    @property
    def shape(self) -> Shape:
        """Channels, rows, columns."""
        return self.channels, self.height, self.width


_Steps = Annotated[int, msgspec.Meta(ge=1, le=MOST_STEPS)]


class SgfrEntry(Entry, frozen=True, tag_field="kind", tag="sgfr"):
    """See `SgfrDetector` and `Recipe`."""

    layers: Annotated[dict[TapName, BankEntry], msgspec.Meta(min_length=1, max_length=64)]
    frames: Count
    precision: BankPrecision
    sampling_layer: TapName
    map_layers: Annotated[tuple[TapName, ...], msgspec.Meta(min_length=1, max_length=64)]
    samples: _Steps
    sparsity: _Steps
    tolerance: Level
    rule: ScoreRule

    def __post_init__(self) -> None:
        """Refuse a recipe that does not go with the bank."""
        if set(self._recipe().layers) != set(self.layers):
            msg = "the bank's layers are not those that it is used with"
            raise ValueError(msg)
        if self.frames > most_frames([math.prod(shape) for _, shape in self.taps()]):
            msg = f"{self.frames} frames are too many for a bank of these layers"
            raise ValueError(msg)

    def shapes(self) -> Shapes:
        """Say which tensors there must be, before any is read."""
        shapes: Shapes = {}
        for name, layer in self.layers.items():
            features = layer.channels * layer.height * layer.width
            shapes[f"bank.{name}.codes"] = (_DTYPES[self.precision], (self.frames, features))
            shapes[f"bank.{name}.scales"] = ("F32", (self.frames,))
        return shapes

    def taps(self) -> Iterator[Tap]:
        """See `SgfrDetector.taps`."""
        return ((name, layer.shape) for name, layer in self.layers.items())

    def detector(self, tensors: Mapping[str, npt.NDArray[Any]], /) -> SgfrDetector:
        """Join with the tensors of those `shapes`."""
        layers = {
            name: BankLayer(
                bank=StoredBank(
                    codes=tensors[f"bank.{name}.codes"],
                    scales=tensors[f"bank.{name}.scales"],
                ),
                shape=layer.shape,
            )
            for name, layer in self.layers.items()
        }
        return SgfrDetector(layers=layers, recipe=self._recipe())

    def _recipe(self) -> Recipe:
        return Recipe(
            sampling_layer=self.sampling_layer,
            map_layers=self.map_layers,
            samples=self.samples,
            sparsity=self.sparsity,
            tolerance=self.tolerance,
            rule=self.rule,
        )
