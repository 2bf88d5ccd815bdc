"""What the parts of a line on other hosts have told, also when they tell nothing any more.

Counters of a part that has gone stay as they were: its frames remain part of the account, those in
flight too, of which its next start asks what became of them.  What it was doing when it was last
heard does not: its workers are down, and nobody sees what its cameras show.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from streamline.clock import monotonic_ns, wall_ns
from streamline.ledger import Sample
from streamline.transport.telemetry import GONE_NS, Told

__all__ = ["elsewhere"]

_STATE: Final = "streamline_camera_state"
_REASON: Final = "streamline_camera_down_reason"
_SINCE: Final = "streamline_camera_state_since_timestamp_seconds"

_OVER: Final = frozenset(
    {
        "streamline_worker_up",
        "streamline_worker_ready",
        "streamline_link_up",
        "streamline_queue_depth",
    }
)
"""What is 0 where nothing runs any more."""


def elsewhere(told: Iterable[Told]) -> list[Sample]:
    """Return the series of the other hosts as they stand now.

    Each gauge is the latest teller's: a part that began anew under another account shows the same
    cameras as the one that it replaces.
    """
    samples: list[Sample] = []
    shown: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    for one in sorted(told, key=lambda one: one.heard_ns, reverse=True):
        gauges = set()
        gone = monotonic_ns() - one.heard_ns > GONE_NS
        for sample in _left_behind(one) if gone else one.samples:
            key = (sample.name, tuple(sample.labels.items()))
            if sample.kind == "gauge" and key in shown:
                continue
            gauges.add(key)
            samples.append(sample)
        shown |= gauges
    return samples


def _left_behind(told: Told) -> Iterator[Sample]:
    """Yield what is published of a worker that is not heard any more."""
    heard_s = (wall_ns() - (monotonic_ns() - told.heard_ns)) / 1e9
    ended = {
        sample.labels["camera"]
        for sample in told.samples
        if sample.name == _STATE and sample.labels["state"] == "ended" and sample.values[0]
    }
    for sample in told.samples:
        value = None if sample.labels.get("camera") in ended else _now(sample, heard_s)
        yield sample if value is None else replace(sample, values=np.array([value]))


def _now(sample: Sample, heard_s: float) -> float | None:
    """Return what a series shows once its worker has gone; None: what it showed before."""
    if sample.name == _STATE:
        return float(sample.labels["state"] == "down")
    if sample.name == _REASON:
        return float(sample.labels["reason"] == "unreachable")
    if sample.name == _SINCE:
        return heard_s
    return 0.0 if sample.name in _OVER else None
