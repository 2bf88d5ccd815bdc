"""Which frames are to be kept as evidence: by what they show, and how often."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from streamline.alert.events import EventType
from streamline.alert.judge import Judgement
from streamline.alert.rate import TokenBucket
from streamline.clock import monotonic_ns
from streamline.messages import PinKind, Verdict

__all__ = ["PinLimit", "pin_kind"]

_BURST: Final = {PinKind.BEGIN: 8, PinKind.FAIL: 2, PinKind.UNKNOWN: 2, PinKind.PASS: 1}
"""How many frames of a kind may be kept at once, before their rate counts."""

_KINDS: Final = {
    Verdict.FAIL: PinKind.FAIL,
    Verdict.UNKNOWN: PinKind.UNKNOWN,
    Verdict.PASS: PinKind.PASS,
}


def pin_kind(judgement: Judgement) -> PinKind:
    """Say what a frame would be kept as."""
    begins = judgement.event is not None and judgement.event.type is EventType.NEW
    return PinKind.BEGIN if begins else _KINDS[judgement.verdict]


class PinLimit:
    """Bounds how many frames of each kind and camera are kept.

    The bound lies here, where it is decided what is kept, since everything after it costs: a heat
    map is computed and a full picture encoded for each. Every kind has a bucket of its own, so
    that no flood of fails can use up what the begin of an alert needs.

    Parameters
    ----------
    cameras : iterable of str
    per_minute : mapping of PinKind to float
        Frames kept a minute in the long run; kinds that are not in it, or have 0, are not wanted.
    clock : callable
        Gives the present time in ns.
    """

    def __init__(
        self,
        cameras: Iterable[str],
        per_minute: Mapping[PinKind, float],
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._wanted = {kind for kind, rate in per_minute.items() if rate > 0}
        self._buckets = {
            (camera, kind): TokenBucket(per_minute[kind] / 60, burst=_BURST[kind], clock=clock)
            for camera in cameras
            for kind in self._wanted
        }

    def wants(self, kind: PinKind) -> bool:
        """Whether frames of a kind are kept at all."""
        return kind in self._wanted

    def admits(self, camera: str, kind: PinKind) -> bool:
        """Whether one more frame of a wanted kind may be kept now; call it once a frame."""
        return self._buckets[camera, kind].take()
