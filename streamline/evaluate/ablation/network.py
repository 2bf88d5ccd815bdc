"""The network whose layers an ablation compares."""

from collections.abc import Sequence

from streamline.backbone import Backbone, describe, find, get, is_shipped
from streamline.learn import FitSettings

__all__ = ["open_network"]


def open_network(settings: FitSettings, /) -> Backbone:
    """Find the network that was asked for, with the layers that were, or else all known ones.

    Raises
    ------
    ModelError, InputError
        See `streamline.backbone.find`.
    """
    own = [*settings.score_layers, *settings.map_layers]
    return find(
        settings.backbone,
        list(dict.fromkeys(own)) or _known(settings),
        precision=settings.precision,
        size=settings.size,
        weights=settings.weights,
    )


def _known(settings: FitSettings) -> Sequence[str]:
    """List all layers, shallow to deep; of a shipped network those that come with it."""
    if is_shipped(settings.backbone) and settings.weights is None:
        return list(get(settings.backbone).layers)
    return list(describe(settings.backbone).layers) or list(settings.resolved().score_layers)
