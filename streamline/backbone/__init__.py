"""The pretrained networks that come with the package, checked before they are used."""

from streamline.backbone.registry import Backbone, Layer, get

__all__ = ["Backbone", "Layer", "get"]
