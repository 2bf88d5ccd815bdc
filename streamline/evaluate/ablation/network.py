"""What an ablation is made with: the network whose layers it compares, the method's choices."""

from collections.abc import Sequence

from streamline.backbone import Backbone, describe, get, is_shipped, parse_tap
from streamline.errors import InputError
from streamline.learn import AnyFitSettings, FitSettings, SgfrSettings

__all__ = [
    "bank_settings",
    "compared_layers",
    "fre_settings",
    "open_network",
    "subspace_settings",
]


def open_network(settings: AnyFitSettings, layers: Sequence[str] = (), /) -> Backbone:
    """Find the network that was asked for, with the layers named or else all known ones.

    Raises
    ------
    ModelError, InputError
        See `streamline.backbone.find`.
    """
    return settings.find_backbone(layers or _known(settings))


def _known(settings: AnyFitSettings) -> Sequence[str]:
    """List all layers, shallow to deep; of a shipped network those that come with it."""
    if is_shipped(settings.backbone) and settings.weights is None:
        return list(get(settings.backbone).layers)
    known = list(describe(settings.backbone).layers)
    if not known:
        msg = f"name the layers of {settings.backbone} that are to be compared (--layers)"
        raise InputError(msg)
    return known


def compared_layers(net: Backbone, named: Sequence[str], /) -> list[str]:
    """List all layers of a network, and those named that are pooled, shallow to deep."""
    depths = {layer: depth for depth, layer in enumerate(net.layers)}
    every = dict.fromkeys([*net.layers, *named])
    return sorted(every, key=lambda layer: depths[parse_tap(layer).layer])


def subspace_settings(settings: AnyFitSettings, /) -> FitSettings:
    """Take what was asked for of FRE-PCA.

    Raises
    ------
    InputError
        If another method was asked for.
    """
    chosen = fre_settings(settings)
    if chosen.method == "fre-pca":
        return chosen
    msg = f"this ablation is of FRE-PCA, not of {chosen.method}; leave --method out, or vary method"
    raise InputError(msg)


def fre_settings(settings: AnyFitSettings, /) -> FitSettings:
    """Take what was asked for of FRE, however it learns.

    Raises
    ------
    InputError
        If SGFR was asked for.
    """
    if isinstance(settings, FitSettings):
        return settings
    msg = "this ablation is of FRE, not of sgfr; leave --method out, or vary bank or levels"
    raise InputError(msg)


def bank_settings(settings: AnyFitSettings, /) -> SgfrSettings:
    """Take what was asked for of SGFR; its defaults where no method was asked for.

    Raises
    ------
    ModelError
        If the layers are not named, and none of the backbone's are the default.
    """
    if isinstance(settings, SgfrSettings):
        return settings.resolved()
    return SgfrSettings(
        backbone=settings.backbone,
        precision=settings.precision,
        size=settings.size,
        weights=settings.weights,
        compute=settings.compute,
    ).resolved()
