"""The messages that flow through a line, in order of travel.

Frame (source → preprocess) → Prepared (preprocess → infer) → Scored (infer → alert), and the
Outcome that travels back along the same links to the source, which keeps every frame until
it has heard what became of it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "SCENE_FAULTS",
    "Colour",
    "Dropped",
    "Fault",
    "Frame",
    "FrameId",
    "Judged",
    "Origin",
    "Outcome",
    "Picture",
    "Pin",
    "PinKind",
    "PixelFormat",
    "Prepared",
    "Scored",
    "Verdict",
]

Bytes = npt.NDArray[np.uint8]


class PixelFormat(StrEnum):
    """How a picture's samples are laid out."""

    I420 = "i420"
    """Three planes Y ``(h, w)``, U and V ``(ceil(h/2), ceil(w/2))``; see `Colour`."""

    RGB = "rgb"
    """One plane ``(h, w, 3)``."""

    GRAY = "gray"
    """One plane ``(h, w)``."""


class Colour(StrEnum):
    """Which matrix and range the samples of an I420 picture were made with.

    It travels with the picture because correcting 256 x 256 pixels after scaling costs a
    fraction of converting the full-size planes before it.
    """

    BT601 = "bt601"
    """ITU-R BT.601, Y in 16..235, U and V in 16..240; also what an unmarked stream is taken for."""

    BT601_FULL = "bt601-full"
    """ITU-R BT.601, 0..255: JPEG's, and that of cameras which send ``yuvj420p``."""

    BT709 = "bt709"
    """ITU-R BT.709, limited range."""

    BT709_FULL = "bt709-full"
    """ITU-R BT.709, 0..255."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """Pixels as the decoder gave them, in full size, before any preprocessing."""

    format: PixelFormat
    planes: tuple[Bytes, ...]
    """See `PixelFormat` for number and shapes; read-only; rows may be padded (strided)."""

    colour: Colour = Colour.BT601
    """Meaning of the samples of an I420 picture; of no consequence in the other formats."""

    @property
    def height(self) -> int:
        """Rows of the full-size picture, px."""
        return int(self.planes[0].shape[0])

    @property
    def width(self) -> int:
        """Columns of the full-size picture, px."""
        return int(self.planes[0].shape[1])


class FrameId(NamedTuple):
    """Names one frame, for ever: a restarted source starts a new incarnation."""

    camera: str
    """Key of the camera in the pipeline file."""

    incarnation: int
    """Start of the source, ms since the epoch: later incarnations compare greater."""

    seq: int
    """Counts the frames of this incarnation from 0, dropped ones included."""


class Origin(NamedTuple):
    """Which frame, and when: travels with every message about the frame."""

    id: FrameId
    captured_ns: int
    """After the read returned (paced sources: when the frame was due), CLOCK_MONOTONIC of the host
    that the message is on, ns."""

    wall_ns: int
    """The same moment, ns since the epoch, for records only."""

    error_ns: int | None
    """How far off `captured_ns` may be after its way over other hosts, ns; 0 on the source's;
    None: how those hosts' clocks stand to this one's is not known."""

    pts_s: float | None = None
    """Presentation time in the camera's stream, s, by the camera's own clock; None without one."""


class Verdict(StrEnum):
    """What the line says of a frame; silence is never PASS."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"


class Fault(StrEnum):
    """Why a frame can't be judged: its verdict is UNKNOWN with this reason."""

    SHAPE = "shape"
    """The picture's size is not the one the camera opened with."""

    CORRUPT = "corrupt"
    """The decoder marked the picture as damaged."""

    MODEL = "model"
    """Inference failed, or gave a score that is no finite number."""

    POISON = "poison"
    """A stage died twice with this very frame at work."""

    OTHER_MODEL = "model_mismatch"
    """The stages do not have one model: the frame was prepared or scored for another than the one
    whose threshold it would be held against."""

    LOST = "lost"
    """No fault but a question: the frame's source died, was it judged before?"""

    FROZEN = "frozen"
    """The camera has sent the very same picture again and again."""

    BLACK = "black"
    """The picture is black all over."""

    WHITE = "white"
    """The picture is white all over."""

    BLUR = "blur"
    """The scene is less sharp than it was."""

    BRIGHTNESS = "brightness"
    """There is more or less light than there was."""

    CONTRAST = "contrast"
    """Grey levels lie closer together, or further apart, than they did."""

    MOVED = "moved"
    """The camera looks elsewhere."""

    DRIFT = "drift"
    """Scores no longer come as they did when the model was calibrated."""

    LATE = "late"
    """The verdict came after the camera's deadline, or may have."""


SCENE_FAULTS: Final = (
    Fault.FROZEN,
    Fault.BLACK,
    Fault.WHITE,
    Fault.BLUR,
    Fault.BRIGHTNESS,
    Fault.CONTRAST,
    Fault.MOVED,
    Fault.DRIFT,
)
"""What may be wrong with a scene, each by a check of its own; worst first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One frame as captured."""

    origin: Origin
    picture: Picture
    fault: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """One frame as the model wants it, or the reason why it can't be had."""

    origin: Origin
    pixels: Bytes | None
    """Shape ``(h, w, 3)``, RGB, of the model's input size; None exactly if there is a fault."""

    fault: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """One frame's anomaly score, or the reason why it has none."""

    origin: Origin
    score: float
    """Fused feature reconstruction error, >= 0, unitless; NaN exactly if there is a fault."""

    model: str = ""
    """The first digits of the digest of the model that scored it; empty if none did."""

    fault: Fault | None = None


class PinKind(StrEnum):
    """What a frame is kept as; later ones are worth more where there is no room for all."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    """A sample of what is normal."""

    UNKNOWN = "unknown"
    """Its verdict is unknown."""

    FAIL = "fail"
    """It failed and began no alert."""

    BEGIN = "begin"
    """It began an alert."""

    @property
    def worth(self) -> int:
        """Rank among the kinds."""
        return _KINDS.index(self)

    def item(self, name: str) -> str:
        """Return the name of the folder in which a frame of that name is kept as this."""
        return name if self is PinKind.BEGIN else f"{name}.{self}"


_KINDS = tuple(PinKind)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pin:
    """A frame that must be kept as evidence, and what is to be drawn on it."""

    kind: PinKind
    alert_id: str
    """Names the frame: where it began an alert, the alert too."""

    score: float
    threshold: float
    map: npt.NDArray[np.float16] | None
    """Anomaly map at feature resolution, shape ``(mh, mw)``, >= 0.

    None until the infer stage, which the outcome passes on its way back to the source and which
    still has the frame's pixels, has computed it: a map costs a pass of its own and is wanted
    for few frames.
    """

    record: str
    """What is known of it as one JSON object, to be stored beside the pictures: the alert's event
    if it began one, else the frame's verdict."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """An outcome: the frame has a verdict, and perhaps must be kept."""

    verdict: Verdict
    fault: Fault | None = None
    """Why the verdict is unknown."""

    pin: Pin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """An outcome: the frame was dropped, and counted by the stage that dropped it."""

    stage: str
    reason: str


Outcome = Judged | Dropped
