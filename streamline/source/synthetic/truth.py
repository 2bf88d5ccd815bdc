"""What is known of a rendered clip: which frames show which defect."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from streamline.source.synthetic.defects import DefectKind

__all__ = ["Episode", "FrameTruth", "Truth", "read_truth", "write_truth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTruth:
    """What one frame shows."""

    part: int
    """Number of the part nearest to the middle of the picture, from 0 within the clip;
    -1 is the one that leaves as the clip begins."""

    defect: DefectKind | None
    """The kind of defect in the picture, None if everything in it is normal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One defective part's way through the picture."""

    part: int
    kind: DefectKind

    first: int
    last: int
    """Frames, counted from 0, between which the defect is wholly or partly in the picture."""

    area_share: float
    """Area the defect changes, as a share of the part's area."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is known of a clip."""

    frames: tuple[FrameTruth, ...]
    episodes: tuple[Episode, ...]
    """In order of time; no two share a frame."""


def write_truth(truth: Truth, path: Path) -> None:
    """Write *truth* as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(truth), indent=1))


def read_truth(path: Path) -> Truth:
    """Read what `write_truth` wrote.

    Raises
    ------
    msgspec.MsgspecError
        If the file holds something else.
    """
    return msgspec.json.decode(path.read_bytes(), type=Truth)
