"""Whether a line is alive and ready, case by case."""

import pytest

from streamline.ledger import Ledger, Sample
from streamline.run.supervision.health import Health, cameras_down, health_of

NOW_S = 1_700_000_000.0


def camera(
    name: str,
    *,
    state: str = "ok",
    frame_age_s: float | None = 0.1,
    verdict_age_s: float | None = 0.2,
    since_age_s: float | None = 60.0,
    reason: str | None = None,
) -> list[Sample]:
    """What the ledgers say of a camera; None for what has not happened yet."""
    ledger = Ledger()
    for one in ("starting", "ok", "down", "ended"):
        ledger.gauge("streamline_camera_state", camera=name, state=one).set(float(one == state))
    for one in ("refused", "timeout"):
        cell = ledger.gauge("streamline_camera_down_reason", camera=name, reason=one)
        cell.set(float(one == reason))
    ages = {
        "streamline_last_frame_timestamp_seconds": frame_age_s,
        "streamline_last_verdict_timestamp_seconds": verdict_age_s,
        "streamline_camera_state_since_timestamp_seconds": since_age_s,
    }
    for series, age_s in ages.items():
        ledger.gauge(series, camera=name).set(0.0 if age_s is None else NOW_S - age_s)
    ledger.counter("streamline_frames_captured_total", camera=name).add(100)
    return ledger.samples()


def health(
    *cameras: list[Sample], workers: dict[str, bool] | None = None, running_s: float | None = 100.0
) -> Health:
    """The health of a line of these cameras."""
    samples = [sample for one in cameras for sample in one]
    return health_of(samples, workers or {"infer": True}, running_s=running_s, now_s=NOW_S)


@pytest.mark.parametrize(
    ("line", "healthy", "ready"),
    [
        pytest.param(health(camera("left")), True, True, id="all-is-well"),
        pytest.param(
            health(camera("left"), workers={"a": True, "b": False}), False, True, id="dead-worker"
        ),
        pytest.param(
            health(camera("left"), running_s=None), True, False, id="starting-or-draining"
        ),
        pytest.param(
            health(camera("left", verdict_age_s=5.0)), True, True, id="verdict-just-fresh"
        ),
        pytest.param(health(camera("left", verdict_age_s=5.1)), True, False, id="verdict-stale"),
        pytest.param(health(camera("left", verdict_age_s=10.1)), False, False, id="stuck"),
        pytest.param(
            health(camera("left", verdict_age_s=99), running_s=None),
            True,
            False,
            id="stuck-draining",
        ),
        pytest.param(
            health(camera("left", verdict_age_s=99), camera("right")), False, True, id="one-stuck"
        ),
        pytest.param(
            health(camera("left", verdict_age_s=99, frame_age_s=99)), True, False, id="no-frames"
        ),
        pytest.param(
            health(camera("left", state="down", verdict_age_s=99)), True, False, id="camera-down"
        ),
        pytest.param(
            health(camera("left", state="down", verdict_age_s=99), camera("right")),
            True,
            True,
            id="one-camera-down-the-other-judged",
        ),
        pytest.param(
            health(camera("left", verdict_age_s=60, since_age_s=2)), True, False, id="just-back"
        ),
        pytest.param(
            health(camera("left", verdict_age_s=60, since_age_s=11)), False, False, id="long-back"
        ),
        pytest.param(
            health(camera("left", verdict_age_s=None, since_age_s=2)), True, False, id="just-opened"
        ),
        pytest.param(
            health(camera("left", verdict_age_s=None, since_age_s=11)),
            False,
            False,
            id="frames-and-never-a-verdict",
        ),
        pytest.param(
            health(camera("left", verdict_age_s=None, frame_age_s=None)),
            True,
            False,
            id="never-a-frame",
        ),
        pytest.param(health(), True, False, id="nothing-known"),
    ],
)
def test_a_line_is_healthy_and_ready_exactly_if(line: Health, healthy: bool, ready: bool) -> None:  # noqa: FBT001 - a table
    assert (line.healthy, line.ready) == (healthy, ready)
    assert (line.body["healthy"], line.body["ready"]) == (healthy, ready)


def test_the_body_says_what_is_known_of_workers_and_cameras() -> None:
    body = health(
        camera("left", state="down", reason="timeout", frame_age_s=12.3456, verdict_age_s=None),
        workers={"infer": True, "alert": False},
    ).body
    assert body["workers"] == {"infer": True, "alert": False}
    assert body["cameras"] == {
        "left": {
            "state": "down",
            "reason": "timeout",
            "since_age_s": 60.0,
            "last_frame_age_s": 12.346,
        }
    }


def test_the_body_names_the_cameras_that_are_stuck() -> None:
    body = health(camera("left", verdict_age_s=99), camera("right")).body
    assert body["stuck"] == ["left"]


def test_a_worker_that_is_given_up_is_named() -> None:
    ledger = Ledger()
    ledger.gauge("streamline_worker_given_up", worker="camera-left").set(1.0)
    ledger.gauge("streamline_worker_given_up", worker="camera-right")
    found = health(ledger.samples(), workers={"camera-left": False, "camera-right": True})
    assert not found.healthy
    assert found.body["given_up"] == ["camera-left"]


def test_cameras_that_are_down_are_named_with_their_reasons() -> None:
    line = [
        *camera("left"),
        *camera("gone", state="down", reason="refused"),
        *camera("broken-off", state="ended", reason="timeout"),
    ]
    assert cameras_down(line) == {"gone": "refused"}
