"""What a mask leaves out has no say in scores and maps, whichever way the model came to it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov
import pytest

from streamline.backbone import Backbone, Layer
from streamline.errors import ModelError
from streamline.fre import LinearAutoencoder, fit_subspace, fuse_errors, reconstruction_error
from streamline.infer.graphs import Head, exact_score_head, head_graph, map_head, score_head
from streamline.infer.torch_backend.translate import translate
from streamline.mask import Mask
from streamline.model import FittedLayer, FreDetector, Model, hide_cells, restrict_model
from streamline.model.sgfr import BankLayer, SgfrDetector
from streamline.sgfr import Recipe, store_bank
from tests.support.models import save_tiny_model

Floats = npt.NDArray[np.float32]

SHAPES = {"deep": (6, 16, 16), "deeper": (12, 8, 8)}
SIZE = (256, 256)
MASK = Mask((((0.0, 0.0), (0.4, 0.0), (0.4, 0.3), (0.0, 0.3)),))
NET = Backbone(
    name="net",
    precision="int8",
    xml=Path("net.xml"),
    layers={
        name: Layer(channels=c, height=h, width=w, stride=256 // h)
        for name, (c, h, w) in SHAPES.items()
    },
    sha256="",
    height=256,
    width=256,
)


def features(n: int, *, seed: int) -> dict[str, Floats]:
    """Ten common causes and noise, as the frames of a line have."""
    generator, causes = np.random.default_rng(seed), np.random.default_rng(0)
    made = {}
    for name, shape in SHAPES.items():
        ways = causes.normal(size=(10, int(np.prod(shape))))
        rows = 3 + generator.normal(size=(n, 10)) @ ways
        made[name] = (rows + generator.normal(size=rows.shape)).astype(np.float32)
    return made


NORMAL, FRAMES = features(40, seed=1), features(5, seed=2)


def seen(name: str) -> npt.NDArray[np.bool_]:
    shape = SHAPES[name]
    return np.broadcast_to(MASK.over(SIZE).kept(shape[1:]), shape).ravel()


def cut(all_of: dict[str, Floats]) -> dict[str, Floats]:
    return {name: np.where(seen(name), rows, np.float32(0)) for name, rows in all_of.items()}


def fitted_to(normal: dict[str, Floats]) -> FreDetector:
    layers = {}
    for name, rows in normal.items():
        subspace = fit_subspace(rows, retain=0.8)
        half = replace(subspace, directions=subspace.directions.astype(np.float16))
        layers[name] = FittedLayer(subspace=half, shape=SHAPES[name])
    return FreDetector(
        score_layers=layers,
        map_layers=layers,
        retain=0.8,
        shares=(0.8,),
        heldout=np.ones((1, 40), np.float32),
    )


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A model of the whole view."""
    return replace(save_tiny_model(tmp_path / "tiny"), detector=fitted_to(NORMAL))


def detectors(model: Model) -> dict[str, FreDetector]:
    return {
        "fitted so": hide_cells(fitted_to(cut(NORMAL)), MASK, size=SIZE),
        "seen through it": restrict_model(model, MASK).fre,
    }


def computed(head: Head, detector: FreDetector, frames: dict[str, Floats]) -> Floats:
    graph = head_graph(NET, list(SHAPES), head, detector)
    hint = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    found = ov.Core().compile_model(graph, "CPU", hint)(frames)
    return np.asarray(found[0], np.float32)


def test_the_mask_of_the_tests_leaves_out_some_cells_and_keeps_others() -> None:
    for name in SHAPES:
        assert 0.3 < seen(name).mean() < 0.8


@pytest.mark.parametrize("way", ["fitted so", "seen through it"])
@pytest.mark.parametrize("head", [score_head, exact_score_head, map_head])
def test_features_under_the_mask_have_no_say(model: Model, head: Head, way: str) -> None:
    detector = detectors(model)[way]
    before = computed(head, detector, FRAMES)
    other = {
        name: np.where(seen(name), rows, 100 + 7 * rows).astype(np.float32)
        for name, rows in FRAMES.items()
    }
    np.testing.assert_array_equal(computed(head, detector, other), before)
    nearby = {name: (rows + seen(name)).astype(np.float32) for name, rows in FRAMES.items()}
    assert (computed(head, detector, nearby) != before).any()


def test_a_model_fitted_under_a_mask_scores_by_the_features_that_are_left(model: Model) -> None:
    expected = fuse_errors(
        [
            reconstruction_error(
                FRAMES[name][:, seen(name)], fit_subspace(NORMAL[name][:, seen(name)], retain=0.8)
            )
            for name in SHAPES
        ]
    )
    found = computed(exact_score_head, detectors(model)["fitted so"], FRAMES)
    np.testing.assert_allclose(found, expected, rtol=2e-3)


def test_a_model_seen_through_a_mask_leaves_what_its_directions_can_not_make_of_the_rest(
    model: Model,
) -> None:
    errors = []
    for name, layer in model.fre.score_layers.items():
        # Least squares on what is seen, frame by frame.
        ways = layer.subspace.encoder.astype(np.float64)[:, seen(name)].T
        target = (FRAMES[name] - layer.subspace.mean)[:, seen(name)].astype(np.float64).T
        solved = np.linalg.lstsq(ways, target, rcond=None)[0]
        errors.append(np.linalg.norm(target - ways @ solved, axis=0))
    found = computed(exact_score_head, restrict_model(model, MASK).fre, FRAMES)
    np.testing.assert_allclose(found, fuse_errors(errors), rtol=2e-3)


@pytest.mark.parametrize("way", ["fitted so", "seen through it"])
def test_a_map_is_empty_where_cells_are_left_out_and_as_bright_as_ever_elsewhere(
    model: Model, way: str
) -> None:
    maps = computed(map_head, detectors(model)[way], FRAMES)
    kept = MASK.over(SIZE).kept((16, 16))
    assert (maps[:, ~kept] == 0).all()
    whole = computed(map_head, model.fre, FRAMES)
    far = np.zeros((16, 16), np.bool_)
    far[:, 12:] = far[12:] = True
    assert (maps[:, far] > 0.5 * whole[:, far]).all()
    # Next to the mask nothing fades, though cells of the coarser layer are missing there.
    edge = kept & ~far & (maps.mean(axis=0) > 0)
    assert np.median(maps[:, edge]) > 0.5 * np.median(whole[:, edge])


@pytest.mark.parametrize("head", [exact_score_head, map_head])
def test_both_libraries_leave_out_the_same(model: Model, head: Head) -> None:
    import torch

    detector = restrict_model(model, MASK).fre
    network = translate(head_graph(NET, list(SHAPES), head, detector), torch.float32)
    with torch.inference_mode():
        (found,) = network(*(torch.from_numpy(FRAMES[name]) for name in SHAPES))
    np.testing.assert_allclose(found.numpy(), computed(head, detector, FRAMES), rtol=2e-3)


def test_a_mask_is_part_of_a_models_name_and_must_leave_something(model: Model) -> None:
    masked = restrict_model(model, MASK)
    assert len({model.digest, masked.digest, restrict_model(masked, MASK).digest}) == 3
    with pytest.raises(ModelError, match="the mask leaves no cell of deep"):
        restrict_model(model, Mask((((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)),)))


def test_an_autoencoder_is_to_be_fitted_with_its_mask(model: Model) -> None:
    layer = model.fre.score_layers["deep"]
    weights = layer.subspace.encoder
    units = LinearAutoencoder(
        mean=layer.subspace.mean, encoder=weights, decoder=weights, retained=0.8
    )
    layers = {"deep": replace(layer, subspace=units)}
    other = replace(model, detector=replace(model.fre, score_layers=layers))
    with pytest.raises(ModelError, match="fit it with --mask"):
        restrict_model(other, MASK)


@pytest.mark.parametrize("rule", ["error", "maximum"])
def test_a_bank_seen_through_a_mask_is_a_bank_of_what_is_left(model: Model, rule: str) -> None:
    recipe = Recipe(
        sampling_layer="deeper",
        map_layers=("deep",),
        samples=8,
        sparsity=4,
        tolerance=0,
        rule=rule,  # type: ignore[arg-type]
    )
    banks = {
        name: BankLayer(bank=store_bank(rows, precision="float16"), shape=SHAPES[name])
        for name, rows in NORMAL.items()
    }
    whole = replace(model, detector=SgfrDetector(layers=banks, recipe=recipe))
    detector = restrict_model(whole, MASK).detector
    assert isinstance(detector, SgfrDetector)
    judge = detector.judge(size=SIZE, maps=True)
    scores, maps = judge.scores(FRAMES), judge.maps(FRAMES)
    other = {
        name: np.where(seen(name), rows, 5 * rows).astype(np.float32)
        for name, rows in FRAMES.items()
    }
    np.testing.assert_array_equal(judge.scores(other), scores)
    np.testing.assert_array_equal(judge.maps(other), maps)
    assert (maps[:, ~MASK.over(SIZE).kept((16, 16))] == 0).all()
    if rule == "error":
        only = SgfrDetector(
            layers={
                name: BankLayer(bank=store_bank(rows, precision="float16"), shape=SHAPES[name])
                for name, rows in cut(NORMAL).items()
            },
            recipe=recipe,
        ).judge(size=SIZE, maps=False)
        np.testing.assert_allclose(only.scores(cut(FRAMES)), scores, rtol=2e-3)
