"""The table at the end of a run."""

from streamline.cli.table import report_table
from streamline.ledger import Ledger
from streamline.run.supervision.report import report_of


def camera(ledger: Ledger, name: str, *, captured: int, state: str, reason: str = "") -> None:
    """Let a camera of a ledger have had so many frames, all late."""
    ledger.counter("streamline_frames_captured_total", camera=name).add(captured)
    ledger.counter("streamline_frames_judged_total", camera=name, verdict="unknown").add(captured)
    ledger.counter("streamline_frames_unknown_total", camera=name, reason="late").add(captured)
    ledger.gauge("streamline_camera_state", camera=name, state=state).set(1.0)
    if reason:
        ledger.gauge("streamline_camera_down_reason", camera=name, reason=reason).set(1.0)


def test_unknown_verdicts_and_cameras_without_pictures_are_told_with_their_reasons() -> None:
    ledger = Ledger()
    camera(ledger, "well", captured=9, state="ok")
    camera(ledger, "lost", captured=2, state="down", reason="stalled")
    camera(ledger, "locked", captured=0, state="down", reason="auth")
    camera(ledger, "slow", captured=0, state="starting")
    names = ["well", "lost", "locked", "slow"]
    told = report_table(report_of(ledger.samples(), names, 1.0)).split("\n\n")[1]
    assert told.splitlines() == [
        "well: unknown 9: late 9",
        "lost: down at the end: stalled",
        "lost: unknown 2: late 2",
        "locked: down at the end, never delivered a frame: auth",
        "slow: starting at the end, never delivered a frame",
        "accounting: 11 captured = 11 judged + 0 dropped + 0 in flight; 0 alerts; 1.0 s",
    ]
