"""A model fitted on drawn parts, for all tests of the graphs."""

import numpy as np
import numpy.typing as npt
import pytest

import streamline.infer.openvino_backend  # noqa: F401 - first: it keeps openvino from reporting
from streamline.learn import FitSettings, fit_frames
from streamline.model import Model
from tests.support.parts import parts


@pytest.fixture(scope="session")
def model() -> Model:
    """Fitted on 24 parts."""
    return fit_frames(parts(24, seed=1), FitSettings(), source="drawn parts").model


@pytest.fixture(scope="session")
def frames() -> npt.NDArray[np.uint8]:
    """Ten parts the model has not seen, every second with a scratch; read-only."""
    sound, broken = parts(5, seed=2), parts(5, seed=3, defect=True)
    frames = np.stack([frame for pair in zip(sound, broken, strict=True) for frame in pair])
    frames.flags.writeable = False
    return frames
