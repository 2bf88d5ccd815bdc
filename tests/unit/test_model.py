"""Model directories: what goes in comes out, and nothing else is let in."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamline.backbone import Backbone, read_folder
from streamline.errors import InputError, ModelError
from streamline.fre import Subspace
from streamline.mask import Mask
from streamline.model import (
    BackboneId,
    Calibration,
    FittedLayer,
    FreDetector,
    Model,
    calibration_of,
    check_free,
    load_model,
    network_of,
    read_manifest,
    require_preprocessing,
    save_model,
)


def layer(seed: int, *, rank: int, shape: tuple[int, int, int]) -> FittedLayer:
    generator = np.random.default_rng(seed)
    features = int(np.prod(shape))
    directions = np.linalg.qr(generator.normal(size=(features, rank)))[0].T
    return FittedLayer(
        subspace=Subspace(
            mean=generator.normal(size=features).astype(np.float32),
            directions=directions.astype(np.float16),
            singular_values=np.sort(generator.random(rank + 2))[::-1] + 1,
        ),
        shape=shape,
    )


@pytest.fixture
def model() -> Model:
    scores = np.random.default_rng(0).random(20) + 1
    return Model(
        backbone=BackboneId("net", "int8", "ab" * 32),
        preprocessing="squash/1",
        height=64,
        width=32,
        detector=FreDetector(
            score_layers={
                "deep": layer(1, rank=3, shape=(4, 2, 2)),
                "deeper": layer(2, rank=2, shape=(6, 1, 1)),
            },
            map_layers={"deep": layer(3, rank=4, shape=(4, 2, 2))},
            retain=0.9,
            shares=(0.9, 0.5),
            heldout=np.stack([scores, scores + 1]).astype(np.float32),
        ),
        calibration=Calibration(
            alpha=1 / 21,
            scores=scores,
            way="cross-fit",
            effective_frames=12.5,
            blocks=10,
            gap=1,
            source="./good",
            created="2031-01-02T03:04:05+00:00",
        ),
        distinct_frames=7.5,
        source="./good",
        created="2031-01-02T03:04:05+00:00",
    )


@pytest.fixture
def saved(model: Model, tmp_path: Path) -> Path:
    save_model(model, tmp_path / "model")
    return tmp_path / "model"


def test_a_model_comes_back_as_it_was_saved(model: Model, tmp_path: Path) -> None:
    written = save_model(model, tmp_path / "some" / "where")
    read = load_model(tmp_path / "some" / "where")
    assert read.digest == written.digest
    assert len(read.digest) == 64
    for field in ("backbone", "preprocessing", "height", "width", "source", "created"):
        assert getattr(read, field) == getattr(model, field)
    assert read.fre.retain == model.fre.retain
    assert read.fre.shares == model.fre.shares
    np.testing.assert_array_equal(read.fre.heldout, model.fre.heldout)
    assert list(read.fre.score_layers) == ["deep", "deeper"]
    for name, one in read.fre.score_layers.items():
        same_layer(one, model.fre.score_layers[name])
    same_layer(read.fre.map_layers["deep"], model.fre.map_layers["deep"])
    assert read.threshold == model.threshold
    assert read.calibration.frames == 20
    np.testing.assert_array_equal(read.calibration.scores, model.calibration.scores)


def same_layer(one: FittedLayer, other: FittedLayer) -> None:
    assert one.shape == other.shape
    for field in ("mean", "directions", "singular_values"):
        found, expected = getattr(one.subspace, field), getattr(other.subspace, field)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.fixture
def network(tmp_path: Path) -> Backbone:
    """Some files for a network; nothing here looks into them."""
    folder = tmp_path / "network"
    folder.mkdir()
    files = {"fp16.xml": b"<net/>", "fp16.bin": bytes(range(256))}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    manifest = {
        "name": "net",
        "input": {"height": 64, "width": 32},
        "layers": {
            "deep": {"channels": 4, "height": 2, "width": 2, "stride": 32},
            "deeper": {"channels": 6, "height": 1, "width": 1, "stride": 64},
        },
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return read_folder(folder, "fp16", cure="")


def on(network: Backbone, model: Model) -> Model:
    named = BackboneId(network.name, network.precision, network.sha256)
    return replace(model, backbone=named, stored=network)


def test_a_network_that_is_not_shipped_goes_with_the_model(
    model: Model, network: Backbone, tmp_path: Path
) -> None:
    save_model(on(network, model), tmp_path / "model")
    (tmp_path / "model").rename(tmp_path / "elsewhere")
    shutil.rmtree(network.xml.parent)
    found = network_of(load_model(tmp_path / "elsewhere"))
    assert found.xml == tmp_path / "elsewhere" / "backbone" / "fp16.xml"
    assert replace(found, xml=network.xml) == network
    assert found.xml.with_suffix(".bin").read_bytes() == bytes(range(256))
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in (tmp_path / "elsewhere").rglob("*"))


@pytest.mark.parametrize("file", ["fp16.xml", "fp16.bin", "manifest.json"])
def test_a_changed_network_is_refused(
    file: str, model: Model, network: Backbone, tmp_path: Path
) -> None:
    save_model(on(network, model), tmp_path / "model")
    path = tmp_path / "model" / "backbone" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError):
        load_model(tmp_path / "model")


def test_a_network_from_another_model_is_refused(
    model: Model, network: Backbone, tmp_path: Path
) -> None:
    save_model(on(network, model), tmp_path / "model")
    (tmp_path / "model" / "backbone" / "fp16.bin").write_bytes(b"other weights")
    manifest = json.loads((network.xml.parent / "manifest.json").read_text())
    manifest["sha256"]["fp16.bin"] = hashlib.sha256(b"other weights").hexdigest()
    (tmp_path / "model" / "backbone" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="another network in backbone than it was fitted on"):
        load_model(tmp_path / "model")


def test_a_model_of_another_build_of_the_shipped_network_is_refused(model: Model) -> None:
    other = BackboneId("efficientnet_lite0", "int8", "ab" * 32)
    with pytest.raises(ModelError, match="fitted on another build of efficientnet_lite0 int8"):
        network_of(replace(model, backbone=other))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        pytest.param(
            {"nosuch": layer(1, rank=1, shape=(4, 2, 2))}, "net has no layer 'nosuch'", id="layer"
        ),
        pytest.param(
            {"deep": layer(1, rank=1, shape=(1, 4, 4))},
            "takes features of 1 x 4 x 4 numbers from deep, and net gives 4 x 2 x 2 there",
            id="shape",
        ),
        pytest.param({"deep/3": layer(1, rank=1, shape=(4, 1, 1))}, "don't divide", id="pooling"),
    ],
)
@pytest.mark.parametrize("use", ["score_layers", "map_layers"])
def test_a_model_of_other_features_than_its_network_gives_is_refused(
    model: Model, network: Backbone, use: str, wrong: dict[str, FittedLayer], sentence: str
) -> None:
    assert network_of(on(network, model)) == network
    detector = model.fre
    other = (
        replace(detector, score_layers=wrong)
        if use == "score_layers"
        else replace(detector, map_layers=wrong)
    )
    with pytest.raises(ModelError, match=sentence):
        network_of(on(network, replace(model, detector=other)))


def test_the_digest_names_the_content(model: Model, tmp_path: Path) -> None:
    one = save_model(model, tmp_path / "one")
    same = save_model(model, tmp_path / "same")
    other = save_model(replace(model, source="./better"), tmp_path / "other")
    assert one.digest == same.digest != other.digest


def test_a_calibration_has_a_digest_of_its_own_and_leaves_the_model_its_name(
    model: Model, tmp_path: Path
) -> None:
    one = save_model(model, tmp_path / "one")
    calibration = replace(model.calibration, alpha=0.1)
    other = save_model(replace(model, calibration=calibration), tmp_path / "other")
    assert one.digest == other.digest == other.calibration.model
    assert one.calibration.digest != other.calibration.digest
    assert load_model(tmp_path / "other").calibration.digest == other.calibration.digest


def test_a_model_of_strided_arrays_comes_back_unscrambled(model: Model, tmp_path: Path) -> None:
    deep = model.fre.map_layers["deep"]
    assert isinstance(deep.subspace, Subspace)
    columns = np.asarray(np.asfortranarray(deep.subspace.directions), np.float16)
    assert not columns.flags.c_contiguous
    strided = replace(deep.subspace, directions=columns)
    detector = replace(model.fre, map_layers={"deep": replace(deep, subspace=strided)})
    save_model(replace(model, detector=detector), tmp_path / "m")
    same_layer(load_model(tmp_path / "m").fre.map_layers["deep"], deep)


def test_the_map_has_the_grid_of_its_finest_layer(model: Model) -> None:
    layers = {
        "coarse": layer(4, rank=1, shape=(8, 2, 3)),
        "fine": layer(5, rank=1, shape=(2, 4, 6)),
    }
    assert replace(model, detector=replace(model.fre, map_layers=layers)).map_shape == (4, 6)


def test_others_may_read_a_model_and_nothing_else_is_left_behind(saved: Path) -> None:
    assert [path.name for path in saved.parent.iterdir()] == ["model"]
    files = ["calibration.json", "manifest.json", "tensors.safetensors"]
    assert sorted(path.name for path in saved.iterdir()) == files
    for path in (saved, *saved.iterdir()):
        assert path.stat().st_mode & 0o044 == 0o044


def test_a_model_is_not_overwritten_unless_asked(model: Model, saved: Path) -> None:
    with pytest.raises(InputError, match=r"holds a model already; .* --force"):
        save_model(model, saved)
    newer = save_model(replace(model, source="./better"), saved, replace=True)
    assert load_model(saved).digest == newer.digest
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_what_is_no_model_is_never_replaced(model: Model, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(InputError, match=r"is no model directory"):
        save_model(model, tmp_path, replace=True)
    with pytest.raises(InputError, match=r"is no model directory"):
        check_free(tmp_path / "holiday.jpg", replace=True)
    assert (tmp_path / "holiday.jpg").exists()


def test_an_empty_directory_may_become_a_model(model: Model, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    save_model(model, tmp_path / "model")
    assert load_model(tmp_path / "model").source == "./good"


def test_a_reader_never_finds_half_a_model_while_one_is_replaced(
    model: Model, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    sync = os.fsync

    def look(descriptor: int) -> None:
        seen.append(load_model(saved).source)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    save_model(replace(model, source="./better"), saved, replace=True)
    assert set(seen) == {"./good", "./better"}
    assert seen[-1] == "./better"


def test_a_failed_write_is_one_sentence_and_leaves_nothing(model: Model, tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.touch()
    with pytest.raises(InputError, match=r"can't be written to .*file/model"):
        save_model(model, blocker / "model")
    assert list(tmp_path.iterdir()) == [blocker]


def edit(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return apply


def edit_detector(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    return edit(lambda manifest: change(cast("dict[str, object]", manifest["detector"])))


def manifest_is(text: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / "manifest.json").write_text(text)

    return apply


def not_utf8(name: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data.replace(b'"streamline', b'"\xffstreamline'))

    return apply


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def truncate(name: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return apply


def flip_last_byte(folder: Path) -> None:
    data = bytearray((folder / "tensors.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "tensors.safetensors").write_bytes(bytes(data))


def swap_in_other_tensors(folder: Path) -> None:
    (folder / "tensors.safetensors").write_bytes(
        b"\0" * (folder / "tensors.safetensors").stat().st_size
    )


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        pytest.param(
            truncate("tensors.safetensors"), r"truncated or foreign", id="truncated-tensors"
        ),
        pytest.param(
            truncate("manifest.json"), r"manifest.json can't be read", id="truncated-json"
        ),
        pytest.param(flip_last_byte, r"edited or damaged", id="one-bit"),
        pytest.param(swap_in_other_tensors, r"edited or damaged", id="other-tensors"),
        pytest.param(edit(lambda m: m.clear()), r"belongs to something else", id="empty-json"),
        pytest.param(
            manifest_is('{"name": "my-package", "version": "1.0"}'),
            r"is no Streamline model",
            id="foreign-json",
        ),
        pytest.param(manifest_is("[1]"), r"is no Streamline model", id="list"),
        pytest.param(manifest_is("\x00"), r"is no Streamline model", id="bytes"),
        pytest.param(not_utf8("manifest.json"), r"manifest.json can't be read", id="not-utf-8"),
        pytest.param(
            not_utf8("calibration.json"), r"is no calibration; make one", id="calibration-not-utf-8"
        ),
        pytest.param(manifest_is("[" * 200_000), r"is no Streamline model", id="deep-json"),
        pytest.param(manifest_is(" " * (2 << 20)), r"far too large", id="huge-json"),
        pytest.param(
            edit(lambda m: m.update(version=3)),
            r"newer version of Streamline \(format 3",
            id="newer",
        ),
        pytest.param(
            edit(lambda m: m.update(version=1)),
            r"another version of Streamline \(format 1, .* fit it again",
            id="older",
        ),
        pytest.param(
            edit_detector(lambda d: d.update(kind="later")), r"of kind 'later'", id="other-kind"
        ),
        pytest.param(edit(lambda m: m.update(extra=1)), r"damaged manifest", id="unknown-key"),
        pytest.param(
            edit_detector(lambda d: d.update(extra=1)), r"damaged manifest", id="unknown-inner-key"
        ),
        pytest.param(
            edit_detector(lambda d: d.update(retain=2)), r"damaged manifest", id="out-of-range"
        ),
        pytest.param(
            edit(lambda m: m.update(source="x")), r"manifest.json that was edited", id="edited"
        ),
        pytest.param(remove("manifest.json"), r"manifest.json is missing", id="no-manifest"),
        pytest.param(
            remove("tensors.safetensors"), r"tensors.safetensors is missing", id="no-tensors"
        ),
        pytest.param(
            remove("calibration.json"), r"calibration.json is missing", id="no-calibration"
        ),
    ],
)
def test_a_spoilt_model_is_refused_with_one_sentence(
    saved: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    spoil(saved)
    with pytest.raises(ModelError, match=sentence) as refusal:
        load_model(saved)
    assert "\n" not in str(refusal.value)
    assert str(saved) in str(refusal.value)


def test_what_a_model_says_of_itself_is_read_without_its_tensors(model: Model, saved: Path) -> None:
    (saved / "tensors.safetensors").unlink()
    manifest = read_manifest(saved)
    assert manifest.digest == save_model(model, saved.with_name("again")).digest
    assert (manifest.input.height, manifest.input.width) == (model.height, model.width)
    calibration = calibration_of(saved, manifest.digest)
    assert calibration.threshold == model.threshold
    assert calibration.model == manifest.digest
    edited = saved / "manifest.json"
    edited.write_text(edited.read_text().replace("./good", "./better"))
    with pytest.raises(ModelError, match=rf"^{saved} has a manifest\.json that was edited; "):
        read_manifest(saved)


def test_a_threshold_changed_by_hand_is_refused(saved: Path) -> None:
    text = (saved / "calibration.json").read_text()
    threshold = json.loads(text)["threshold"]
    (saved / "calibration.json").write_text(text.replace(str(threshold), "9.0"))
    with pytest.raises(ModelError, match=r"calibration.json is a calibration that was edited"):
        load_model(saved)


def test_the_calibration_of_another_model_is_refused(model: Model, saved: Path) -> None:
    other = saved.with_name("other")
    save_model(replace(model, source="./better"), other)
    shutil.copy(other / "calibration.json", saved)
    with pytest.raises(ModelError, match=r"calibration\.json was made for another model than "):
        load_model(saved)


def test_the_path_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    with pytest.raises(ModelError, match=r"is a file, a model is a directory"):
        load_model(tmp_path / "model.onnx")


def signed(folder: Path, change: Callable[[Any], object]) -> None:
    """Let the manifest say something else, with a hash that is right."""
    document = json.loads((folder / "manifest.json").read_text())
    change(document)
    bare = msgspec.json.encode({**document, "digest": ""}, order="sorted")
    document["digest"] = hashlib.sha256(bare).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(document))


TRIANGLE = [[0.1, 0.1], [0.2, 0.1], [0.1, 0.2]]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(
            lambda m: m["detector"]["score_layers"]["deep"].update(rank=17),
            r"17 directions of 16 features",
            id="rank",
        ),
        pytest.param(lambda m: m["input"].update(height=4096), r"height", id="input"),
        pytest.param(lambda m: m["input"].update(height=65), r"height", id="input-between"),
        pytest.param(
            lambda m: m["detector"]["map_layers"]["deep"].update(height=65, channels=1),
            r"layer deep is larger than a frame",
            id="layer",
        ),
        pytest.param(
            lambda m: m.update(mask=[TRIANGLE * 80] * 9), r"2160 corners, 2048 at", id="corners"
        ),
        pytest.param(
            lambda m: m.update(mask=[[[1e300, 0], *TRIANGLE]]), r"nowhere near", id="far-corner"
        ),
    ],
)
def test_what_would_take_time_or_memory_without_end_is_refused_before_it_does(
    saved: Path, change: Callable[[Any], object], sentence: str
) -> None:
    signed(saved, change)
    with pytest.raises(ModelError, match=rf"damaged manifest\.json \(.*{sentence}"):
        load_model(saved)


def test_a_mask_is_drawn_once_for_all_layers(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = Mask((((0.6, 0.0), (1.0, 0.0), (1.0, 0.1), (0.6, 0.1)),))
    layers = {f"l{i}": layer(i, rank=1, shape=(2, 8, 4)) for i in range(5)}
    detector = replace(model.fre, score_layers=layers, map_layers=layers)
    save_model(replace(model, mask=mask, detector=detector), tmp_path / "m")
    drawn = []
    covered = Mask.covered

    def count(mask: Mask, rows: int, columns: int, /) -> npt.NDArray[np.bool_]:
        drawn.append((rows, columns))
        return covered(mask, rows, columns)

    monkeypatch.setattr(Mask, "covered", count)
    load_model(tmp_path / "m")
    assert drawn == [(64, 32)]


def test_what_is_read_is_what_was_hashed_whatever_takes_its_place_meanwhile(
    model: Model, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it is fitted again while a worker starts."""
    detector = replace(model.fre, score_layers={"deep": layer(9, rank=3, shape=(4, 2, 2))})
    other = saved.with_name("other")
    save_model(replace(model, detector=detector), other)
    sha256 = hashlib.sha256

    def swap(data: bytes = b"") -> object:
        if data == (saved / "tensors.safetensors").read_bytes():
            (other / "tensors.safetensors").replace(saved / "tensors.safetensors")
        return sha256(data)

    monkeypatch.setattr(hashlib, "sha256", swap)
    read = load_model(saved)
    assert not (other / "tensors.safetensors").exists()
    assert list(read.fre.score_layers) == ["deep", "deeper"]
    for name, one in read.fre.score_layers.items():
        same_layer(one, model.fre.score_layers[name])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_noticed(saved: Path, data: st.DataObject) -> None:
    path = saved / data.draw(st.sampled_from(["manifest.json", "tensors.safetensors"]))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[place] ^= data.draw(st.integers(1, 255))
    try:
        path.write_bytes(bytes(changed))
        before = json.loads(whole) if path.suffix == ".json" else None
        if before is not None and is_json(changed) == before:
            return  # A space more or less in the layout says the same.
        with pytest.raises(ModelError):
            load_model(saved)
    finally:
        path.write_bytes(whole)


def is_json(data: bytearray) -> object:
    try:
        return json.loads(bytes(data))
    except ValueError:
        return None


def test_frames_prepared_otherwise_are_refused(model: Model) -> None:
    require_preprocessing(model.preprocessing, "squash/1")
    with pytest.raises(
        ModelError, match=r"prepared by 'squash/1'.*by 'crop/2'; fit the model again"
    ):
        require_preprocessing(model.preprocessing, "crop/2")
