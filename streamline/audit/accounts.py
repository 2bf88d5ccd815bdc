"""Hold what a run's chains say of its frames against one another."""

from collections.abc import Mapping

from streamline.alert.events import EventType
from streamline.audit.reading import Findings
from streamline.audit.records import Account, Begun, Closed, Counts, Ended, JudgedFrame
from streamline.messages import Verdict

__all__ = ["Books"]

_NONE = Counts(passed=0, fail=0, unknown=0, alerts=0)


class Books:
    """Follows the verdicts of a run, and closes them with what the supervisor counted.

    Parameters
    ----------
    begun : Begun, optional
        What the run began with, if that is known.
    found : Findings
        What does not fit is added to its faults.
    """

    def __init__(self, begun: Begun | None, found: Findings) -> None:
        self._begun = begun
        self._found = found
        self._so_far: dict[str, Counts] = {}
        self._begins: dict[str, int] = {}
        self._closed: Mapping[str, Counts] | None = None

    def judged(self, frame: JudgedFrame, where: str) -> None:
        """Take the next recorded verdict."""
        before = self._so_far.get(frame.camera)
        self._so_far[frame.camera] = frame.counts
        if before is not None and not _follows(frame, before):
            self._fault(f"{where}: the camera's counters do not follow those of its last record")
        if frame.verdict is not Verdict.UNKNOWN and not _fits(frame):
            self._fault(f"{where}: the verdict does not follow from score and threshold")
        begins = self._begins.get(frame.camera, 0)
        self._begins[frame.camera] = begins + (frame.event is EventType.NEW)
        if self._begun is not None:
            self._hold_against(self._begun, frame, where)

    def closed(self, closed: Closed) -> None:
        """Take what the alert stage counted in all."""
        self._closed = closed.counts

    def close(self, ended: Ended, *, lost: int) -> None:
        """Hold all of it against the end of the run.

        Parameters
        ----------
        ended : Ended
        lost : int
            Verdicts that could not be recorded.
        """
        if self._begun is None:
            return  # That it is missing was told already.
        if self._begun.part is not None:
            what = f"the {self._begun.part} stage alone does not see all frames"
            self._found.notes.append(f"the accounting law is not checked: {what}")
            return
        for name, account in ended.cameras.items():
            self._check_law(name, account)
            if self._closed is not None:
                self._check_verdicts(name, account, self._closed.get(name, _NONE), lost=lost)
        alerts = sum(counts.alerts for counts in (self._closed or {}).values())
        if self._closed is not None and alerts != ended.alerts:
            self._fault(f"line: {ended.alerts} alerts, and {alerts} by the alert stage")

    def _check_law(self, name: str, account: Account) -> None:
        judged, dropped = sum(account.judged.values()), sum(account.dropped.values())
        if account.captured != judged + dropped + account.in_flight:
            self._fault(
                f"camera {name}: {account.captured} frames captured are not {judged} judged + "
                f"{dropped} dropped + {account.in_flight} in flight"
            )

    def _check_verdicts(self, name: str, account: Account, counts: Counts, *, lost: int) -> None:
        for verdict in Verdict:
            counted = account.judged.get(verdict, 0)
            if counted != counts.of(verdict):
                self._fault(
                    f"camera {name}: {counted} frames judged {verdict} by the end of the run, and "
                    f"{counts.of(verdict)} by the alert stage"
                )
        begins = self._begins.get(name, 0)
        if begins != counts.alerts and not lost:
            what = f"{counts.alerts} alerts began, and {begins} begins are recorded"
            self._fault(f"camera {name}: {what}")

    def _hold_against(self, begun: Begun, frame: JudgedFrame, where: str) -> None:
        camera = begun.cameras.get(frame.camera)
        if frame.config != begun.config:
            self._fault(f"{where}: judged by another configuration than the run began with")
        if camera is None or (frame.model, frame.calibration) != (camera.judge, camera.calibration):
            self._fault(f"{where}: judged by another model than the run began with")

    def _fault(self, what: str) -> None:
        self._found.faults.append(what)


def _follows(frame: JudgedFrame, before: Counts) -> bool:
    """Whether counters only grew, and that of this verdict by one at least."""
    grown = all(
        frame.counts.of(verdict) >= before.of(verdict) + (verdict is frame.verdict)
        for verdict in Verdict
    )
    return grown and frame.counts.alerts >= before.alerts + (frame.event is EventType.NEW)


def _fits(frame: JudgedFrame) -> bool:
    if frame.score is None:
        return False
    return (frame.score > frame.threshold) is (frame.verdict is Verdict.FAIL)
