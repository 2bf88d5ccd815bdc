"""The demonstration, as its user sees it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.line import streamline

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_demonstration_finds_every_known_defect_and_runs_again(tmp_path: Path) -> None:
    out, figures = tmp_path / "out", tmp_path / "figures.json"
    done = streamline("demo", "--out", out, "--json", figures)
    assert done.returncode == 0, done.stderr
    report = json.loads(figures.read_text())
    for camera in report["cameras"].values():
        accounted = sum(camera["judged"].values()) + sum(camera["dropped"].values())
        assert camera["captured"] == accounted == 480
        assert camera["in_flight"] == 0
    assert report["precision"] == 1.0
    # A machine that is busy with other tests loses frames, and with them perhaps a defect.
    lost = sum(sum(camera["dropped"].values()) for camera in report["cameras"].values())
    assert report["recall"] == 1.0 or lost > 0
    overlays = list((out / "evidence").glob("*/*/overlay.png"))
    assert overlays
    assert str(overlays[0].parents[2]) in done.stdout
    again = streamline("run", out / "pipeline.yaml", "--duration", "2")
    assert again.returncode == 0, again.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_model_beats_frame_differencing_on_other_seeds_too() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools/demo_seeds.py", "--first", "1", "--count", "2"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
