"""From what a user names to a network that can be run."""

from collections.abc import Sequence
from pathlib import Path

from streamline.backbone import shipped
from streamline.backbone.catalogue import Levels, describe
from streamline.backbone.exports import PRECISIONS, find_export
from streamline.backbone.folder import Backbone
from streamline.backbone.taps import parse_tap
from streamline.errors import ModelError
from streamline.progress import Progress, ignore_progress

__all__ = ["default_layers", "default_levels", "find"]


def default_layers(name: str, /) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the layers that make the score, and those that make the map, if none are named.

    Raises
    ------
    ModelError
        If there is no such network, or none of its layers is known here.
    """
    network = describe(name)
    if not network.score_layers:
        msg = f"name the layers of {name} that are to be used (--layers)"
        raise ModelError(msg)
    return network.score_layers, network.map_layers


def default_levels(name: str, /) -> Levels:
    """Return the layer that SGFR samples by, and those it reconstructs, if none are named.

    Raises
    ------
    ModelError
        If there is no such network, or none of its layers is known here.
    """
    network = describe(name)
    if network.levels is None:
        msg = f"name the layers of {name} that are to be used (--layers and --sampling-level)"
        raise ModelError(msg)
    return network.levels


def find(
    name: str,
    layers: Sequence[str],
    /,
    *,
    precision: str | None = None,
    size: int = 256,
    weights: Path | None = None,
    progress: Progress = ignore_progress,
) -> Backbone:
    """Return a network with the named layers: the shipped one where it suffices.

    Parameters
    ----------
    layers : sequence of str
        Those in question, pooled or not; a shipped network may have more.
    precision : str, optional
        Of the stored weights; None: int8 where that is shipped, else fp16.
    size : int
        Height and width of the input, px.
    weights : Path, optional
        A file or folder of trained weights to use instead of the published ones.
    progress : Progress
        Told of what takes long: quantising.

    Raises
    ------
    ModelError
        If there is no such network, layer, precision or size, a layer can't be pooled so, torch
        or nncf is needed and missing, or the weights do not fit.
    InputError
        If the weights are not there.
    """
    network = describe(name)
    if precision not in {None, *PRECISIONS}:
        msg = f"backbone {name} comes in {', '.join(PRECISIONS)}, not in {precision!r}"
        raise ModelError(msg)
    whole = list(dict.fromkeys(parse_tap(layer).layer for layer in layers))
    if weights is None and shipped.serves(name, whole, precision):
        net = shipped.get(name, precision or "int8", size)
    else:
        net = find_export(
            network,
            whole,
            precision=precision or "fp16",
            size=size,
            weights=weights,
            progress=progress,
        )
    for layer in layers:
        net.layer(layer)  # For what it refuses.
    return net
