"""A line with an infer stage for each of several devices, one of which fails under way."""

import importlib.util
import json
import os
from pathlib import Path

import pytest

from tests.support.line import RunningLine, json_lines, streamline
from tests.support.models import save_light_model, with_threshold

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="not installed: torch"
)

FAILING = '''
"""Every interpreter loads this first: the first infer stage's device fails, as CUDA's do, and is
not there at once when that stage begins anew."""

import sys
from importlib.machinery import PathFinder
from pathlib import Path

ENGINE = "streamline.infer.torch_backend.engine"
FAILED = Path(__file__).with_name("failed")
MISSING = Path(__file__).with_name("missing")


def is_first():
    return Path("/proc/self/comm").read_text().strip() == "sl:infer-1"


def missing(begin):
    def begin_or_fail(self, *given):
        import torch

        if is_first() and FAILED.exists() and not MISSING.exists():
            MISSING.touch()
            raise torch.AcceleratorError("CUDA error: all CUDA-capable devices are busy")
        begin(self, *given)

    return begin_or_fail


def failing(run):
    batches = 0

    def run_or_fail(self, frames, ends):
        import torch

        nonlocal batches
        batches += 1
        if batches == 12 and is_first() and not FAILED.exists():
            FAILED.touch()
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        yield from run(self, frames, ends)

    return run_or_fail


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != ENGINE:
            return None
        spec = PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def load_and_break(module):
            load(module)
            module.Engine.run = failing(module.Engine.run)
            module.Engine.__init__ = missing(module.Engine.__init__)

        spec.loader.exec_module = load_and_break
        return spec


sys.meta_path.insert(0, Finder)
'''


@pytest.fixture(scope="module")
def pipeline(short_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two products, four cameras, two devices that are the same processor."""
    folder = tmp_path_factory.mktemp("devices")
    save_light_model(folder / "light")
    lenient = with_threshold(folder / "light", folder / "lenient", 1e9)
    strict = with_threshold(folder / "light", folder / "strict", 1e-6)
    cameras = {
        name: {"source": str(short_clip), "model": str(model), "queue": {"policy": "block"}}
        for name, model in zip(("a", "b", "c", "d"), (lenient, strict) * 2, strict=True)
    }
    document = {
        "version": 1,
        "cameras": cameras,
        "cameras_per_process": 4,
        "infer": {"backend": "torch", "devices": ["CPU", "CPU"], "precision": "f32", "threads": 1},
        "record": {"verdicts": "verdicts.jsonl"},
        "metrics": {"port": 0},
    }
    path = folder / "line.yaml"
    path.write_text(json.dumps(document))
    return path


def test_check_says_which_cameras_are_judged_on_which_device(pipeline: Path) -> None:
    done = streamline("check", pipeline)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("# infer-1 on CPU: a, c\n# infer-2 on CPU: b, d\n")


def test_a_device_that_is_lost_is_taken_up_again_and_every_frame_is_judged(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAILING)
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    with RunningLine(pipeline, tmp_path) as line:
        assert line.wait() == 0, line.log
        report = line.report()
    assert "lost to this process: CUDA error: an illegal memory access" in line.log
    assert "CUDA error: all CUDA-capable devices are busy" in line.log
    assert line.log.count("worker died, is started again") == 2
    judged = json_lines(pipeline.parent / "verdicts.jsonl")
    for name, camera in report["cameras"].items():
        assert sorted(one["seq"] for one in judged if one["camera"] == name) == list(range(60))
        assert camera["captured"] == sum(camera["judged"].values()) == 60
        assert camera["in_flight"] == sum(camera["dropped"].values()) == 0
        assert not camera["judged"].get("unknown")
        # Each camera is judged by its own model, wherever that is.
        assert bool(camera["judged"].get("fail")) == (name in "bd")
