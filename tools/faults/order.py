"""In which order sinks were told: of what came again only the first time counts."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from tests.support.receiver import Posted

__all__ = ["disorder", "firsts"]


class _Event(NamedTuple):
    """What tells an event from all others."""

    id: str
    type: str
    frame: tuple[int, int]
    """Incarnation and number of the frame that it is of."""


def disorder(told: Mapping[str, Sequence[Posted]]) -> Iterator[str]:
    """Yield what is wrong, each in a sentence.

    Of one camera every sink is told in the order of its frames, and so all in one order; of
    one alert first that it is new, then the updates, then the end.

    Parameters
    ----------
    told : mapping of sink to its events, in the order in which they came
    """
    for sink, events in told.items():
        for camera in sorted({event["camera"] for event in events}):
            first = firsts([event for event in events if event["camera"] == camera])
            yield from (f"{sink} was told {why}" for why in _of_frames(first))
            yield from (f"{sink} was told {why}" for why in _of_lives(first))


def firsts(events: Sequence[Posted]) -> list[_Event]:
    """Each event once, in the order in which it first came."""
    found = (_Event(one["id"], one["type"], (one["incarnation"], one["seq"])) for one in events)
    return list(dict.fromkeys(found))


def _of_frames(events: Sequence[_Event]) -> Iterator[str]:
    for before, after in pairwise(events):
        if after.frame <= before.frame:
            yield f"the {after.type} of {after.id} after the {before.type} of {before.id}"


def _of_lives(events: Sequence[_Event]) -> Iterator[str]:
    """Yield what came before an alert began, or after it ended."""
    begun, ended = set[str](), set[str]()
    for event in events:
        if (event.type != "new" and event.id not in begun) or event.id in ended:
            yield f"the {event.type} of {event.id} of an alert that was not on"
        if event.type == "new":
            begun.add(event.id)
        if event.type == "end":
            ended.add(event.id)
