"""Slots, threads, devices and failures of the compiled graphs."""

import subprocess
import sys
import threading
from dataclasses import replace
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt
import openvino as ov
import pytest

from streamline import backbone
from streamline.errors import ConfigError, InferenceError, ModelError
from streamline.infer import Compute, open_extractor, open_mapper, open_scorer, score_frames
from streamline.infer.openvino_backend.requests import OpenVinoRequests
from streamline.model import BackboneId, Model
from tests.support.threads import new_threads

Bytes = npt.NDArray[np.uint8]


def ignore(_slot: int) -> None:
    """Nobody waits."""


def test_slots_finish_on_their_own_and_keep_their_results_apart(
    model: Model, frames: Bytes
) -> None:
    done: SimpleQueue[int] = SimpleQueue()
    expected = np.concatenate(list(score_frames(model, frames, compute=Compute())))
    scorer = open_scorer([model], Compute(slots=3, max_batch=4), on_done=done.put)
    assert (scorer.slots, scorer.max_batch, scorer.height, scorer.width) == (3, 4, 256, 256)
    batches = {0: [0, 1, 2, 3], 1: [4], 2: [5, 6, 7]}
    for slot, chosen in batches.items():
        scorer.input(slot)[: len(chosen)] = frames[chosen]
        scorer.start(slot, len(chosen))
    for slot in sorted(done.get(timeout=30) for _ in batches):
        np.testing.assert_allclose(scorer.result(slot), expected[batches[slot]], rtol=1e-5)
    scorer.close()


def test_results_are_the_caller_s_to_keep(model: Model, frames: Bytes) -> None:
    done: SimpleQueue[int] = SimpleQueue()
    scorer = open_scorer([model], Compute(slots=1, max_batch=1), on_done=done.put)
    kept = []
    for frame in frames[:2]:
        scorer.input(0)[0] = frame
        scorer.start(0, 1)
        done.get(timeout=30)
        kept.append(scorer.result(0))
    scorer.close()
    assert kept[0] != kept[1]
    assert kept[0].flags.writeable


def test_there_is_one_more_slot_than_the_device_works_on(model: Model) -> None:
    scorer = open_scorer([model], Compute(streams=1), on_done=ignore)
    assert scorer.slots == 2
    scorer.close()


def test_closing_waits_for_what_is_under_way_and_ends_the_threads(
    model: Model, frames: Bytes
) -> None:
    before = threading.enumerate()
    done: SimpleQueue[int] = SimpleQueue()
    scorer = open_scorer([model], Compute(slots=2), on_done=done.put)
    scorer.input(1)[:] = frames[:8]
    scorer.start(1, 8)
    scorer.close()
    assert done.get_nowait() == 1
    assert new_threads(before) == []


def test_a_batch_the_device_fails_on_is_reported_and_the_slot_serves_again(
    model: Model, frames: Bytes
) -> None:
    done: SimpleQueue[int] = SimpleQueue()
    scorer = open_scorer([model], Compute(slots=1, max_batch=1), on_done=done.put)
    assert isinstance(scorer, OpenVinoRequests)
    slot = scorer._slots[0]
    sound = slot.views[0]
    slot.views[0] = ov.Tensor(np.zeros((1, 8, 8, 5), np.uint8))
    scorer.start(0, 1)
    assert done.get(timeout=30) == 0
    with pytest.raises(InferenceError, match=r"OpenVINO failed on a batch of frames: \S"):
        scorer.result(0)
    slot.views[0] = sound
    scorer.input(0)[0] = frames[0]
    scorer.start(0, 1)
    done.get(timeout=30)
    assert scorer.result(0)[0] > 0
    scorer.close()


def test_a_device_that_is_not_there_is_one_sentence_with_those_that_are(model: Model) -> None:
    with pytest.raises(ConfigError, match=r"no device 'NPU' .* it has CPU; choose one of them"):
        open_scorer([model], Compute(device="NPU"), on_done=ignore)
    with pytest.raises(ConfigError, match=r"no device 'GPU.3'"):
        open_mapper([model], Compute(device="AUTO:GPU.3,CPU"), on_done=ignore)


def test_a_device_that_chooses_for_itself_is_let_choose(model: Model, frames: Bytes) -> None:
    scores = next(iter(score_frames(model, frames[:1], compute=Compute(device="AUTO:CPU"))))
    expected = next(iter(score_frames(model, frames[:1], compute=Compute())))
    np.testing.assert_allclose(scores, expected, rtol=1e-2)


def test_bf16_is_refused_where_the_processor_has_none(model: Model) -> None:
    wanted = Compute(precision="bf16")
    if "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        open_scorer([model], wanted, on_done=ignore).close()
        return
    with pytest.raises(ConfigError, match=r"device 'CPU' has no bf16 arithmetic here"):
        open_scorer([model], wanted, on_done=ignore)


def test_a_backend_nobody_wrote_is_refused(model: Model) -> None:
    with pytest.raises(ConfigError, match=r"no inference backend 'abacus'; there are: openvino"):
        open_scorer([model], Compute(backend="abacus"), on_done=ignore)


def test_a_layer_the_backbone_lacks_is_refused() -> None:
    with pytest.raises(ModelError, match=r"has no layer 'block9'; it has block1, "):
        open_extractor(backbone.get(), ["block9"], Compute(), on_done=ignore)


def test_a_model_of_another_build_of_the_backbone_is_refused(model: Model) -> None:
    other = replace(model, backbone=BackboneId(*model.backbone[:2], "0" * 64))
    with pytest.raises(ModelError, match=r"another build of efficientnet_lite0 int8"):
        open_scorer([other], Compute(), on_done=ignore)


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_openvino_is_loaded_only_when_a_graph_is_opened() -> None:
    loaded = run_python(
        "import sys, streamline.infer, streamline.learn\n"
        "print({'openvino', 'torch', 'nncf'} & set(sys.modules))"
    )
    assert loaded.strip() == "set()"


def test_openvino_is_loaded_without_what_reports_its_use() -> None:
    found = run_python(
        "import sys, streamline.infer.openvino_backend, openvino.tools.ovc\n"
        "names = [n for n in sys.modules if n.startswith('openvino_telemetry')]\n"
        "print(names, sys.modules['openvino_telemetry'].__spec__)"
    )
    assert found.strip() == "['openvino_telemetry'] None"
