"""Which method a model is fitted by, and the options that belong to it."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streamline.learn import AnyFitSettings
    from streamline.learn.settings import FreMethod

__all__ = [
    "Backbone",
    "BankPrecision",
    "Device",
    "Epochs",
    "Layers",
    "MapLayers",
    "Method",
    "Precision",
    "PrecisionName",
    "Retain",
    "Samples",
    "SamplingLevel",
    "ScoreBy",
    "Size",
    "Sparsity",
    "Weights",
    "fit_settings",
]


class Method(StrEnum):
    """How normal frames are learnt."""

    FRE_PCA = "fre-pca"
    FRE_AE = "fre-ae"
    FRE_AET = "fre-aet"
    SGFR = "sgfr"


class BankPrecision(StrEnum):
    """What a memory bank is stored in."""

    FLOAT16 = "float16"
    INT8 = "int8"


class ScoreBy(StrEnum):
    """What SGFR's score of a frame is."""

    ERROR = "error"
    MAXIMUM = "maximum"


class PrecisionName(StrEnum):
    """What a network's weights and arithmetic are in."""

    INT8 = "int8"
    BF16 = "bf16"
    F32 = "f32"


AskedMethod = Annotated[
    Method,
    typer.Option(
        help="fre-pca: what a subspace of normal features leaves; fre-ae, fre-aet: the same by "
        "an autoencoder, aet with tied weights; sgfr: what combinations of few normal frames in "
        "a memory bank leave."
    ),
]
Retain = Annotated[
    float | None,
    typer.Option(metavar="R", help="fre: share of the variance that the model keeps, to 1."),
]
Hold = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=16,
        help="fre: hold the features of no more frames; those beyond are merged: 1600.",
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="fre-ae, fre-aet: train no longer than this: 1000."),
]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="D",
        help="fre-ae, fre-aet: train on cpu or cuda; where torch computes the features if it does.",
    ),
]
SamplingLevel = Annotated[
    str | None, typer.Option(metavar="L", help="sgfr: layer by which a frame's sub-bank is chosen.")
]
Samples = Annotated[
    int | None, typer.Option(metavar="P", min=1, help="sgfr: most frames in a sub-bank.")
]
Sparsity = Annotated[
    int | None, typer.Option(metavar="K", min=1, help="sgfr: most frames combined.")
]
AskedScore = Annotated[
    ScoreBy | None,
    typer.Option(
        "--score-by",
        help="sgfr: error, what is left of the sampling level; or the smoothed map's maximum.",
    ),
]
Bank = Annotated[
    BankPrecision | None,
    typer.Option("--bank", help="sgfr: what the memory bank is stored in."),
]
Backbone = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Network whose features are used; see 'streamline model list-backbones'.",
    ),
]
Precision = Annotated[
    PrecisionName | None,
    typer.Option(
        help="Of the network: int8, quantised once if it isn't shipped so; bf16, weights in half "
        "precision, arithmetic in bf16 where the processor has it, else in f32; f32."
    ),
]
Size = Annotated[
    int | None,
    typer.Option(metavar="N", help="Height and width that frames are scaled to, px: 256."),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Weights to use: .safetensors, .pth, or a folder of .npy files."
    ),
]
Layers = Annotated[
    str | None,
    typer.Option(
        metavar="L,L…",
        help="Its layers: fre, that make the score, and the map if --map-layers isn't given; "
        "sgfr, that are reconstructed for the map. L/N: averaged over squares of N by N.",
    ),
]
MapLayers = Annotated[
    str | None, typer.Option(metavar="L,L…", help="fre: its layers that make the map.")
]
"""Options that fitting and evaluating share."""

_SGFR = {
    "layers": "map_layers",
    "sampling-level": "sampling_layer",
    "samples": "samples",
    "sparsity": "sparsity",
    "score-by": "rule",
    "bank": "bank_precision",
}
"""Field of SGFR's settings by option."""

_FRE = {
    "layers": "score_layers",
    "map-layers": "map_layers",
    "retain": "retain",
    "hold": "hold",
}
"""Field of FRE's settings by option."""

_TRAINING = {"epochs", "device"}
"""Options, and fields, of the training of autoencoders."""

_VARIANTS: "dict[Method, FreMethod]" = {
    Method.FRE_PCA: "fre-pca",
    Method.FRE_AE: "fre-ae",
    Method.FRE_AET: "fre-aet",
}

_OPTIONS = {
    Method.FRE_PCA: set(_FRE),
    Method.FRE_AE: {*_FRE, *_TRAINING},
    Method.FRE_AET: {*_FRE, *_TRAINING},
    Method.SGFR: set(_SGFR),
}


def fit_settings(
    method: Method, common: dict[str, Any], own: dict[str, Any], /
) -> "AnyFitSettings":
    """Change what was asked for, and leave all else as the method has it.

    Parameters
    ----------
    common : dict
        By name of the settings' field; None where nothing was asked for.
    own : dict
        By name of the option, for those that belong to one method; None likewise.

    Raises
    ------
    InputError
        If an option of another method was given.
    """
    from streamline.fre import Training
    from streamline.learn import FitSettings, SgfrSettings

    given = {name: value for name, value in own.items() if value is not None}
    _refuse_foreign(method, set(given))
    fields = {name: value for name, value in common.items() if value is not None}
    if "precision" in fields:
        fields["precision"] = fields["precision"].value
    given |= {name: _names(given[name]) for name in ("layers", "map-layers") if name in given}
    if method is Method.SGFR:
        return SgfrSettings(**fields, **{_SGFR[name]: value for name, value in given.items()})
    training = Training(**{name: given.pop(name) for name in _TRAINING & set(given)})
    chosen = {_FRE[name]: value for name, value in given.items()}
    return FitSettings(**fields, **chosen, method=_VARIANTS[method], training=training)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _refuse_foreign(method: Method, given: set[str]) -> None:
    from streamline.errors import InputError

    foreign = sorted(given - _OPTIONS[method])
    if foreign:
        other = next(one for one, options in _OPTIONS.items() if foreign[0] in options)
        msg = f"--{foreign[0]} belongs to --method {other}, not to {method}; leave one of them out"
        raise InputError(msg)
