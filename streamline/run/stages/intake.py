"""What a stage takes from a link: messages that it can read, of cameras that it knows.

A peer may be of another pipeline file, or no stage at all.  What it sends must not end this one:
a successor would be sent the same again.
"""

from collections.abc import Callable, Container, Sequence
from typing import Final, TypeVar

import structlog

from streamline.clock import Shift
from streamline.errors import WireError
from streamline.messages import Dropped, Frame, Prepared, Scored
from streamline.transport.link import Delivery, Inlet
from streamline.transport.refusals import printable
from streamline.transport.wire import Buffer, encode_outcome

__all__ = ["REFUSED", "Intake"]

_log = structlog.get_logger("streamline.run")

Message = TypeVar("Message", Frame, Prepared, Scored)

REFUSED: Final = Dropped(stage="source", reason="refused")
"""The outcome of a frame that a stage could not take: only its source knows whose it is, and counts
it."""

_ANSWER: Final = encode_outcome(REFUSED)

_TOLD: Final = 64
"""Peers that are told of in the log: whoever comes under ever new names doesn't fill it."""


class Intake:
    """Reads the messages of one stage, and refuses those that are not for it.

    Parameters
    ----------
    stage : str
        Name of the stage, for the log.
    cameras : container of str
        Whose frames it handles.
    """

    def __init__(self, stage: str, cameras: Container[str]) -> None:
        self._stage = stage
        self._cameras = cameras
        self._told: set[bytes] = set()

    def read(
        self,
        inlet: Inlet,
        delivery: Delivery,
        decode: Callable[[Sequence[Buffer], Shift], Message],
    ) -> Message | None:
        """Return the message of a delivery; None if it is refused, which its sender is told."""
        try:
            message = decode(delivery.parts, delivery.shift)
        except WireError as exc:
            why = str(exc)
        else:
            camera = message.origin.id.camera
            if camera in self._cameras:
                return message
            why = f"camera {camera!r} is not in the pipeline file here; use one file everywhere"
        inlet.answer(delivery, _ANSWER)
        self._tell(delivery.peer, why)
        return None

    def _tell(self, peer: bytes, why: str) -> None:
        """Say once what a peer sent."""
        name = peer.split(b"/")[0]
        if name in self._told or len(self._told) >= _TOLD:
            return
        self._told.add(name)
        who = printable(name.decode(errors="replace"))
        _log.error("messages are refused", stage=self._stage, peer=who, why=why)
