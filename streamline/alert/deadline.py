"""Verdicts that come too late to be acted on."""

import math

from streamline.messages import Fault, Scored

__all__ = ["unless_late"]


def unless_late(scored: Scored, deadline_ns: int | None, now_ns: int) -> Scored:
    """Take the score from a frame that is judged after its deadline, or may be.

    What the clocks of the hosts that it came over may be off counts against the frame, and so does
    not knowing it: nobody can rely on a verdict's being in time that is not known to be.

    Parameters
    ----------
    scored : Scored
    deadline_ns : int, optional
        How long after its capture its verdict is of use, ns; None: at any time.
    now_ns : int
        CLOCK_MONOTONIC of this host, ns.

    Returns
    -------
    Scored
        The same, or one with the fault `LATE`.
    """
    if deadline_ns is None or scored.fault is not None:
        return scored
    origin = scored.origin
    if origin.error_ns is not None:
        age_ns = now_ns - origin.captured_ns
        if age_ns + origin.error_ns <= deadline_ns:
            return scored
    return Scored(origin=origin, score=math.nan, fault=Fault.LATE)
