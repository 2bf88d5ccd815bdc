"""What is published of a part on another host, as long as it talks and when it is gone."""

from streamline.clock import monotonic_ns, wall_ns
from streamline.ledger import Ledger, Sample
from streamline.metrics.exporter import merged
from streamline.run.supervision.elsewhere import elsewhere
from streamline.run.supervision.health import health_of
from streamline.transport.telemetry import GONE_NS, Told

HOUR_NS = 3600 * 10**9


def told(*, state: str = "ok", captured: int = 7, ago_ns: int = 0) -> Told:
    """A worker with one camera, heard that long ago."""
    ledger = Ledger()
    ledger.counter("streamline_frames_captured_total", camera="left").add(captured)
    ledger.gauge("streamline_frames_in_flight", camera="left").set(2.0)
    ledger.gauge("streamline_worker_up", worker="camera-left").set(1.0)
    for one in ("ok", "down", "ended"):
        cell = ledger.gauge("streamline_camera_state", camera="left", state=one)
        cell.set(float(one == state))
    for reason in ("unreachable", "timeout"):
        ledger.gauge("streamline_camera_down_reason", camera="left", reason=reason)
    for name in ("camera_state_since", "last_frame"):
        cell = ledger.gauge(f"streamline_{name}_timestamp_seconds", camera="left")
        cell.set((wall_ns() - ago_ns) / 1e9 - 0.1)
    return Told(ledger.samples(), monotonic_ns() - ago_ns)


def value(samples: list[Sample], name: str, **labels: str) -> float:
    """What /metrics shows."""
    return float(merged(samples)[f"streamline_{name}", tuple(labels.items())].values[0])


def states(samples: list[Sample]) -> dict[str, float]:
    """The camera's states that are shown."""
    every = ("ok", "down", "ended")
    shown = {one: value(samples, "camera_state", camera="left", state=one) for one in every}
    return {state: held for state, held in shown.items() if held}


def test_a_part_that_talks_is_shown_as_it_says() -> None:
    one = told(ago_ns=GONE_NS // 2)
    assert elsewhere([one]) == one.samples


def test_a_part_that_has_gone_has_no_workers_its_cameras_are_down_and_its_counts_stay() -> None:
    samples = elsewhere([told(ago_ns=HOUR_NS)])
    assert value(samples, "worker_up", worker="camera-left") == 0
    assert states(samples) == {"down": 1}
    assert value(samples, "camera_down_reason", camera="left", reason="unreachable") == 1
    assert value(samples, "frames_captured_total", camera="left") == 7
    assert value(samples, "frames_in_flight", camera="left") == 2
    body = health_of(samples, {}, running_s=9e9, now_s=wall_ns() / 1e9).body
    camera = body["cameras"]["left"]
    assert (camera["state"], camera["reason"]) == ("down", "unreachable")
    assert 3599 < camera["since_age_s"] < 3700
    assert 3599 < camera["last_frame_age_s"] < 3700


def test_a_camera_that_had_ended_before_its_part_went_has_still_ended() -> None:
    samples = elsewhere([told(state="ended", ago_ns=HOUR_NS)])
    assert states(samples) == {"ended": 1}
    assert value(samples, "worker_up", worker="camera-left") == 0


def test_a_part_that_began_anew_takes_the_place_of_the_one_that_went_and_their_counts_add_up() -> (
    None
):
    past = [told(captured=captured, ago_ns=HOUR_NS * captured) for captured in (1, 2)]
    samples = elsewhere([*past, told(captured=4)])
    assert states(samples) == {"ok": 1}
    assert value(samples, "worker_up", worker="camera-left") == 1
    assert value(samples, "frames_in_flight", camera="left") == 2
    assert value(samples, "frames_captured_total", camera="left") == 7
