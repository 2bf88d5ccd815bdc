"""From a network of torch to OpenVINO IR that takes pixels as they come from a camera."""

import hashlib
import json
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import openvino as ov
import torch

from streamline.backbone import ExportRequest
from streamline.backbone.catalogue import Normalisation
from streamline.backbone.folder import MANIFEST
from streamline.backbone.weights import digest_of
from streamline.errors import ModelError
from streamline.zoo.network import Part, build_network, normalisation_of, pin_padding
from streamline.zoo.weights import assemble

__all__ = ["convert", "export_network", "layers_in", "save", "take_pixels"]


def export_network(request: ExportRequest, folder: Path, /) -> None:
    """Write a network's graph, weights and manifest into an existing folder.

    The graph takes uint8 RGB ``(n, size, size, 3)``, n free, normalises inside, and gives each
    layer by its name, float32 NCHW.

    Raises
    ------
    ModelError
        If there is no such network or layer, a layer is no map of features, or the weights are
        another network's.
    """
    network = request.network
    part = assemble(network, request.layers, request.weights)
    normalisation = normalisation_of(network, build_network(network))
    graph = take_pixels(convert(part, request.layers, request.size), normalisation)
    save(
        graph,
        folder / f"{request.precision}.xml",
        name=network.name,
        half=request.precision == "fp16",
    )
    manifest = json.dumps(_describe(request, graph, folder), indent=2) + "\n"
    (folder / MANIFEST).write_text(manifest, encoding="utf-8")


def convert(part: Part, layers: Sequence[str], size: int, /) -> ov.Model:
    """Convert to a float32 graph that takes normalised ``(n, 3, size, size)``.

    Raises
    ------
    ModelError
        If a layer gives anything but ``(n, channels, height, width)``.
    """
    pin_padding(part)
    example = torch.zeros(2, 3, size, size)
    with torch.no_grad(), warnings.catch_warnings():
        # OpenVINO converts what torch.jit.trace gives, of which torch says that it is old.
        warnings.simplefilter("ignore")
        for layer, features in zip(layers, part(example), strict=True):
            _require_map(layer, features)
        model = ov.convert_model(part, example_input=example, input=[-1, 3, size, size])
    for output, layer in zip(model.outputs, layers, strict=True):
        output.tensor.set_names({layer})
    return model


def _require_map(layer: str, features: object) -> None:
    if not isinstance(features, torch.Tensor) or features.ndim != 4:
        shape = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features)
        msg = f"layer {layer!r} is no map of features (n, channels, height, width) but {shape}"
        raise ModelError(msg)


def take_pixels(model: ov.Model, normalisation: Normalisation, /) -> ov.Model:
    """Put layout and normalisation in front: uint8 RGB ``(n, height, width, 3)`` in."""
    steps = ov.preprocess.PrePostProcessor(model)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    mean, scale = (_one_or_three(values) for values in normalisation)
    steps.input().preprocess().convert_element_type(ov.Type.f32).mean(mean).scale(scale)
    model = steps.build()
    model.inputs[0].tensor.set_names({"pixels"})
    model.inputs[0].get_node().set_friendly_name("pixels")
    for output in model.outputs:
        output.get_node().set_friendly_name(f"{output.any_name}/result")
    return model


def _one_or_three(values: Sequence[float]) -> float | list[float]:
    return values[0] if len(set(values)) == 1 else list(values)


def save(model: ov.Model, xml: Path, /, *, name: str, half: bool) -> None:
    """Write a graph without the tools' notes on how and where it was made.

    Nodes are named by kind and place, not by how many this process had made before: the same
    network exported again is the same to the byte, and models fitted on either share it.
    """
    ov.save_model(model, xml, compress_to_fp16=half)
    tree = ET.parse(xml)  # noqa: S314 - written by the line above
    for parent in tree.iter():
        for note in parent.findall("rt_info"):
            parent.remove(note)
    for node in tree.iter("layer"):
        if node.get("type") not in {"Parameter", "Result"}:
            node.set("name", f"{node.get('type')}_{node.get('id')}")
    tree.getroot().set("name", name)
    tree.write(xml, encoding="utf-8", xml_declaration=True)


def layers_in(model: ov.Model, size: int, /) -> Mapping[str, Mapping[str, int]]:
    """Tell shape and stride of every output of a graph that takes frames of `size` px."""
    table = {}
    for output in model.outputs:
        channels, height, width = (extent.get_length() for extent in list(output.partial_shape)[1:])
        table[output.any_name] = {
            "channels": channels,
            "height": height,
            "width": width,
            "stride": size // height,
        }
    return table


def _describe(request: ExportRequest, graph: ov.Model, folder: Path) -> Mapping[str, object]:
    """Say what the files are, where they come from and how to recognise them."""
    network = request.network
    return {
        "name": network.name,
        "source": {"library": network.library, "model": network.model},
        "weights_sha256": digest_of(request.weights),
        "input": {
            "name": "pixels",
            "height": request.size,
            "width": request.size,
            "layout": "NHWC",
            "colour": "RGB",
            "type": "u8",
        },
        "layers": layers_in(graph, request.size),
        "made_with": {
            tool: metadata.version(tool) for tool in ("torch", network.library, "openvino")
        },
        "sha256": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.iterdir())
            if path.suffix in {".bin", ".xml"}
        },
    }
