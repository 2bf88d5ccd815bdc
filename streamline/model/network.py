"""The network that a model was fitted on."""

from streamline.backbone import Backbone, get
from streamline.errors import ModelError
from streamline.model.entries import Shape
from streamline.model.record import Model

__all__ = ["network_of"]


def network_of(model: Model, /) -> Backbone:
    """Return the very network that a model was fitted on, at the size of its frames.

    Raises
    ------
    ModelError
        If it came with another version of the package, or has no such layers as the model takes.
    """
    net = _network_of(model)
    for name, shape in model.detector.taps():
        layer = net.layer(name)
        found = layer.channels, layer.height, layer.width
        if found != shape:
            msg = (
                f"the model takes features of {_times(shape)} numbers from {name}, and {net.name} "
                f"gives {_times(found)} there; fit the model again"
            )
            raise ModelError(msg)
    return net


def _network_of(model: Model) -> Backbone:
    if model.stored is not None:
        return model.stored
    net = get(model.backbone.name, model.backbone.precision, model.height)
    if net.sha256 != model.backbone.sha256 or net.width != model.width:
        msg = (
            f"the model was fitted on another build of {net.name} {net.precision} than this "
            "version of Streamline ships; fit the model again"
        )
        raise ModelError(msg)
    return net


def _times(shape: Shape) -> str:
    return " x ".join(map(str, shape))
