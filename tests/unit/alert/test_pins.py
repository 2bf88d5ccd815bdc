"""Which frames are kept, and that no kind takes another's place."""

import pytest

from streamline.alert.judge import CameraRule, Judge
from streamline.alert.pins import PinLimit, pin_kind
from streamline.messages import Fault, FrameId, Origin, PinKind, Scored
from tests.support.models import threshold_at


def kinds(*scores: float | None) -> list[PinKind]:
    """What frames with these scores would be kept as; 1 is the threshold, 2 of 2 an alert."""
    rule = CameraRule(
        test=threshold_at(1.0), calibration="cd" * 32, k=2, n=2, model="00", evidence=None
    )
    judge = Judge("line", {"left": rule})
    found = []
    for seq, score in enumerate(scores):
        origin = Origin(FrameId("left", 1, seq), 0, 0, 0)
        scored = (
            Scored(origin=origin, score=float("nan"), fault=Fault.CORRUPT)
            if score is None
            else Scored(origin=origin, score=score)
        )
        found.append(pin_kind(judge.judge(scored)))
    return found


def test_a_frame_is_kept_as_what_it_shows() -> None:
    assert kinds(0, None, 2, 2, 2, 0, 0, 2) == [
        "pass", "unknown", "fail", "begin", "fail", "pass", "pass", "fail",
    ]  # fmt: skip


@pytest.mark.parametrize("fps", [25, 250])
def test_however_many_fail_so_many_are_kept_a_minute_and_every_begin(fps: int) -> None:
    now_ns = 0
    per_minute = {PinKind.BEGIN: 120.0, PinKind.FAIL: 12.0, PinKind.PASS: 0.0}
    limit = PinLimit(["left", "right"], per_minute, clock=lambda: now_ns)
    fails = begins = 0
    for frame in range(fps * 600):
        now_ns = round(frame * 1e9 / fps)
        fails += limit.admits("left", PinKind.FAIL)
        if frame % fps == 0:
            begins += limit.admits("left", PinKind.BEGIN)
    assert begins == 600
    assert 120 <= fails <= 122
    assert limit.admits("right", PinKind.FAIL)
    assert limit.wants(PinKind.FAIL)
    assert not limit.wants(PinKind.PASS)
    assert not limit.wants(PinKind.UNKNOWN)
