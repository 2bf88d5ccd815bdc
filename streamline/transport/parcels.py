"""How a captured frame travels to its preprocess stage: as bytes, or left where it is."""

from collections.abc import Sequence
from typing import Protocol

from streamline.clock import Shift
from streamline.errors import WireError
from streamline.messages import Frame
from streamline.transport.wire import Buffer, decode_frame, encode_frame

__all__ = ["Copied", "Lent", "Parcels"]


class Parcels(Protocol):
    """Both ends of a link's way with frames."""

    def pack(self, frame: Frame) -> Sequence[Buffer]:
        """Return the parts of the message that brings a frame."""

    def unpack(self, parts: Sequence[Buffer], shift: Shift) -> Frame:
        """Return the frame that a message brought; *shift* leads to this host's clock.

        Raises
        ------
        WireError
            If the message brought none.
        """

    def discard(self, frame: Frame) -> None:
        """Forget a frame of which nobody will ask any more."""


class Copied:
    """Between processes: all of a frame is in its message."""

    def pack(self, frame: Frame) -> Sequence[Buffer]:
        """See `Parcels.pack`."""
        return encode_frame(frame)

    def unpack(self, parts: Sequence[Buffer], shift: Shift) -> Frame:
        """See `Parcels.unpack`."""
        return decode_frame(parts, shift)

    def discard(self, _frame: Frame) -> None:
        """See `Parcels.discard`; nothing is kept."""


class Lent:
    """Within a process: the message names a frame, which stays where its source keeps it anyway.

    Examples
    --------
    >>> import numpy as np
    >>> from streamline.clock import SAME_CLOCK
    >>> from streamline.messages import FrameId, Origin, Picture, PixelFormat
    >>> picture = Picture(format=PixelFormat.GRAY, planes=(np.zeros((2, 2), np.uint8),))
    >>> frame = Frame(origin=Origin(FrameId("left", 1, 0), 0, 0, 0), picture=picture)
    >>> lent = Lent()
    >>> lent.unpack(lent.pack(frame), SAME_CLOCK) is frame
    True
    """

    def __init__(self) -> None:
        # Single operations on a dict are safe between threads.
        self._frames: dict[bytes, Frame] = {}

    def pack(self, frame: Frame) -> Sequence[Buffer]:
        """See `Parcels.pack`."""
        name = _name(frame)
        self._frames[name] = frame
        return [name]

    def unpack(self, parts: Sequence[Buffer], _shift: Shift) -> Frame:
        """See `Parcels.unpack`; within a process there is one clock."""
        frame = self._frames.get(bytes(parts[0])) if len(parts) == 1 else None
        if frame is None:
            msg = f"no frame of this process is named by {len(parts)} parts"
            raise WireError(msg)
        return frame

    def discard(self, frame: Frame) -> None:
        """See `Parcels.discard`."""
        self._frames.pop(_name(frame), None)


def _name(frame: Frame) -> bytes:
    camera, incarnation, seq = frame.origin.id
    return f"{camera}/{incarnation}/{seq}".encode()
