"""A device against its ceiling: the arithmetic, and all that is measured, at a small size."""

import json
from pathlib import Path

import pytest

from streamline.backbone import get
from tests.support.models import untrained

pytest.importorskip("torch")

from tools.cuda.__main__ import main
from tools.cuda.ceiling import Ceiling
from tools.cuda.figures import rate_of
from tools.cuda.work import Operation, attainable, operations_of

CEILING = Ceiling(device="a slow one", precision="f32", flops=100.0, bandwidth=10.0, intake=393_216)

MULTIPLIES = Operation(flops=300.0, moved=10.0, weights=0.0)
READS_WEIGHTS = Operation(flops=100.0, moved=0.0, weights=80.0)


def test_an_operation_takes_as_long_as_the_slower_of_arithmetic_and_memory() -> None:
    alone = attainable([MULTIPLIES, READS_WEIGHTS], CEILING, batch=1)
    # 3 s of arithmetic rather than 1 s of memory, and 8 s of memory rather than 1 s.
    assert alone.fps == pytest.approx(1 / 11)
    assert alone.by_arithmetic == pytest.approx(3 / 11)
    many = attainable([MULTIPLIES, READS_WEIGHTS], CEILING, batch=10)
    # Weights are read once for all of them: arithmetic is the bound of both.
    assert many.fps == pytest.approx(10 / 40)
    assert many.by_arithmetic == 1


def test_frames_can_not_be_judged_faster_than_they_come() -> None:
    quick = [Operation(flops=1.0, moved=0.0, weights=0.0)]
    rate = rate_of("tiny", CEILING, quick, 4, 1.0)
    assert (rate.attainable_fps, rate.reached, rate.by_intake) == (2.0, 0.5, True)


def test_what_a_model_does_is_counted_by_its_operations() -> None:
    model = untrained(get("efficientnet_lite0", "int8"), ["block1"], rank=5)
    features = 24 * 64 * 64
    operations = operations_of(model, "f32")
    head = [one for one in operations if one.weights == 4 * 5 * features]
    assert [one.flops for one in head] == [2 * 5 * features]
    assert head[0].moved == 4 * features + 4 * 5
    # The network's first step: 3 by 3 by 3 factors for each of 32 channels at half the size.
    assert max(one.flops for one in operations) >= 2 * 27 * 32 * 128 * 128
    halved = operations_of(model, "f16")
    assert sum(one.weights for one in halved) < 0.6 * sum(one.weights for one in operations)
    assert sum(one.flops for one in halved) == sum(one.flops for one in operations)


def test_all_is_measured_on_a_device_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cuda.json"
    assert main(["--device", "cpu", "--trial", "--no-line", "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    assert [one["batch"] for one in figures["rates"]] == [1, 2]
    assert all(one["fps"] > 0 for one in figures["rates"])
    assert [one["method"] for one in figures["fits"]] == ["fre-pca", "fre-aet"]
    (ceiling,) = figures["ceilings"]
    assert min(ceiling["flops"], ceiling["bandwidth"], ceiling["intake"]) > 0
    told = capsys.readouterr().out
    assert "the ceiling, as measured" in told
    assert "one frame at a time" in told


def test_a_device_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--device", "cuda:99"]) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith("tools.cuda: torch finds no device 'cuda:99'")
    assert len(told.splitlines()) == 1
