"""Model directories of the other kind: memory banks, as they come back and as they are refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from streamline.errors import ModelError
from streamline.model import (
    BackboneId,
    BankLayer,
    Calibration,
    Model,
    SgfrDetector,
    load_model,
    save_model,
)
from streamline.model.manifest import Manifest, decode_manifest, encode_manifest
from streamline.sgfr import BankPrecision, Recipe, most_frames, store_bank

SHAPES = {"fine": (3, 4, 5), "middle": (4, 2, 2), "top": (6, 1, 1)}
RECIPE = Recipe(
    sampling_layer="top",
    map_layers=("fine", "middle"),
    samples=5,
    sparsity=2,
    tolerance=0.5,
    rule="maximum",
)


def model(precision: BankPrecision = "float16") -> Model:
    generator = np.random.default_rng(0)
    layers = {
        name: BankLayer(
            bank=store_bank(generator.normal(size=(9, np.prod(shape))), precision=precision),
            shape=shape,
        )
        for name, shape in SHAPES.items()
    }
    return Model(
        backbone=BackboneId("net", "int8", "ab" * 32),
        preprocessing="squash/1",
        height=64,
        width=32,
        detector=SgfrDetector(layers=layers, recipe=RECIPE),
        distinct_frames=5.0,
        calibration=Calibration(
            alpha=0.1,
            scores=np.ones(9),
            way="cross-fit",
            effective_frames=5.0,
            blocks=3,
            gap=1,
            source="./good",
            created="2031-01-02T03:04:05+00:00",
        ),
        source="./good",
        created="2031-01-02T03:04:05+00:00",
    )


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_a_bank_comes_back_as_it_was_saved(tmp_path: Path, precision: BankPrecision) -> None:
    written = save_model(model(precision), tmp_path / "model")
    read = load_model(tmp_path / "model")
    assert read.digest == written.digest
    found, expected = read.detector, written.detector
    assert isinstance(found, SgfrDetector)
    assert isinstance(expected, SgfrDetector)
    assert found.recipe == RECIPE
    assert (found.frames, found.precision, found.map_shape) == (9, precision, (4, 5))
    assert found.nbytes == expected.nbytes
    assert found.layers.keys() == SHAPES.keys()
    for name, layer in found.layers.items():
        assert layer.shape == SHAPES[name]
        assert layer.bank.codes.dtype == expected.layers[name].bank.codes.dtype
        np.testing.assert_array_equal(layer.bank.codes, expected.layers[name].bank.codes)
        np.testing.assert_array_equal(layer.bank.scales, expected.layers[name].bank.scales)


def test_the_stored_bank_is_about_as_large_as_is_said(tmp_path: Path) -> None:
    saved = save_model(model(), tmp_path / "model")
    assert isinstance(saved.detector, SgfrDetector)
    size = (tmp_path / "model" / "tensors.safetensors").stat().st_size
    assert saved.detector.nbytes < size < saved.detector.nbytes + 2000


def test_what_only_subspaces_can_do_is_refused_with_one_sentence() -> None:
    with pytest.raises(ModelError, match=r"fitted with FRE, and this one was not"):
        _ = model().fre


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"frames": 10}, id="more-frames"),
        pytest.param({"precision": "int8"}, id="another-type"),
    ],
)
def test_a_manifest_that_promises_another_bank_is_refused(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    save_model(model(), tmp_path / "model")
    path = tmp_path / "model" / "manifest.json"
    document = json.loads(path.read_text())
    document["detector"].update(change)
    path.write_bytes(signed(document))
    with pytest.raises(ModelError, match=r"holds other tensors .* than its manifest says"):
        load_model(tmp_path / "model")


def signed(document: dict[str, Any]) -> bytes:
    """The document with a digest that is right: only what it says gives it away."""
    return encode_manifest(msgspec.convert(document, Manifest))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param({"sampling_layer": "fine"}, r"layers are not those", id="layer-not-used"),
        pytest.param({"map_layers": ["fine", "gone"]}, r"layers are not those", id="no-such-layer"),
        pytest.param({"samples": 0}, r"samples", id="no-samples"),
        pytest.param({"precision": "float64"}, r"precision", id="precision"),
        pytest.param({"rule": "guess"}, r"rule", id="rule"),
        pytest.param({"map_layers": []}, r"map_layers", id="no-map"),
        pytest.param({"frames": 1 << 40}, r"frames", id="huge"),
        pytest.param(
            {"frames": most_frames([60, 16, 6]) + 1}, r"1183 frames are too many", id="too-many"
        ),
        pytest.param({"samples": 513}, r"samples", id="too-many-samples"),
        pytest.param({"sparsity": 513}, r"sparsity", id="too-many-combined"),
        pytest.param({"extra": 1}, r"extra", id="unknown-key"),
    ],
)
def test_a_recipe_that_can_not_be_is_refused_before_any_tensor_is_read(
    tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    save_model(model(), tmp_path / "model")
    path = tmp_path / "model" / "manifest.json"
    document = json.loads(path.read_text())
    document["detector"].update(change)
    path.write_text(json.dumps(document))
    with pytest.raises(ModelError, match=rf"damaged manifest.json \(.*{sentence}"):
        load_model(tmp_path / "model")
    with pytest.raises(ValueError, match=r"damaged manifest.json"):
        decode_manifest(path.read_bytes())


def test_opened_for_scores_it_holds_no_more_than_they_need() -> None:
    detector = model().detector
    assert isinstance(detector, SgfrDetector)
    lean = replace(detector, recipe=replace(RECIPE, rule="error"))
    assert lean.judge(size=(64, 32), maps=False)._levels.keys() == {"top"}
    assert lean.judge(size=(64, 32), maps=True)._levels.keys() == SHAPES.keys()
    assert detector.judge(size=(64, 32), maps=False)._levels.keys() == SHAPES.keys()
