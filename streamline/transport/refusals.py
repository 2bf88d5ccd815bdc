"""Messages that an end of a link refuses: counted, and told of once."""

from typing import Final

import structlog

from streamline.ledger import Cell

__all__ = ["Refusals", "printable"]

_log = structlog.get_logger("streamline.run")

_SHOWN: Final = 300
"""Characters of a peer's own words."""


class Refusals:
    """What one end of a link refuses.

    A peer that sends nonsense may be of another release, broken, or no part of the line at all:
    none of that may end the stage that hears it.

    Parameters
    ----------
    link : str
        Which link it is, for the log.
    counter : Cell, optional
        Where they are counted.
    """

    def __init__(self, link: str, counter: Cell | None = None) -> None:
        self._link = link
        self._counter = Cell() if counter is None else counter
        self._told = False

    @property
    def count(self) -> int:
        """How many messages have been refused."""
        return round(self._counter.value)

    def note(self, peer: str, why: str) -> None:
        """Count a message that *peer* sent; the first is told of in the log."""
        self._counter.add()
        if not self._told:
            self._told = True
            who, what = printable(peer), printable(why)
            _log.error("messages are refused", link=self._link, peer=who, why=what)


def printable(text: str) -> str:
    """Return a peer's own words as any terminal can show them; not all, where there are many."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_SHOWN])
