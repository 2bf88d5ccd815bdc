"""The model that judges in a rig: one in five frames fails, so that alerts come all the time."""

from pathlib import Path
from typing import Final

import numpy as np

from streamline.config import parse_source
from streamline.learn import FitSettings, Selection, fit_sources
from streamline.model import save_model
from tests.support.models import with_threshold

__all__ = ["nervous_model"]

_PASSING: Final = 0.8
"""Share of normal frames that pass."""


def nervous_model(folder: Path) -> Path:
    """Fit a model to the rendered line, and let it judge by a threshold among normal scores."""
    source = parse_source("demo://normal", folder)
    model = fit_sources([source], FitSettings(), Selection(max_frames=80)).model
    save_model(model, folder / "calm")
    threshold = float(np.quantile(model.calibration.scores, _PASSING))
    return with_threshold(folder / "calm", folder / "nervous", threshold)
