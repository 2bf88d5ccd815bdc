"""Measuring what the paper claims, on a network that is small enough for a test."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from streamline.bench import PaperPlan, bench_paper, to_json
from streamline.errors import InputError
from tests.support.parts import parts

PLAN = PaperPlan(network="resnet18", layers=("layer3",), frames=24, rounds=1, seconds=0.05)


@pytest.mark.timeout(900)
def test_learning_and_judging_are_measured_beside_the_paper_s_figures() -> None:
    pytest.importorskip("torch")
    told: list[str] = []
    result = bench_paper(PLAN, tell=told.append)
    (figures,) = result.layers
    assert (figures.layer, figures.precision) == ("layer3", "f32")
    assert figures.features == 256 * 16 * 16
    assert 1 <= figures.aet_rank < figures.rank < PLAN.frames
    assert min(figures.pca_s, figures.aet_s, figures.fps, figures.cpu_ms_per_frame) > 0
    assert figures.best.setting.precision == "f32"
    found = json.loads(to_json(result))
    assert found["weights"] == "random"
    assert found["published"]["systems"][0]["fps"] == {"PatchCore": 7.11, "AST": 11.8, "FRE": 52.6}
    assert any("judging" in one for one in told)


def test_too_few_images_are_told_before_anything_is_measured(tmp_path: Path) -> None:
    for number, frame in enumerate(parts(9, seed=1)):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    with pytest.raises(InputError, match=r"has 9 images, of 24 to learn from"):
        bench_paper(replace(PLAN, images=tmp_path), tell=lambda _: None)
