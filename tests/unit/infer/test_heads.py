"""Heads with directions in 8 bits and as they are, against the formula."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov
import pytest

from streamline.backbone import Backbone, Layer
from streamline.fre import Subspace, reconstruction_error
from streamline.infer.graphs import (
    Head,
    exact_score_head,
    head_graph,
    score_head,
)
from streamline.model import FittedLayer, FreDetector

Floats = npt.NDArray[np.float32]

SHAPE = (64, 16, 16)

WIDTH = 64 * 16 * 16

NET = Backbone(
    name="net",
    precision="int8",
    xml=Path("net.xml"),
    layers={"wide": Layer(channels=64, height=16, width=16, stride=16)},
    sha256="",
    height=256,
    width=256,
)


def subspace(directions: Floats) -> Subspace:
    generator = np.random.default_rng(1)
    return Subspace(
        mean=generator.random((directions.shape[1],), np.float32),
        directions=directions.astype(np.float16),
        singular_values=np.ones(len(directions)),
    )


def spread(k: int) -> Floats:
    """Orthonormal directions that all features take part in."""
    generator = np.random.default_rng(0)
    found: Floats = np.linalg.qr(generator.standard_normal((WIDTH, k), np.float32))[0].T
    return np.ascontiguousarray(found)


def frames_of(one: Subspace, n: int) -> Floats:
    """Features nine tenths of whose variance the directions explain, as a fit leaves them."""
    generator = np.random.default_rng(2)
    rank, width = one.directions.shape
    inside = generator.standard_normal((n, rank)) @ one.directions.astype(np.float64)
    noise = generator.standard_normal((n, width)) * np.sqrt(rank / width / 9)
    found: Floats = (one.mean + inside + noise).astype(np.float32)
    return found


def compiled(head: Head, one: Subspace) -> tuple[ov.Model, ov.CompiledModel]:
    layers = {"wide": FittedLayer(subspace=one, shape=SHAPE)}
    detector = FreDetector(
        score_layers=layers,
        map_layers=layers,
        retain=0.9,
        shares=(0.9,),
        heldout=np.ones((1, 8), np.float32),
    )
    graph = head_graph(NET, ["wide"], head, detector)
    hint = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    return graph, ov.Core().compile_model(graph, "CPU", hint)


def widest(graph: ov.Model) -> str:
    """Type of the constant that takes the most memory."""
    constants = [node for node in graph.get_ops() if node.get_type_name() == "Constant"]
    return str(max(constants, key=lambda node: np.prod(node.shape)).get_element_type())


@pytest.mark.parametrize(
    ("head", "stored", "tolerance"),
    [
        pytest.param(score_head, "<Type: 'int8_t'>", 1e-3, id="8-bits"),
        pytest.param(exact_score_head, "<Type: 'float16'>", 1e-4, id="as-they-are"),
    ],
)
@pytest.mark.parametrize("n", [1, 8])
def test_a_score_is_the_formula_s(head: Head, stored: str, tolerance: float, n: int) -> None:
    one = subspace(spread(100))
    graph, device = compiled(head, one)
    assert widest(graph) == stored
    frames = frames_of(one, n)
    expected = reconstruction_error(frames, one)
    np.testing.assert_allclose(device(frames)["score"], expected, rtol=tolerance)


def test_directions_of_few_large_numbers_are_not_put_in_eight_bits() -> None:
    directions = 0.3 * spread(100) + 0.95 * np.eye(100, WIDTH, dtype=np.float32)
    one = subspace(np.linalg.qr(directions.T)[0].T)
    graph, device = compiled(score_head, one)
    assert widest(graph) == "<Type: 'float16'>"
    frames = frames_of(one, 4)
    expected = reconstruction_error(frames, one)
    np.testing.assert_allclose(device(frames)["score"], expected, rtol=1e-3)
