"""The network that a model was fitted on."""

from streamline.backbone import Backbone, get
from streamline.errors import ModelError
from streamline.model.record import Model

__all__ = ["network_of"]


def network_of(model: Model, /) -> Backbone:
    """Return the very network that a model was fitted on, at the size of its frames.

    Raises
    ------
    ModelError
        If it came with another version of the package.
    """
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
