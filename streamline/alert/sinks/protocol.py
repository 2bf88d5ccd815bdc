"""What the outbox expects of whoever is told."""

from typing import Protocol, runtime_checkable

__all__ = ["Lasting", "RejectedError", "Sink"]


class RejectedError(Exception):
    """The receiver understands and refuses this very event: to send it again changes nothing."""


class Sink(Protocol):
    """Something that takes alert events, in order."""

    def deliver(self, alert_id: str, event: bytes, /) -> None:
        """Hand over one event.

        Parameters
        ----------
        alert_id : str
            Stable: a receiver may see an event twice and tells so by it and the event's type.
        event : bytes
            One JSON object in UTF-8.

        Raises
        ------
        OSError
            If it could not be handed over; it is told again in a while.
        RejectedError
            If it never can be.
        """

    def close(self) -> None:
        """Release what is held; called once."""


@runtime_checkable
class Lasting(Protocol):
    """A sink that keeps events itself, and makes many of them last at once."""

    def settle(self) -> None:
        """Make what was handed over last; called before it counts as told.

        Raises
        ------
        OSError
            If that failed; all since the last time is told again in a while.
        """
