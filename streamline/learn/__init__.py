"""From normal frames to a calibrated model.

`fit_sources` takes frames from cameras and files, `fit_frames` takes them as they come; both
return the model and a report of what was chosen. `calibrate_sources` calibrates a model again.
"""

from streamline.learn.calibrate import CalibrateSettings, calibrate_sources
from streamline.learn.fit import fit_frames
from streamline.learn.select import SelectedFrames, Selection, fit_sources, view_of
from streamline.learn.settings import (
    AnyFitSettings,
    FitReport,
    FitSettings,
    Fitted,
    Precision,
    SgfrSettings,
)

__all__ = [
    "AnyFitSettings",
    "CalibrateSettings",
    "FitReport",
    "FitSettings",
    "Fitted",
    "Precision",
    "SelectedFrames",
    "Selection",
    "SgfrSettings",
    "calibrate_sources",
    "fit_frames",
    "fit_sources",
    "view_of",
]
