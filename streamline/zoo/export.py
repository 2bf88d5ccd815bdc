"""From a network of torch to OpenVINO IR that takes pixels as they come from a camera."""

import hashlib
import json
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType

import msgspec
import numpy as np
import openvino as ov
import torch
from openvino import opset13 as ops

from streamline.backbone import Backbone, ExportRequest, Quantisation
from streamline.backbone.catalogue import Normalisation
from streamline.backbone.folder import MANIFEST
from streamline.backbone.weights import digest_of
from streamline.errors import ModelError
from streamline.extras import needs_extra
from streamline.progress import Progress
from streamline.zoo.network import Part, build_network, normalisation_of, pin_padding
from streamline.zoo.weights import assemble

__all__ = ["convert", "cut_export", "export_network", "layers_in", "save", "take_pixels"]


def export_network(request: ExportRequest, folder: Path, /, *, progress: Progress) -> None:
    """Write a network's graph, weights and manifest into an existing folder.

    The graph takes uint8 RGB ``(n, size, size, 3)``, n free, normalises inside, and gives each
    layer by its name, float32 NCHW.

    Raises
    ------
    ModelError
        If there is no such network or layer, a layer is no map of features, the weights are
        another network's, or nncf is needed and missing.
    """
    network = request.network
    quantiser = _load_quantiser(network.name) if request.precision == "int8" else None
    part = assemble(network, request.layers, request.weights)
    normalisation = normalisation_of(network, build_network(network))
    graph = convert(part, request.layers, request.size)
    if quantiser is not None:
        graph = quantiser.quantise(
            graph, normalisation, Quantisation(), progress=_looks(network.name, progress)
        )
    graph = take_pixels(graph, normalisation)
    save(
        graph,
        folder / f"{request.precision}.xml",
        name=network.name,
        half=request.precision != "f32",
    )
    _write_manifest(_describe(request, graph, folder), folder)


def _load_quantiser(network: str) -> ModuleType:
    instead = "choose --precision bf16 or f32"
    with needs_extra(
        "quantize", ["nncf"], f"quantising {network}", instead=instead, error=ModelError
    ):
        return import_module("streamline.zoo.quantise")


def _looks(network: str, progress: Progress) -> Callable[[int, int], None]:
    return lambda done, count: progress(f"quantising {network}", done, count)


def cut_export(whole: Backbone, layers: Sequence[str], folder: Path, /) -> None:
    """Write the part of an export that some of its layers need into an existing folder."""
    graph = ov.Core().read_model(whole.xml)
    results = {output.any_name: output.get_node() for output in graph.outputs}
    kept = [results[layer] for layer in layers]
    part = ov.Model(kept, graph.get_parameters(), graph.get_friendly_name())
    save(part, folder / whole.xml.name, name=whole.name, half=whole.precision != "f32")
    said = json.loads((whole.xml.parent / MANIFEST).read_text(encoding="utf-8"))
    cut = {"layers": {layer: said["layers"][layer] for layer in layers}, "sha256": _hashes(folder)}
    _write_manifest({**said, **cut}, folder)


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
    _pin_splits(model)
    for output, layer in zip(model.outputs, layers, strict=True):
        output.tensor.set_names({layer})
    return model


def _pin_splits(model: ov.Model) -> None:
    """Write down how many channels each part of a split has, in place.

    What torch computes them by could be the computation of any shape.
    """
    for one in model.get_ops():
        if one.get_type_name() != "VariadicSplit":
            continue
        axis = one.input_value(1).get_node()
        if axis.get_type_name() != "Constant":
            continue
        along = int(axis.get_data().item())
        extents = [list(output.partial_shape)[along] for output in one.outputs()]
        if all(extent.is_static for extent in extents):
            lengths = np.array([extent.get_length() for extent in extents], np.int64)
            one.input(2).replace_source_output(ops.constant(lengths).output(0))


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
    tools = ["torch", network.library, "openvino"]
    eight = {}
    if request.precision == "int8":
        tools.append("nncf")
        eight["quantisation"] = msgspec.to_builtins(Quantisation())
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
        **eight,
        "made_with": {tool: metadata.version(tool) for tool in tools},
        "sha256": _hashes(folder),
    }


def _hashes(folder: Path) -> Mapping[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.suffix in {".bin", ".xml"}
    }


def _write_manifest(said: Mapping[str, object], folder: Path) -> None:
    (folder / MANIFEST).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
