"""From a score to a verdict, and from verdicts to alert events."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from streamline.alert.events import AlertEvent, EventType, alert_id, utc
from streamline.alert.rules import Change, Debounce, Suppressed
from streamline.conformal import ConformalTest
from streamline.messages import Origin, Scored, Verdict

__all__ = ["CameraRule", "Judge", "Judgement", "Standing"]

_TOLD: Final = {Change.BEGIN: EventType.NEW, Change.END: EventType.END}


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRule:
    """What a camera's frames are judged by."""

    test: ConformalTest
    """What its scores are held against."""

    calibration: str
    """SHA-256 of the calibration that the test is of, hexadecimal."""

    k: int
    n: int
    """As in `Debounce`."""

    model: str
    """SHA-256 of the model, hexadecimal."""

    evidence: str | None
    """Folder of the camera's evidence, None if none is kept."""

    deadline_ns: int | None = None
    """How long after its capture a frame's verdict is still of use, ns; None: at any time."""

    @property
    def threshold(self) -> float:
        """A score above it fails: exactly such a score has a p-value of at most alpha."""
        return self.test.threshold


class Judgement(NamedTuple):
    """What was made of one score."""

    verdict: Verdict
    event: AlertEvent | None
    """The begin or end of an alert, if this verdict caused one."""

    alert: str | None
    """Id of the alert that is on after this verdict."""

    p_value: float | None
    """How probable it is at most that a normal frame scores as high; None without a score."""

    update: AlertEvent | None = None
    """How the alert stands that is on, if that is to be told again."""

    suppressed: Suppressed | None = None
    """Why a failed frame, this or an earlier one, has no alert of its own."""


class Standing(NamedTuple):
    """An alert that is on, as a successor needs it."""

    begin: Origin
    """Of the frame that began it."""

    worst: float
    """Largest score so far."""


class _Alert:
    """An alert that is on."""

    __slots__ = ("begin", "id", "periods", "worst")

    def __init__(self, begin: Origin, score: float) -> None:
        self.id = alert_id(begin.id)
        self.begin = begin
        self.worst = score
        self.periods = 0
        """How often an update was due so far."""


class Judge:
    """Judges the scores of all cameras, each by its own rule; holds no clock and no socket.

    Parameters
    ----------
    line : str
        Its name.
    rules : mapping of camera name to CameraRule
    update_ns : int, optional
        How often it is told how an alert stands that is on, by the frames' time of day, ns; None:
        never.
    """

    def __init__(
        self, line: str, rules: Mapping[str, CameraRule], *, update_ns: int | None = None
    ) -> None:
        self._line = line
        self._update_ns = update_ns
        self._rules = rules
        self._debounce = {name: Debounce(rule.k, rule.n) for name, rule in rules.items()}
        self._alerts: dict[str, _Alert] = {}

    def judge(self, scored: Scored) -> Judgement:
        """Judge a camera's next frame; frames of one camera come in the order of capture."""
        camera = scored.origin.id.camera
        verdict, p_value = self._verdict(scored)
        suppressed = self._debounce[camera].suppresses(verdict)
        change = self._debounce[camera].update(verdict)
        if change is Change.BEGIN:
            self._alerts[camera] = _Alert(scored.origin, scored.score)
        alert = self._alerts.get(camera)
        if alert is None:
            return Judgement(verdict, None, None, p_value, None, suppressed)
        # In this order NaN, the score of a frame that has none, compares false and is not taken.
        alert.worst = max(alert.worst, scored.score)
        event = None if change is None else self._event(_TOLD[change], scored, alert)
        if change is Change.END:
            del self._alerts[camera]
            return Judgement(verdict, event, None, p_value, None, suppressed)
        update = None
        if self._update_is_due(alert, scored.origin.wall_ns):
            update = self._event(EventType.UPDATE, scored, alert)
        return Judgement(verdict, event, alert.id, p_value, update, suppressed)

    def standing(self, camera: str) -> Standing | None:
        """Return the alert that is on, None if there is none."""
        alert = self._alerts.get(camera)
        return None if alert is None else Standing(alert.begin, alert.worst)

    def resume(
        self,
        camera: str,
        verdicts: Iterable[Verdict],
        standing: Standing | None,
        *,
        wall_ns: int,
    ) -> None:
        """Go on from what another judge left.

        Parameters
        ----------
        camera : str
        verdicts : iterable of Verdict
            Since the alert that is on began, or the last one ended; oldest first.
        standing : Standing, optional
            The alert that is on.
        wall_ns : int
            When the latest frame was captured that the other has judged, ns since the epoch.
        """
        self._debounce[camera].resume(verdicts, active=standing is not None)
        self._alerts.pop(camera, None)
        if standing is not None:
            alert = self._alerts[camera] = _Alert(standing.begin, standing.worst)
            self._update_is_due(alert, wall_ns)  # What was due until then has been told.

    def begin_event(self, scored: Scored) -> AlertEvent:
        """Return the event of a frame that began an alert, as it was then."""
        return self._event(EventType.NEW, scored, _Alert(scored.origin, scored.score))

    def p_value(self, scored: Scored) -> float | None:
        """How probable it is at most that a normal frame scores as high; None without a score."""
        if scored.fault is not None or math.isnan(scored.score):
            return None
        return self._rules[scored.origin.id.camera].test.p_value(scored.score)

    def _update_is_due(self, alert: _Alert, wall_ns: int) -> bool:
        """Say whether one more period of the alert is over; a clock that was set back ends none.

        A successor that judges again what may not have been told knows times to a microsecond: it
        must come to the same frames, or sinks are told of others as well, and of earlier ones last.
        """
        if self._update_ns is None:
            return False
        before = alert.periods
        lasted_us = wall_ns // 1000 - alert.begin.wall_ns // 1000
        alert.periods = 1000 * lasted_us // self._update_ns
        return alert.periods > before

    def _verdict(self, scored: Scored) -> tuple[Verdict, float | None]:
        p_value = self.p_value(scored)
        if p_value is None:
            return Verdict.UNKNOWN, None
        fails = self._rules[scored.origin.id.camera].test.fails(scored.score)
        return Verdict.FAIL if fails else Verdict.PASS, p_value

    def _event(self, kind: EventType, scored: Scored, alert: _Alert) -> AlertEvent:
        rule = self._rules[scored.origin.id.camera]
        folder = None if rule.evidence is None else f"{rule.evidence}/{alert.id}"
        return AlertEvent(
            type=kind,
            id=alert.id,
            line=self._line,
            **scored.origin.id._asdict(),
            captured=utc(scored.origin.wall_ns),
            score=scored.score,
            p_value=self.p_value(scored),
            threshold=rule.threshold,
            worst_score=alert.worst,
            since=utc(alert.begin.wall_ns),
            model=rule.model[:12],
            evidence=folder,
        )
