"""FRE as a model's detector: a subspace per layer, how it is held and how it is stored."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from streamline.fre import LinearAutoencoder, Subspace
from streamline.model.entries import (
    Count,
    Entry,
    Level,
    Shape,
    Shapes,
    Share,
    Side,
    Tap,
    TapName,
)

__all__ = ["FittedLayer", "FreDetector", "FreEntry"]

Tensors = Mapping[str, npt.NDArray[Any]]

_HELDOUT = "score.heldout"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedLayer:
    """What reconstructs one layer's features, and the shape they were flattened from."""

    subspace: Subspace | LinearAutoencoder
    """Directions or weights in float16: the rounding moves a held-out frame's score by less than
    1e-5 of itself and halves what is stored and read for every frame."""

    shape: Shape
    """Channels, rows, columns."""

    kept: npt.NDArray[np.bool_] | None = None
    """Shape ``(rows, columns)``: cells that are judged; None: all, and no mask was ever there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FreDetector:
    """Scores a frame by what the subspaces of normal frames can't reconstruct."""

    score_layers: Mapping[str, FittedLayer]
    """Whose errors are fused to the score, by name."""

    map_layers: Mapping[str, FittedLayer]
    """Whose errors are fused to the map, by name; fitted apart from the score's."""

    retain: float
    """Share of the variance asked for."""

    shares: tuple[float, ...]
    """`retain`, and the smaller shares that this can be reduced to without any frame."""

    heldout: npt.NDArray[np.float32]
    """Shape ``(s, n)``: scores of the normal frames, held out, if a share is retained."""

    kind: ClassVar[Literal["fre"]] = "fre"

    @property
    def frames(self) -> int:
        """Number of normal frames it was fitted to."""
        return int(self.heldout.shape[1])

    @property
    def score_taps(self) -> tuple[str, ...]:
        """Layers that the score's graph asks the backbone for."""
        return tuple(self.score_layers)

    @property
    def map_taps(self) -> tuple[str, ...]:
        """Layers that the map's graph asks the backbone for."""
        return tuple(self.map_layers)

    @property
    def map_shape(self) -> tuple[int, int]:
        """Rows and columns of the finest map layer, which are those of a map."""
        shapes = [layer.shape[1:] for layer in self.map_layers.values()]
        return max(shapes, key=lambda shape: shape[0] * shape[1])

    def taps(self) -> Iterator[Tap]:
        """Yield what features it takes, and in what shape; some perhaps twice."""
        for layers in (self.score_layers, self.map_layers):
            for name, layer in layers.items():
                yield name, layer.shape

    def summary(self) -> tuple[str, str]:
        """Say what was learnt and how much of it, for people to read."""
        uses = {"score": self.score_layers, "map": self.map_layers}
        parts = [
            ", ".join(f"{name} {layer.subspace.rank}" for name, layer in layers.items())
            + f" for the {use}"
            for use, layers in uses.items()
        ]
        return "directions", "; ".join(parts)

    def entry(self) -> "FreEntry":
        """Describe what `tensors` holds, for the manifest."""
        return FreEntry(
            score_layers={name: _layer_entry(one) for name, one in self.score_layers.items()},
            map_layers={name: _layer_entry(one) for name, one in self.map_layers.items()},
            fusion="geometric-mean",
            retain=self.retain,
            shares=self.shares,
            frames=self.frames,
        )

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Name all arrays that have to be stored."""
        tensors: dict[str, npt.NDArray[Any]] = {_HELDOUT: self.heldout}
        for use, layers in (("score", self.score_layers), ("map", self.map_layers)):
            for name, layer in layers.items():
                for part, tensor in _parts(layer.subspace).items():
                    tensors[f"{use}.{name}.{part}"] = tensor
        return tensors


def _parts(subspace: Subspace | LinearAutoencoder) -> dict[str, npt.NDArray[Any]]:
    if isinstance(subspace, Subspace):
        return {
            "mean": subspace.mean,
            "directions": subspace.directions,
            "singular_values": subspace.singular_values,
        }
    parts = {"mean": subspace.mean, "encoder": subspace.encoder}
    return parts if subspace.tied else {**parts, "decoder": subspace.decoder}


def _layer_entry(layer: FittedLayer) -> "SubspaceEntry | AutoencoderEntry":
    channels, height, width = layer.shape
    if isinstance(layer.subspace, Subspace):
        return SubspaceEntry(
            channels=channels,
            height=height,
            width=width,
            rank=layer.subspace.rank,
            singular_values=len(layer.subspace.singular_values),
            retained=layer.subspace.retained,
            discarded=layer.subspace.discarded,
        )
    return AutoencoderEntry(
        channels=channels,
        height=height,
        width=width,
        rank=layer.subspace.rank,
        retained=layer.subspace.retained,
        tied=layer.subspace.tied,
    )


class LayerEntry(Entry, frozen=True, tag_field="method"):
    """See `FittedLayer`."""

    channels: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
    height: Side
    width: Side
    rank: Count

    def __post_init__(self) -> None:
        """Refuse more directions than there can be: some numbers are kept for each pair of them."""
        if self.rank > self.features:
            msg = f"{self.rank} directions of {self.features} features"
            raise ValueError(msg)

    @property
    def shape(self) -> Shape:
        """Channels, rows, columns."""
        return self.channels, self.height, self.width

    @property
    def features(self) -> int:
        """How many there are when the layer is flattened."""
        return self.channels * self.height * self.width


class SubspaceEntry(LayerEntry, frozen=True, tag="pca"):
    """See `streamline.fre.Subspace`."""

    singular_values: Count
    retained: Share
    discarded: Level

    def shapes(self) -> Shapes:
        """Say which tensors there must be."""
        return {
            "mean": ("F32", (self.features,)),
            "directions": ("F16", (self.rank, self.features)),
            "singular_values": ("F64", (self.singular_values,)),
        }

    def subspace(self, tensors: Tensors, /) -> Subspace:
        """Join with the tensors of those `shapes`."""
        return Subspace(
            mean=tensors["mean"],
            directions=tensors["directions"],
            singular_values=tensors["singular_values"],
            discarded=self.discarded,
        )


class AutoencoderEntry(LayerEntry, frozen=True, tag="autoencoder"):
    """See `streamline.fre.LinearAutoencoder`."""

    retained: Annotated[float, msgspec.Meta(ge=0, le=1)]
    tied: bool

    def shapes(self) -> Shapes:
        """Say which tensors there must be."""
        shape = (self.rank, self.features)
        shapes: Shapes = {"mean": ("F32", (self.features,)), "encoder": ("F16", shape)}
        return shapes if self.tied else {**shapes, "decoder": ("F16", shape)}

    def subspace(self, tensors: Tensors, /) -> LinearAutoencoder:
        """Join with the tensors of those `shapes`."""
        return LinearAutoencoder(
            mean=tensors["mean"],
            encoder=tensors["encoder"],
            decoder=tensors["encoder"] if self.tied else tensors["decoder"],
            retained=self.retained,
        )


AnyLayerEntry = SubspaceEntry | AutoencoderEntry
Layers = Annotated[dict[TapName, AnyLayerEntry], msgspec.Meta(min_length=1, max_length=64)]


class FreEntry(Entry, frozen=True, tag_field="kind", tag="fre"):
    """See `FreDetector`."""

    score_layers: Layers
    map_layers: Layers
    fusion: Literal["geometric-mean"]
    retain: Share
    shares: Annotated[tuple[Share, ...], msgspec.Meta(min_length=1, max_length=1024)]
    frames: Count

    def shapes(self) -> Shapes:
        """Say which tensors there must be, before any is read."""
        shapes: Shapes = {_HELDOUT: ("F32", (len(self.shares), self.frames))}
        for use, name, layer in self._each():
            for part, shape in layer.shapes().items():
                shapes[f"{use}.{name}.{part}"] = shape
        return shapes

    def detector(self, tensors: Tensors, /) -> FreDetector:
        """Join with the tensors of those `shapes`."""
        found: dict[str, dict[str, FittedLayer]] = {"score": {}, "map": {}}
        for use, name, layer in self._each():
            parts = {part: tensors[f"{use}.{name}.{part}"] for part in layer.shapes()}
            found[use][name] = FittedLayer(subspace=layer.subspace(parts), shape=layer.shape)
        return FreDetector(
            score_layers=found["score"],
            map_layers=found["map"],
            retain=self.retain,
            shares=self.shares,
            heldout=tensors[_HELDOUT],
        )

    def taps(self) -> Iterator[Tap]:
        """See `FreDetector.taps`."""
        return ((name, layer.shape) for _, name, layer in self._each())

    def _each(self) -> Iterator[tuple[str, str, AnyLayerEntry]]:
        for use, layers in (("score", self.score_layers), ("map", self.map_layers)):
            for name, layer in layers.items():
                yield use, name, layer
