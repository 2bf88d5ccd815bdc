"""Which device computes, in what arithmetic, and whether a threshold holds there."""

import sys
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt
import openvino as ov
import pytest

from streamline.config import Batch, Infer
from streamline.errors import ConfigError
from streamline.infer import (
    Compute,
    map_frames,
    open_scorer,
    score_frames,
    settle,
    threshold_doubt,
)
from streamline.infer.configured import compute_of
from streamline.model import Model, load_model, save_model

Bytes = npt.NDArray[np.uint8]

BF16 = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")

FIXED = Compute(max_batch=4, slots=2, fixed_batch=True)


def test_what_is_left_to_be_chosen_is_chosen_once() -> None:
    found = settle(Compute(device="AUTO", max_batch=3))
    assert found == Compute(device="CPU", precision="f32", max_batch=3)
    assert settle(found) == found
    assert settle(Compute(device="AUTO:CPU")).device == "CPU"


def test_a_cpu_computes_in_half_precision_only_what_is_stored_in_it() -> None:
    assert settle(Compute(), stored="f32").precision == "f32"
    assert settle(Compute(), stored="int8").precision == "f32"
    assert settle(Compute(), stored="fp16").precision == ("bf16" if BF16 else "f32")


@pytest.mark.parametrize("device", ["GPU.7", "NPU", "AUTO:NPU,CPU"])
def test_a_missing_device_is_named_with_those_present(device: str) -> None:
    with pytest.raises(ConfigError, match=r"finds no device '\S+' on this machine, it has .*CPU"):
        settle(Compute(device=device))


def test_a_missing_library_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("streamline.infer.torch_backend")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    says = r"backend 'torch': torch is not installed; in the checkout: pip install '\.\[torch\]'"
    with pytest.raises(ConfigError, match=says):
        settle(Compute(backend="torch"))


@pytest.mark.parametrize("n", [1, 4, 6])
def test_batches_that_are_always_full_give_the_same_scores_and_maps(
    n: int, model: Model, frames: Bytes
) -> None:
    some, free = frames[:n], Compute(max_batch=4)
    scores = np.concatenate(list(score_frames(model, some, compute=FIXED)))
    expected = np.concatenate(list(score_frames(model, some, compute=free)))
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    maps = np.concatenate(list(map_frames(model, some, compute=FIXED)))
    drawn = np.concatenate(list(map_frames(model, some, compute=free)))
    np.testing.assert_allclose(maps, drawn, rtol=2e-3, atol=1e-4)


def test_heads_that_share_a_full_batch_get_their_own_rows(model: Model, frames: Bytes) -> None:
    done: SimpleQueue[int] = SimpleQueue()
    scorer = open_scorer([model, model], FIXED, on_done=done.put)
    scorer.input(0)[:3] = frames[:3]
    scorer.start(0, 1, 2)
    done.get(timeout=60)
    found = np.concatenate([scorer.result(0, head=head) for head in (0, 1)])
    scorer.close()
    alone = np.concatenate(list(score_frames(model, frames[:3], compute=FIXED)))
    np.testing.assert_allclose(found, alone, rtol=1e-5)


def test_a_threshold_is_doubted_where_its_scores_were_computed_otherwise(
    model: Model, tmp_path: Path
) -> None:
    here = settle(Compute())
    assert (model.calibration.device, model.calibration.arithmetic) == ("CPU", here.precision)
    assert threshold_doubt(model, Compute()) == ""
    calibration = replace(model.calibration, device="GPU.0", arithmetic="f16")
    save_model(replace(model, calibration=calibration), tmp_path / "model")
    elsewhere = load_model(tmp_path / "model")
    assert f"computed on GPU.0 in f16, and here they are computed on CPU in {here.precision}" in (
        threshold_doubt(elsewhere, Compute())
    )
    unknown = replace(calibration, device="", arithmetic="")
    assert threshold_doubt(replace(model, calibration=unknown), Compute()) == ""


def test_a_frame_that_comes_alone_has_all_threads_unless_the_pipeline_file_says_otherwise(
    model: Model,
) -> None:
    slots = []
    for infer in (Infer(), Infer(streams=2)):
        compute = compute_of(infer, alone=True)
        scorer = open_scorer([model], compute, on_done=SimpleQueue[int]().put)
        slots.append(scorer.slots)
        scorer.close()
    # One batch at a time, and one slot more to be filled meanwhile.
    assert slots == [2, 3]


@pytest.mark.parametrize("streams", [1, 2])
def test_batches_side_by_side_are_as_many_as_the_pipeline_file_says(
    streams: int, model: Model, frames: Bytes
) -> None:
    compute = compute_of(Infer(streams=streams, threads=2, batch=Batch(max=2)))
    assert compute.threads == 2
    scorer = open_scorer([model], compute, on_done=SimpleQueue[int]().put)
    assert (scorer.slots, scorer.max_batch) == (streams + 1, 2)
    scorer.close()
    scores = np.concatenate(list(score_frames(model, frames, compute=compute)))
    expected = np.concatenate(list(score_frames(model, frames, compute=compute_of(Infer()))))
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
