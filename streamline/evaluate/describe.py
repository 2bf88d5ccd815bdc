"""What a model was fitted with, in the words that figures are reported in."""

from collections.abc import Mapping
from typing import NamedTuple

from streamline.fre import LinearAutoencoder
from streamline.model import FreDetector, Model, SgfrDetector

__all__ = ["Described", "describe"]


class Described(NamedTuple):
    """A model's method and size."""

    paper: str
    """Whose figures are comparable: ``fre`` or ``sgfr``."""

    method: str
    """As ``--method`` names it."""

    k: int
    """What a frame is scored by: FRE's directions, all score layers together; SGFR's frames in
    a sub-bank."""

    layers: Mapping[str, int]
    """How many layers went into each figure, by its name in `Figures`."""

    facts: Mapping[str, object]
    """All that was chosen, by name."""


def describe(model: Model, /) -> Described:
    """Describe a model's detector."""
    if isinstance(model.detector, SgfrDetector):
        return _describe_bank(model.detector)
    return _describe_subspaces(model.detector)


def _describe_subspaces(detector: FreDetector) -> Described:
    score = {name: layer.subspace.rank for name, layer in detector.score_layers.items()}
    maps = {name: layer.subspace.rank for name, layer in detector.map_layers.items()}
    return Described(
        paper="fre",
        method=_variant(detector),
        k=sum(score.values()),
        layers={"image_auroc": len(score), "pixel_auroc": len(maps), "pro": len(maps)},
        facts={"score_layers": score, "map_layers": maps},
    )


def _variant(detector: FreDetector) -> str:
    """Tell how the layers were learnt; a layer all of whose directions are kept needs no training.

    Of several trained layers all are tied or none is.
    """
    layers = (*detector.score_layers.values(), *detector.map_layers.values())
    tied = {one.subspace.tied for one in layers if isinstance(one.subspace, LinearAutoencoder)}
    if not tied:
        return "fre-pca"
    return "fre-aet" if tied == {True} else "fre-ae"


def _describe_bank(detector: SgfrDetector) -> Described:
    recipe = detector.recipe
    maps = len(recipe.map_layers)
    score = 1 if recipe.rule == "error" else maps
    return Described(
        paper="sgfr",
        method="sgfr",
        k=recipe.samples,
        layers={"image_auroc": score, "pixel_auroc": maps, "pro": maps},
        facts={
            "sampling_layer": recipe.sampling_layer,
            "map_layers": list(recipe.map_layers),
            "samples": recipe.samples,
            "sparsity": recipe.sparsity,
            "tolerance": recipe.tolerance,
            "score": recipe.rule,
            "bank_precision": detector.precision,
            "bank_bytes": detector.nbytes,
        },
    )
