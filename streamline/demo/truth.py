"""Alerts held against what is known of a clip.

An alert is *true* if it begins while a defect is in the picture, or at most ``n - k`` frames
after it left: then at least ``k`` of the ``n`` verdicts it may rest on are of frames that show
the defect. An episode (one defective part's way through the picture) is *found* if an alert
begins in it. Precision is the share of true alerts, recall the share of found episodes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streamline.alert.rules import Change, Debounce
from streamline.messages import Verdict
from streamline.source.synthetic import Episode

__all__ = ["Matched", "alert_begins", "match_alerts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """What a clip's alerts found and what they missed."""

    found: tuple[Episode, ...]
    missed: tuple[Episode, ...]

    true_alerts: tuple[int, ...]
    """Frames at which alerts began that belong to an episode."""

    false_alerts: tuple[int, ...]
    """Frames at which the other alerts began."""

    @property
    def recall(self) -> float:
        """Share of the episodes in which an alert began; 1 if there was nothing to find."""
        return _share(len(self.found), len(self.missed))

    @property
    def precision(self) -> float:
        """Share of the alerts that belong to an episode; 1 if there was no alert."""
        return _share(len(self.true_alerts), len(self.false_alerts))

    def __add__(self, other: "Matched") -> "Matched":
        """Count two clips together."""
        return Matched(
            found=self.found + other.found,
            missed=self.missed + other.missed,
            true_alerts=self.true_alerts + other.true_alerts,
            false_alerts=self.false_alerts + other.false_alerts,
        )


def match_alerts(
    begins: Iterable[int], episodes: Sequence[Episode], /, *, k: int, n: int
) -> Matched:
    """Tell true alerts from false ones, and found defects from missed ones.

    Parameters
    ----------
    begins : iterable of int
        Frames, counted from 0, at which alerts began.
    episodes : sequence of Episode
        What is known of the clip.
    k, n : int
        The rule that made the alerts: k of the last n verdicts.

    Examples
    --------
    >>> from streamline.source.synthetic import DefectKind
    >>> chip = Episode(part=0, kind=DefectKind.CHIP, first=10, last=20, area_share=0.01)
    >>> matched = match_alerts([5, 22, 23], [chip], k=3, n=5)
    >>> matched.recall, matched.true_alerts, matched.false_alerts
    (1.0, (22,), (5, 23))
    """
    alerts = tuple(begins)
    owned = {at: [e for e in episodes if e.first <= at <= e.last + n - k] for at in alerts}
    hit = {episode.part for claims in owned.values() for episode in claims}
    return Matched(
        found=tuple(e for e in episodes if e.part in hit),
        missed=tuple(e for e in episodes if e.part not in hit),
        true_alerts=tuple(at for at in alerts if owned[at]),
        false_alerts=tuple(at for at in alerts if not owned[at]),
    )


def alert_begins(failed: Iterable[bool], /, *, k: int, n: int) -> list[int]:
    """Return the frames at which the line would begin an alert.

    Examples
    --------
    >>> alert_begins([False, True, True, False, True, False, False, False, True], k=3, n=5)
    [4]
    """
    rule = Debounce(k, n)
    verdicts = (Verdict.FAIL if fail else Verdict.PASS for fail in failed)
    return [at for at, verdict in enumerate(verdicts) if rule.update(verdict) is Change.BEGIN]


def _share(part: int, rest: int) -> float:
    return part / (part + rest) if part + rest else 1.0
