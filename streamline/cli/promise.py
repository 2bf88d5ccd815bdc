"""What a model promises and what it does not, in words."""

from math import isclose
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamline.alert.promise import AlertRate, Promise
    from streamline.model import Calibration

__all__ = ["promise_lines"]

_SHIFT_H = 8

_LIMITS = """\
not promised
  - anything of frames unlike those it was calibrated on: other light, lens, position, product
    or dirt; calibrate again then
  - a rate for every hour: the limits hold for the mean over a time like the one recorded
  - that defects are found: measure that with streamline eval"""


def promise_lines(calibration: "Calibration", promise: "Promise") -> str:
    """Say what was calibrated, what follows from it, and what does not."""
    promised = [
        _of_a_frame(calibration),
        _of_this(promise),
        *_of_alerts(promise, calibration.interval_s),
    ]
    return "\n".join(
        (
            f"calibrated on {calibration.source}, {calibration.created}",
            f"  {_frames(calibration)}",
            f"  {_way(calibration)}",
            f"  threshold {promise.threshold:.6g}",
            "promised",
            *(f"  - {line}" for line in promised),
            _LIMITS,
        )
    )


def _frames(calibration: "Calibration") -> str:
    interval = calibration.interval_s
    apart = "" if interval is None else f" {interval:.3g} s apart"
    worth = f"worth {calibration.effective_frames:.0f} independent ones"
    return f"{calibration.frames} normal frames{apart}, {worth} by how their scores hang together"


def _way(calibration: "Calibration") -> str:
    if calibration.way == "split":
        return "split: the model was not fitted to them"
    return (
        f"cross-fit: each of {calibration.blocks} blocks judged by a fit to the others, "
        f"{calibration.gap} frames beside it left out"
    )


def _of_a_frame(calibration: "Calibration") -> str:
    fails = f"a normal frame fails (p <= {calibration.alpha:.2g}) with a probability of"
    if calibration.way == "split":
        return f"{fails} at most {calibration.alpha:.2g}, if it is exchangeable with these"
    return (
        f"{fails} about {calibration.alpha:.2g} at most; that it can't be more is proved only for "
        "frames that were not fitted to: streamline model calibrate"
    )


def _of_this(promise: "Promise") -> str:
    most = f"at most {promise.fail_rate_upper:.2g} of normal frames"
    return f"that is a mean over calibrations; this very one lets {most} fail (95 %)"


def _of_alerts(promise: "Promise", interval_s: float | None) -> list[str]:
    found, per = promise.alerts, promise.fps
    seen = (
        f"{found.k} of {found.n} fails: {found.begins} alerts in {found.frames} frames, each block "
        "of them judged by a threshold from the others"
    )
    if per is None:
        return [seen, f"false alarms to be expected in 1000 frames: {_range(found, 1000)}"]
    hour, shift = _range(found, 3600 * per), _range(found, 3600 * per * _SHIFT_H)
    rates = f"an hour: {hour}; a shift of {_SHIFT_H} h: {shift}"
    return [
        seen,
        f"false alarms to be expected at {per:.3g} frames a second, {rates}{_if(per, interval_s)}",
    ]


def _if(fps: float, interval_s: float | None) -> str:
    """Say what a rate other than the calibration's rests on: how frames hang together."""
    if interval_s is None:
        return "; if frames hang together at that rate as these do"
    if isclose(fps * interval_s, 1, rel_tol=0.05):
        return "; a line that judges more frames a second has more: --fps of streamline model show"
    return f"; if frames hang together at that rate as these do, {interval_s:.3g} s apart"


def _range(found: "AlertRate", frames: float) -> str:
    """Say how many alerts there are in so many frames, and at most."""
    return f"{_figure(found.estimate * frames)}, at most {_figure(found.upper * frames)} (95 %)"


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
