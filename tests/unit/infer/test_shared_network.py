"""Several models on one network: each frame gets what its own model alone would give it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import openvino as ov
import pytest

from streamline.errors import InferenceError
from streamline.infer import (
    Compute,
    Requests,
    map_frames,
    map_network,
    open_mapper,
    open_scorer,
    score_frames,
    score_network,
)
from streamline.infer.openvino_backend.requests import OpenVinoRequests
from streamline.learn import FitSettings, fit_frames
from streamline.model import Model, save_model
from tests.support.parts import parts

Bytes = npt.NDArray[np.uint8]
Result = TypeVar("Result")

COMPUTE = Compute(slots=1, max_batch=8)


@pytest.fixture(scope="module")
def models(model: Model) -> list[Model]:
    """Three on the same layers, of different ranks."""
    few = fit_frames(parts(12, seed=4), FitSettings(), source="few parts").model
    flat = replace(FitSettings(), max_rank=3, map_max_rank=2)
    return [model, few, fit_frames(parts(16, seed=5), flat, source="a few directions").model]


def run(
    requests: Requests[Result], done: SimpleQueue[int], frames: Bytes, counts: Sequence[int]
) -> list[Result | None]:
    """Judge one batch; None for a head without frames."""
    requests.input(0)[: len(frames)] = frames
    requests.start(0, *counts)
    done.get(timeout=30)
    heads = range(len(counts))
    return [requests.result(0, head=head) if counts[head] else None for head in heads]


@pytest.mark.parametrize("counts", [(3, 1, 4), (1, 1, 1), (0, 0, 5), (0, 2, 0), (8,)], ids=str)
def test_scores_are_those_of_each_model_alone(
    counts: tuple[int, ...], models: list[Model], frames: Bytes
) -> None:
    done: SimpleQueue[int] = SimpleQueue()
    scorer = open_scorer(models, COMPUTE, on_done=done.put)
    found = run(scorer, done, frames[: sum(counts)], counts)
    scorer.close()
    first = 0
    for model, scores, count in zip(models, found, counts, strict=False):
        if scores is not None:
            mine = frames[first : first + count]
            alone = np.concatenate(list(score_frames(model, mine, compute=COMPUTE)))
            np.testing.assert_allclose(scores, alone, rtol=3e-6)
        first += count


def test_maps_are_those_of_each_model_alone(models: list[Model], frames: Bytes) -> None:
    done: SimpleQueue[int] = SimpleQueue()
    mapper = open_mapper(models, COMPUTE, on_done=done.put)
    for head, model in enumerate(models):
        counts = [0] * head + [2]
        maps = run(mapper, done, frames[:2], counts)[head]
        alone = next(iter(map_frames(model, frames[:2], compute=COMPUTE)))
        assert maps is not None
        assert maps.shape == alone.shape
        np.testing.assert_allclose(maps.astype(float), alone.astype(float), rtol=2e-3, atol=1e-4)
    mapper.close()


def test_models_tell_their_frames_apart(models: list[Model], frames: Bytes) -> None:
    done: SimpleQueue[int] = SimpleQueue()
    scorer = open_scorer(models, COMPUTE, on_done=done.put)
    same = np.repeat(frames[:1], 3, axis=0)
    scores = [float(one[0]) for one in run(scorer, done, same, (1, 1, 1)) if one is not None]
    scorer.close()
    assert len(set(scores)) == 3


def test_a_head_that_fails_leaves_the_others_their_scores(
    models: list[Model], frames: Bytes
) -> None:
    done: SimpleQueue[int] = SimpleQueue()
    scorer = open_scorer(models, COMPUTE, on_done=done.put)
    assert isinstance(scorer, OpenVinoRequests)
    sound = run(scorer, done, frames[:6], (2, 2, 2))
    slot = scorer._slots[0]
    slot._heads[1]._inputs = ["no such layer"]
    run_counts = (2, 2, 2)
    scorer.start(0, *run_counts)
    done.get(timeout=30)
    with pytest.raises(InferenceError, match=r"OpenVINO failed on a batch of frames: \S"):
        scorer.result(0, head=1)
    for head in (0, 2):
        np.testing.assert_array_equal(scorer.result(0, head=head), sound[head])
    slot.views[5] = ov.Tensor(np.zeros((1, 8, 8, 5), np.uint8))
    scorer.start(0, *run_counts)
    done.get(timeout=30)
    for head in (0, 1, 2):
        with pytest.raises(InferenceError):
            scorer.result(0, head=head)
    scorer.close()


def test_models_on_different_layers_hang_on_different_networks(model: Model) -> None:
    deep = replace(FitSettings(), score_layers=("block5",), map_layers=("block3", "block2"))
    other = fit_frames(parts(12, seed=6), deep, source="parts").model
    assert score_network(other) != score_network(model)
    assert map_network(other) == map_network(model)
    assert score_network(replace(model, height=320)) != score_network(model)
    with pytest.raises(ValueError, match="one network, not on"):
        open_scorer([model, other], COMPUTE, on_done=lambda _slot: None)


MEMORY = """
import sys
from pathlib import Path
from queue import SimpleQueue
import psutil
from streamline.infer import Compute, open_scorer
from streamline.model import load_model
done = SimpleQueue()
groups = [[load_model(Path(path)) for path in group.split(",")] for group in sys.argv[1:]]
opened = [open_scorer(models, Compute(), on_done=done.put) for models in groups]
for models, scorer in zip(groups, opened):
    for slot in range(scorer.slots):
        for head in range(len(models)):
            scorer.start(slot, *[0] * head, scorer.max_batch)
            done.get(timeout=60)
del models, groups
found = psutil.Process().memory_info()
print(found.rss - found.shared)
"""


def own_mb(*groups: Sequence[Path]) -> float:
    """Memory of a process that has judged full batches of every model, MB.

    Without libraries: what they count for hangs on how many processes have them just now.
    """
    arguments = [",".join(map(str, group)) for group in groups]
    command = [sys.executable, "-c", MEMORY, *arguments]
    return int(subprocess.run(command, capture_output=True, check=True).stdout) / 1e6


def test_memory_grows_by_a_head_and_not_by_a_network(model: Model, tmp_path: Path) -> None:
    paths = [tmp_path / str(index) for index in range(4)]
    for index, path in enumerate(paths):
        # Of different digest: else they would be one model.
        save_model(replace(model, source=f"copy {index}"), path)
    one, four = own_mb(paths[:1]), own_mb(paths)
    apart = own_mb(*([path] for path in paths))
    sizes = json.loads((paths[0] / "manifest.json").read_text())["detector"]["score_layers"]
    head_mb = sum(
        4e-6 * one["rank"] * one["channels"] * one["height"] * one["width"]
        for one in sizes.values()
    )
    sys.stdout.write(
        f"1 model {one:.0f} MB, 4 on one network {four:.0f} MB, on four {apart:.0f} MB; "
        f"a head's directions in float32: {head_mb:.1f} MB\n"
    )
    # The device keeps a head as it is given and as it multiplies best.
    assert (four - one) / 3 < 2 * head_mb + 15
    assert four - one < (apart - one) / 2
