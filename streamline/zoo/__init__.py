"""Networks of torchvision and timm: built, filled with weights, cut, exported to OpenVINO IR.

The only package that imports torchvision and timm. Nothing else imports it by name: it is loaded
by `streamline.backbone` when a network has to be exported or described, and needs the extra
``torch``; where one has to be quantised, ``quantize`` too.
"""

from streamline.privacy import silence_openvino
from streamline.zoo.libraries import import_torchvision

silence_openvino()
import_torchvision()

from streamline.zoo.export import cut_export, export_network  # noqa: E402
from streamline.zoo.hub import fetch_weights, fetched_weights  # noqa: E402
from streamline.zoo.network import layer_table  # noqa: E402
from streamline.zoo.untrained import write_untrained  # noqa: E402
from streamline.zoo.weights import layers_served  # noqa: E402

__all__ = [
    "cut_export",
    "export_network",
    "fetch_weights",
    "fetched_weights",
    "layer_table",
    "layers_served",
    "write_untrained",
]
