"""Names of features, pooled or not, and their shapes."""

import pytest

from streamline import backbone
from streamline.backbone import Layer, parse_tap
from streamline.errors import ModelError


def test_squares_without_overlap_divide_rows_and_columns_and_multiply_the_stride() -> None:
    net = backbone.get()
    assert net.layer("block4") == Layer(channels=112, height=16, width=16, stride=16)
    assert net.layer("block4/2") == Layer(channels=112, height=8, width=8, stride=32)
    assert net.layer("block4/16") == Layer(channels=112, height=1, width=1, stride=256)


@pytest.mark.parametrize("name", ["block4/", "block4/0", "block4/1", "block4/x", "/2", "a/2/2"])
def test_what_is_no_name_of_features_is_told_how_to_write_one(name: str) -> None:
    with pytest.raises(ModelError, match="write a layer, or LAYER/N"):
        parse_tap(name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        pytest.param("block4/3", "16 rows and 16 columns here, which squares of 3", id="uneven"),
        pytest.param("block4/32", "squares of 32 by 32 don't divide", id="too-large"),
    ],
)
def test_a_layer_that_the_squares_do_not_divide_is_refused_when_it_is_looked_up(
    name: str, sentence: str
) -> None:
    with pytest.raises(ModelError, match=sentence):
        backbone.find("efficientnet_lite0", [name])


def test_a_layer_that_is_pooled_may_be_used_whole_as_well() -> None:
    net = backbone.find("efficientnet_lite0", ["block4", "block4/2", "block4/4"])
    assert net == backbone.get()
