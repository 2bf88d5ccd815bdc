"""What every camera or file looks like to the line: something that is read until it ends."""

from dataclasses import dataclass
from typing import Protocol

from streamline.messages import Picture

__all__ = ["Reading", "Source"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """One frame as a source delivered it."""

    picture: Picture

    captured_ns: int
    """CLOCK_MONOTONIC, ns: after the read returned; of a paced source, when the frame was due."""

    wall_ns: int
    """The same moment, ns since the epoch, for records only."""

    pts_s: float | None
    """Presentation time in the stream, s; None if the stream has none."""

    corrupt: bool
    """The decoder found this picture, or one that it was predicted from, damaged."""

    missed: int = 0
    """Due frames that passed before this one because the reader came late (paced sources)."""

    damaged_unseen: int = 0
    """Packets that no picture could be made of, and damaged pictures that were missed, since the
    last reading."""

    misshapen: bool = False
    """The picture has another size than is expected of the camera: it can't be judged."""


class Source(Protocol):
    """One opened camera or file; it has already delivered a first frame.

    All methods belong to one thread, but `interrupt`, which any thread may call.
    """

    @property
    def live(self) -> bool:
        """Whether frames come on their own clock, so that a late reader loses some."""

    @property
    def frames(self) -> int | None:
        """How many frames there are from start to end, as the file says; None if unknown."""

    @property
    def codec(self) -> str:
        """How its pictures are compressed, as FFmpeg or the driver names it; empty: not told."""

    def read(self) -> Reading | None:
        """Wait for the next frame; None at the end, or after `interrupt`.

        Raises
        ------
        SourceLostError
            If the source stopped delivering. Close it and open it anew.
        SourceError
            If what it delivers can't be used.
        """

    def interrupt(self) -> None:
        """Make the read that is under way, and every later one, end soon with None.

        Waiting for a due time ends at once. Waiting for a camera ends with the camera's next
        packet, or when the read time-out passes: FFmpeg can't be woken from outside.
        """

    def close(self) -> None:
        """Give the camera or file back; pictures already delivered stay valid."""
