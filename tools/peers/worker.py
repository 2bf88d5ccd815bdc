"""Anomalib's models over a clip, in anomalib's own environment: says its figures line by line.

Run by `tools.peers.theirs` as a script. Each line of standard input numbers a contender and tells
for how long to run it; each answer is a line of JSON.
"""

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import torch

_SCHEMAS: Final = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
Frame = npt.NDArray[np.float32]
Judge = Callable[[Frame], object]
Contender = tuple[str, str, str]
"""Method, what runs it and its arithmetic."""

_BANK: Final = 24_780
"""Of PatchCore: a tenth of the patches of 242 images, the mean over MVTec AD's categories."""

_SIDE: Final = 256


def main() -> None:
    """Answer until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clip", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    _import_torchvision()
    judges = _contenders(options.folder)
    _say({"contenders": list(judges)})
    for line in sys.stdin:
        asked = json.loads(line)
        judge = list(judges.values())[asked["number"]]
        _say({"fps": _rate(judge, options.clip, asked["seconds"])})


def _say(answer: Mapping[str, object]) -> None:
    print(json.dumps(answer), file=sys.__stdout__, flush=True)


def _import_torchvision() -> None:
    """Import torchvision, which describes operators that it lacks beside a torch for processors."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        for operator in ("nms", "qnms"):
            schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            _SCHEMAS.define(schema)  # type: ignore[no-untyped-call]


def _contenders(folder: Path) -> dict[Contender, Judge]:
    """Build all models; their weights are random, which speed does not depend on."""
    sys.stdout = sys.stderr  # Whatever the libraries print is no answer.
    from anomalib.models.image.fre.torch_model import FREModel  # noqa: PLC0415
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel  # noqa: PLC0415

    torch.manual_seed(0)
    patchcore = PatchcoreModel(
        layers=("layer2", "layer3"), backbone="resnet50", pre_trained=False
    ).eval()
    patchcore.memory_bank = torch.rand(_BANK, 1536)
    fre = FREModel(
        backbone="resnet50",
        layer="layer3",
        input_dim=65_536,
        latent_dim=220,
        pre_trained=False,
        pooling_kernel_size=2,
    ).eval()
    return {
        ("PatchCore", "torch", "f32"): _by_torch(patchcore),
        ("FRE", "torch", "f32"): _by_torch(fre),
        **_by_openvino(fre, folder),
    }


def _by_torch(net: torch.nn.Module) -> Judge:
    def judge(frame: Frame) -> object:
        with torch.inference_mode():
            return net(torch.from_numpy(frame.transpose(2, 0, 1)[None].copy()))

    return judge


class _Outputs(torch.nn.Module):
    """Gives tensors in place of anomalib's own class, which OpenVINO can't convert."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Judge a batch."""
        found = self.net(pixels)
        return found.pred_score, found.anomaly_map


def _by_openvino(fre: torch.nn.Module, folder: Path) -> dict[Contender, Judge]:
    """Convert FRE and open it with anomalib's inferencer, in each arithmetic there is."""
    import openvino as ov  # noqa: PLC0415
    from anomalib.deploy import OpenVINOInferencer  # noqa: PLC0415

    model = ov.convert_model(_Outputs(fre), example_input=torch.rand(1, 3, _SIDE, _SIDE))
    model.reshape([1, 3, _SIDE, _SIDE])
    for output, name in zip(model.outputs, ("pred_score", "anomaly_map"), strict=True):
        output.tensor.set_names({name})
    xml = folder / "fre.xml"
    ov.save_model(model, xml, compress_to_fp16=False)
    has_bf16 = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    judges: dict[Contender, Judge] = {}
    for precision in ("f32", "bf16") if has_bf16 else ("f32",):
        config: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
        }
        inferencer = OpenVINOInferencer(xml, device="CPU", config=config)
        judges["FRE", "OpenVINOInferencer", precision] = inferencer.predict
    return judges


def _rate(judge: Judge, clip: Path, seconds: float) -> float:
    """Frames a second from the clip to the verdict, after one that does not count."""
    frames = _frames(clip)
    judge(next(frames))
    count, began_s = 0, time.perf_counter()
    while (elapsed_s := time.perf_counter() - began_s) < seconds or count < 2:
        judge(next(frames))
        count += 1
    return count / elapsed_s


def _frames(clip: Path) -> Iterator[Frame]:
    """Decode the clip over and over, scaled, RGB, in [0, 1]."""
    while True:
        video = cv2.VideoCapture(str(clip))
        while (read := video.read())[0]:
            small = cv2.resize(read[1], (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
            yield cv2.cvtColor(small, cv2.COLOR_BGR2RGB).astype(np.float32) / np.float32(255)
        video.release()


if __name__ == "__main__":
    main()
