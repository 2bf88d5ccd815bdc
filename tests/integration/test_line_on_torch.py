"""A whole line whose models run on torch: the same verdicts, and every frame accounted for."""

import importlib.util
import json
from pathlib import Path

import pytest

from streamline.config import parse_source
from streamline.infer import Compute
from streamline.learn import FitSettings, Selection, fit_sources
from streamline.model import save_model
from tests.support.line import RunningLine, json_lines
from tests.support.models import with_threshold

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="not installed: torch"
)


def played(
    folder: Path, model: Path, clip: Path, backend: str, device: str = "CPU"
) -> dict[int, tuple[str, float]]:
    """Play a clip once and return its verdicts, if its account closes."""
    folder.mkdir()
    document = {
        "version": 1,
        "model": str(model),
        "cameras": {"belt": {"source": str(clip), "queue": {"policy": "block"}}},
        "infer": {"backend": backend, "device": device, "precision": "f32"},
        "record": {"verdicts": "verdicts.jsonl", "evidence": "evidence"},
        "metrics": {"port": 0},
    }
    path = folder / "line.yaml"
    path.write_text(json.dumps(document))
    with RunningLine(path, folder) as line:
        assert line.wait() == 0, line.log
        camera = line.report()["cameras"]["belt"]
    found = {
        one["seq"]: (one["verdict"], one["score"]) for one in json_lines(folder / "verdicts.jsonl")
    }
    assert camera["captured"] == sum(camera["judged"].values()) == len(found)
    assert camera["in_flight"] == 0
    assert not camera["judged"].get("unknown")
    return found


def test_a_line_on_torch_judges_as_one_on_openvino(short_clip: Path, tmp_path: Path) -> None:
    settings = FitSettings(precision="bf16", compute=Compute(precision="f32"))
    source = parse_source("demo://normal", tmp_path)
    fitted = fit_sources([source], settings, Selection(max_frames=24))
    save_model(fitted.model, tmp_path / "model")
    # Below every score, so that there are alerts and maps to draw.
    model = with_threshold(tmp_path / "model", tmp_path / "strict", 1e-6)
    expected = played(tmp_path / "openvino", model, short_clip, "openvino")
    found = played(tmp_path / "torch", model, short_clip, "torch")
    assert found.keys() == expected.keys()
    assert len(found) == 60
    assert {seq: verdict for seq, (verdict, _) in found.items()} == {
        seq: verdict for seq, (verdict, _) in expected.items()
    }
    for seq, (_, score) in found.items():
        # On OpenVINO directions are in 8 bits.
        assert score == pytest.approx(expected[seq][1], rel=3e-3)
    # Heat maps are drawn from torch's maps.
    assert list((tmp_path / "torch" / "evidence").rglob("overlay.png"))


@pytest.mark.gpu
def test_a_line_on_a_gpu_judges_as_one_on_openvino(
    short_clip: Path, demo_model: Path, tmp_path: Path
) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("torch has no CUDA device here")
    expected = played(tmp_path / "openvino", demo_model, short_clip, "openvino")
    found = played(tmp_path / "cuda", demo_model, short_clip, "torch", "cuda:0")
    assert {seq: verdict for seq, (verdict, _) in found.items()} == {
        seq: verdict for seq, (verdict, _) in expected.items()
    }
    for seq, (_, score) in found.items():
        assert score == pytest.approx(expected[seq][1], rel=0.02)
