"""The fitted model: what it holds, and the directory it is kept in.

`Model` is the record of what every model has, its `detector` what it does with the features
(`FreDetector` or `SgfrDetector`); `save_model` and `load_model` move it to and from a directory
with ``manifest.json`` (what it is, how it was fitted, every hash), ``tensors.safetensors`` (the
numbers) and ``calibration.json`` (what it promises, and the scores that the promise rests on: a
file of its own, as it can be made anew).  `read_manifest` and `calibration_of` leave the numbers
alone.
"""

from streamline.model.calibration import (
    Calibration,
    Way,
    load_calibration,
    save_calibration,
)
from streamline.model.directory import (
    calibration_of,
    check_free,
    load_model,
    read_manifest,
    recalibrate,
    save_model,
)
from streamline.model.fre import FittedLayer, FreDetector
from streamline.model.manifest import FORMAT_VERSION, Manifest
from streamline.model.masked import digest_under, hide_cells, kept_cells, restrict_model
from streamline.model.network import network_of
from streamline.model.record import BackboneId, Model, require_preprocessing
from streamline.model.rerank import rerank_model
from streamline.model.sgfr import BankLayer, SgfrDetector

__all__ = [
    "FORMAT_VERSION",
    "BackboneId",
    "BankLayer",
    "Calibration",
    "FittedLayer",
    "FreDetector",
    "Manifest",
    "Model",
    "SgfrDetector",
    "Way",
    "calibration_of",
    "check_free",
    "digest_under",
    "hide_cells",
    "kept_cells",
    "load_calibration",
    "load_model",
    "network_of",
    "read_manifest",
    "recalibrate",
    "require_preprocessing",
    "rerank_model",
    "restrict_model",
    "save_calibration",
    "save_model",
]
