"""What a fitted model holds, in memory."""

from dataclasses import dataclass
from typing import NamedTuple

from streamline.backbone import Backbone, Quantisation
from streamline.errors import ModelError
from streamline.mask import Mask
from streamline.model.calibration import Calibration
from streamline.model.fre import FreDetector
from streamline.model.sgfr import SgfrDetector

__all__ = ["BackboneId", "Model", "require_preprocessing"]


class BackboneId(NamedTuple):
    """Names the exact network whose features the model was fitted on."""

    name: str
    precision: str
    """Of its stored weights: ``int8``, ``fp16`` or ``f32``."""

    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """Everything that scoring a frame needs beside the backbone."""

    backbone: BackboneId
    stored: Backbone | None = None
    """The very network, if it does not come with the package: kept in the model's directory."""

    quantisation: Quantisation | None = None
    """How the network came to 8 bits; None: it is not in 8 bits."""

    mask: Mask | None = None
    """What it was fitted without; the detector's layers say which of their cells that leaves."""

    preprocessing: str
    """Name of the function that made frames from pictures; another one needs another fit."""

    height: int
    """Rows of an input frame, px."""

    width: int
    """Columns of an input frame, px."""

    detector: FreDetector | SgfrDetector
    """What it does with the backbone's features."""

    distinct_frames: float
    """How many distinct frames it was fitted to; see `streamline.fre.effective_count`."""

    calibration: Calibration
    """What a score is held against."""

    source: str
    """What it was fitted on, for people to read; credentials redacted."""

    created: str
    """UTC, ISO 8601."""

    digest: str = ""
    """SHA-256 that names the whole model; empty until it is saved."""

    @property
    def map_shape(self) -> tuple[int, int]:
        """Rows and columns of a map."""
        return self.detector.map_shape

    @property
    def fre(self) -> FreDetector:
        """The detector, for what only FRE's can do.

        Raises
        ------
        ModelError
            If the model is of another kind.
        """
        if not isinstance(self.detector, FreDetector):
            msg = "this takes a model that was fitted with FRE, and this one was not"
            raise ModelError(msg)
        return self.detector

    @property
    def threshold(self) -> float:
        """A frame fails if its score is above this."""
        return self.calibration.threshold


def require_preprocessing(fitted: str, here: str, /) -> None:
    """Check that frames may be scored that were prepared by the function named `here`.

    Parameters
    ----------
    fitted : str
        Name of the one that prepared those which the model was fitted on.

    Raises
    ------
    ModelError
        If it is another one.
    """
    if here != fitted:
        msg = (
            f"the model was fitted on frames prepared by {fitted!r}, this version of Streamline "
            f"prepares them by {here!r}; fit the model again"
        )
        raise ModelError(msg)
