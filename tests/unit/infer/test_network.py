"""Stored networks: what is sound is read as it was, and nothing else is let near OpenVINO."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from streamline.backbone import Backbone
from streamline.errors import ModelError
from streamline.infer.ir import operations_of
from streamline.infer.network import read_network
from tests.support.stored import (
    SIDE,
    frames,
    small_network,
    store_graph,
    store_network,
    with_layers,
)

MANY = 1 << 24


@pytest.fixture
def core() -> ov.Core:
    return ov.Core()


@pytest.fixture
def small(tmp_path: Path) -> Backbone:
    return store_graph(tmp_path / "small", small_network())


def test_a_network_gives_what_it_gave_before_it_was_stored(core: ov.Core, small: Backbone) -> None:
    batch = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    before = core.compile_model(small_network(), "CPU")(batch)["deep"]
    after = core.compile_model(read_network(core, small), "CPU")(batch)["deep"]
    np.testing.assert_array_equal(after, before)


def test_shapes_that_are_worked_out_from_the_batch_are_sound(core: ov.Core, tmp_path: Path) -> None:
    """As torch writes the shuffling of channels."""
    pixels = frames()
    picture = ops.transpose(ops.convert(pixels, "f32"), np.array([0, 3, 1, 2]))
    batch = ops.gather(ops.shape_of(picture), np.array([0]), np.array(0))
    half = ops.divide(ops.constant(np.array([SIDE])), ops.constant(np.array([2])))
    apart = ops.concat([batch, np.array([3, 2]), half, np.array([SIDE])], 0)
    turned = ops.transpose(ops.reshape(picture, apart, special_zero=False), [0, 2, 1, 3, 4])
    deep = ops.reshape(turned, np.array([0, 6, SIDE // 2, SIDE]), special_zero=True)
    shape = (6, SIDE // 2, SIDE)
    net = store_graph(tmp_path / "net", with_layers(pixels, deep=deep), {"deep": shape})
    assert read_network(core, net).outputs[0].partial_shape == ov.PartialShape([-1, *shape])


def folded() -> ov.Model:
    """From two columns of constants all their products."""
    column = np.ones((1, 1, 4096, 1), np.float32)
    outer = ops.multiply(ops.constant(column), ops.constant(column.transpose(0, 1, 3, 2)))
    whole = ops.reduce_sum(outer, np.array([2, 3]), keep_dims=True)
    return on_frames(lambda picture: ops.add(picture, whole))


def on_frames(of: Callable[[ov.Node], ov.Node]) -> ov.Model:
    """A layer of one value for each frame, and what is made of it."""
    pixels = frames()
    value = ops.reduce_mean(ops.convert(pixels, "f32"), np.array([1, 2, 3]), keep_dims=True)
    return with_layers(pixels, deep=of(value))


def shaped_by_much() -> ov.Model:
    """A shape that is the sum of sixteen million numbers, all from a few."""
    few = ops.constant(np.ones((4096, 1), np.int64))
    much = ops.reduce_sum(ops.multiply(few, ops.transpose(few, [1, 0])), [0, 1], keep_dims=False)
    one = ops.reshape(ops.divide(much, much), np.array([1]), special_zero=False)
    shape = ops.concat([np.array([-1]), one, one, one], 0)
    return on_frames(lambda value: ops.reshape(value, shape, special_zero=False))


def grown() -> ov.Model:
    """Sixteen million numbers from each frame's one."""
    column = ops.constant(np.ones((1, 1, 4096, 1), np.float32))
    row = ops.constant(np.ones((1, 1, 1, 4096), np.float32))
    return on_frames(
        lambda value: ops.reduce_mean(
            ops.multiply(ops.multiply(value, column), row), np.array([2, 3]), keep_dims=True
        )
    )


def grown_in_batches_of(size: int) -> ov.Model:
    """As many numbers as frames, but of batches of one size millions."""

    def of(value: ov.Node) -> ov.Node:
        frames = ops.gather(ops.shape_of(value), np.array([0]), np.array(0))
        this = ops.convert(ops.equal(frames, np.array([size])), "i64")
        rows = ops.add(ops.multiply(this, np.array([MANY])), np.array([1]))
        many = ops.broadcast(value, ops.concat([ops.multiply(frames, rows), [1], [1], [1]], 0))
        mean = ops.reduce_mean(many, np.array([0]), keep_dims=True)
        return ops.add(value, mean)

    return on_frames(of)


def attended() -> ov.Model:
    """Each pixel's weight for each other pixel."""
    pixels = frames()
    picture = ops.reshape(ops.convert(pixels, "f32"), [0, 1, SIDE * SIDE, 3], special_zero=True)
    mixed = ops.scaled_dot_product_attention(picture, picture, picture)
    return with_layers(pixels, deep=ops.reduce_mean(mixed, [1, 2, 3], keep_dims=True))


def divided(by: Callable[[ov.Node], ov.Node]) -> ov.Model:
    """The batch's size by something."""

    def of(value: ov.Node) -> ov.Node:
        batch = ops.gather(ops.shape_of(value), np.array([0]), np.array(0))
        return ops.add(value, ops.convert(ops.unsqueeze(by(batch), np.array([0, 1, 2])), "f32"))

    return on_frames(of)


def padded(by: ov.Node | np.ndarray[tuple[int], np.dtype[np.int64]]) -> ov.Model:
    """Each frame's value, with as much to the left and right."""
    return on_frames(lambda value: ops.pad(value, by, by, "edge"))


ONE = {"deep": (1, 1, 1)}
PADS = "it pads by what may be no number of pixels"
DIVIDES = "it divides whole numbers by what may be 0 or -1"


@pytest.mark.parametrize(
    ("graph", "sentence"),
    [
        pytest.param(
            lambda: on_frames(
                lambda value: ops.reduce_mean(
                    ops.broadcast(value, np.array([1, 1, MANY, 1])), np.array([2]), keep_dims=True
                )
            ),
            "a Broadcast gives 16777216 numbers for a frame, 4259840 are",
            id="broadcast",
        ),
        pytest.param(
            lambda: on_frames(
                lambda value: ops.add(
                    value,
                    ops.reduce_mean(
                        ops.broadcast(ops.constant(np.float32(1)), np.array([1, 1, MANY, 1])),
                        np.array([2]),
                        keep_dims=True,
                    ),
                )
            ),
            "far more numbers from its weights than those are",
            id="broadcast-of-a-constant",
        ),
        pytest.param(lambda: grown_in_batches_of(8), "a Broadcast gives", id="many-in-a-batch"),
        pytest.param(attended, "a ScaledDotProductAttention gives 268", id="attention"),
        pytest.param(
            lambda: on_frames(
                lambda value: ops.reduce_mean(
                    ops.convolution_backprop_data(
                        value, np.ones((1, 1, 4096, 4096), np.float32), [1, 1]
                    ),
                    np.array([2, 3]),
                    keep_dims=True,
                )
            ),
            "a ConvolutionBackpropData gives 16777216 numbers",
            id="transposed",
        ),
        pytest.param(
            lambda: divided(lambda batch: ops.mod(batch, ops.constant(np.array([0])))),
            DIVIDES,
            id="by-nothing",
        ),
        pytest.param(
            lambda: divided(lambda batch: ops.divide(batch, ops.negative(batch))),
            DIVIDES,
            id="by-what-frames-say",
        ),
        pytest.param(
            lambda: divided(lambda batch: ops.divide(batch, ops.subtract(batch, np.array([2])))),
            DIVIDES,
            id="by-what-is-computed",
        ),
        pytest.param(
            lambda: divided(lambda batch: ops.divide(batch, ops.constant(np.array([-1])))),
            DIVIDES,
            id="by-minus-one",
        ),
        pytest.param(lambda: padded(np.array([0, 0, 0, -(1 << 63)])), PADS, id="pads-that-wrap"),
        pytest.param(
            lambda: on_frames(
                lambda value: ops.pad(value, [0, 3, 0, 0], [0, -3, 0, 0], "constant", np.float32(0))
            ),
            PADS,
            id="more-cut-off-than-there-is",
        ),
        pytest.param(
            lambda: padded(ops.subtract(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 1]))),
            PADS,
            id="pads-that-are-computed",
        ),
        pytest.param(folded, "far more numbers from its weights than those are", id="folded"),
        pytest.param(shaped_by_much, "the shape of Reshape .* from too much", id="shape"),
        pytest.param(grown, r"gives 16777216 numbers for a frame, 4259840 are", id="grown"),
        pytest.param(
            lambda: on_frames(lambda value: ops.concat([value, value], 1)),
            r"'deep' is \[\?,2,1,1\], not \[1, 1, 1\] for each frame",
            id="another-shape",
        ),
        pytest.param(
            lambda: on_frames(lambda value: ops.convert(value, "f16")),
            "'deep' is not of single precision",
            id="another-type",
        ),
        pytest.param(
            lambda: with_layers(
                frames_of_any_size := ops.parameter([-1, -1, -1, 3], np.uint8),
                deep=ops.convert(frames_of_any_size, "f32"),
            ),
            "'deep' is",
            id="reshaped",
        ),
    ],
)
def test_a_graph_that_takes_much_or_gives_something_else_is_refused(
    core: ov.Core, tmp_path: Path, graph: Callable[[], ov.Model], sentence: str
) -> None:
    net = store_graph(tmp_path / "net", graph(), ONE)
    with pytest.raises(ModelError, match=rf"f32\.xml: this network can't be used \(.*{sentence}"):
        read_network(core, net)


def test_a_layer_that_is_not_there_is_refused(core: ov.Core, tmp_path: Path) -> None:
    net = store_graph(tmp_path / "net", small_network(), {"block1": (4, 4, 4)})
    with pytest.raises(ModelError, match="it gives no layer 'block1'"):
        read_network(core, net)


LAYER = '<layer id="90" name="x" type="Const" version="opset1"/>'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("<net", "<!DOCTYPE net [<!ENTITY a 'b'>]><net", id="doctype"),
        pytest.param("</layers>", f"<more><layers>{LAYER}</layers></more></layers>", id="inside"),
        pytest.param('id="1"', 'id="0"', id="told-twice"),
        pytest.param("</edges>", "</edges><edges>{edges}</edges>", id="edges-twice"),
        pytest.param("</net>", "", id="cut-off"),
        pytest.param('names="deep"', 'names="d\u00e9ep"', id="not-ascii"),
        pytest.param('to-layer="3"', 'to-layer="777"', id="edge-to-nowhere"),
        pytest.param('shape="4, 3,', 'shape="99999, 3,', id="more-than-there-is"),
        pytest.param('type="Convolution"', 'type="Convolutional"', id="no-operation"),
        pytest.param('strides="32, 32"', 'strides="0, 0"', id="stride-of-nothing"),
        pytest.param("", "", id="empty"),
    ],
)
def test_a_text_that_is_no_plain_graph_is_refused(
    core: ov.Core, small: Backbone, old: str, new: str
) -> None:
    text = small.xml.read_text()
    edges = text.partition("<edges>")[2].partition("</edges>")[0]
    changed = text.replace(old, new.replace("{edges}", edges)) if old else ""
    assert changed != text
    small.xml.write_text(changed)
    net = store_network(small.xml.parent)
    with pytest.raises(ModelError, match=r"f32\.xml: this network can't be used \(") as refusal:
        read_network(core, net)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        pytest.param("ReLU", "Broadcast", "Broadcast 6 takes too little", id="no-shape"),
        pytest.param("Parameter", "MaxPool", "MaxPool 0 takes too little", id="nothing"),
    ],
)
def test_an_operation_that_lacks_an_input_is_refused(
    core: ov.Core, small: Backbone, old: str, new: str, sentence: str
) -> None:
    text = small.xml.read_text()
    assert f'type="{old}"' in text
    small.xml.write_text(text.replace(f'type="{old}"', f'type="{new}"'))
    with pytest.raises(ModelError, match=sentence):
        read_network(core, store_network(small.xml.parent))


def chain(count: int) -> str:
    return "".join(
        f'<layer id="{number}" name="x" type="ReLU" version="opset1"/>'
        for number in range(100, 100 + count)
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param('<layer id="0"', '<layer id="00"', id="number-in-another-form"),
        pytest.param('to-port="0"', 'to-port=" 0"', id="number-with-a-blank"),
        pytest.param('<port id="0" precision="FP32">', '<port id="1" precision="FP32">', id="port"),
        pytest.param('shape="4, 3, 8, 8"', 'shape="4, 3, -8, -8"', id="fewer-than-none"),
        pytest.param('shape="4, 3, 8, 8"', f'shape="{1 << 32}, {1 << 32}"', id="beyond-64-bits"),
        pytest.param('strides="32, 32"', 'num_splits="20000000"', id="parts-without-end"),
        pytest.param('strides="32, 32"', f'strides="{1 << 32}, 32"', id="strides-of-0-in-32-bits"),
        pytest.param('begin="0, 0"', f'begin="0, {2**32 - 5}"', id="pads-below-0-in-32-bits"),
        pytest.param('end="0, 0"', f'end="{2**63 - 1}, 0"', id="pads-without-end"),
        pytest.param("</layers>", f"{chain(12_000)}</layers>", id="operations-without-end"),
    ],
)
def test_what_openvino_would_take_otherwise_or_die_of_is_refused_by_its_text(
    small: Backbone, old: str, new: str
) -> None:
    text = small.xml.read_text()
    assert len(operations_of(text.encode())) == 8
    assert old in text
    with pytest.raises(ValueError, match="its graph is no OpenVINO IR, or no plain one"):
        operations_of(text.replace(old, new, 1).encode())


def test_a_constant_of_nothing_may_become_many_numbers(small: Backbone) -> None:
    """As the product of no numbers in each of many columns: one each."""
    text = small.xml.read_text().replace('shape="4, 3, 8, 8"', 'shape="0, 3, 1000"')
    (weights,) = [one for one in operations_of(text.encode()) if one.numbers > 4]
    assert weights.numbers == 3000


@pytest.mark.parametrize("file", ["f32.xml", "f32.bin"])
def test_a_network_that_was_replaced_since_it_was_looked_at_is_refused(
    core: ov.Core, small: Backbone, file: str
) -> None:
    path = small.xml.with_name(file)
    path.write_bytes(path.read_bytes().replace(b"\x00", b"\x01") + b" ")
    with pytest.raises(ModelError, match="was replaced or damaged since it was looked at"):
        read_network(core, small)


def test_a_network_whose_files_are_gone_is_refused(core: ov.Core, small: Backbone) -> None:
    with pytest.raises(ModelError, match=r"gone\.xml: can't be read"):
        read_network(core, replace(small, xml=small.xml.with_name("gone.xml")))
