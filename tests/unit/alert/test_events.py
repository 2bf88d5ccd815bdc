"""What is written about verdicts and alerts can be read by anybody's JSON parser."""

import json
import math
import re
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streamline.alert.events import AlertEvent, EventType, VerdictRecord, alert_id, to_json, utc
from streamline.messages import FrameId, Verdict
from tests.support.documents import ROOT, example

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(wall_ns=st.integers(0, 4_102_444_800 * 10**9))
def test_a_time_is_written_as_datetime_reads_it_cut_to_microseconds(wall_ns: int) -> None:
    text = utc(wall_ns)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == EPOCH + timedelta(microseconds=wall_ns // 1000)


@given(times=st.lists(st.integers(0, 4_102_444_800 * 10**9), min_size=2, max_size=2))
def test_times_sort_as_text(times: list[int]) -> None:
    first, second = sorted(times)
    assert utc(first) <= utc(second)


@given(
    st.lists(
        st.builds(
            FrameId,
            camera=st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True),
            incarnation=st.integers(0, 2**50),
            seq=st.integers(0, 2**50),
        ),
        unique=True,
    )
)
def test_frames_have_different_alert_ids(frames: list[FrameId]) -> None:
    ids = {alert_id(frame) for frame in frames}
    assert len(ids) == len(frames)


def test_an_alert_id_says_camera_incarnation_and_frame() -> None:
    assert alert_id(FrameId("belt-2", 0x18BCFE56800, 41)) == "belt-2-18bcfe56800-41"


def record(*, score: float | None, camera: str = "left") -> VerdictRecord:
    """One line of the verdict log."""
    return VerdictRecord(
        camera=camera,
        incarnation=255,
        seq=7,
        captured=utc(0),
        pts_s=0.25,
        verdict=Verdict.UNKNOWN,
        reason="corrupt",
        score=score,
        p_value=None if score is None else 0.25,
        threshold=1.25,
        latency_ms=None,
        alert=None,
    )


def test_a_verdict_is_one_object_with_null_for_what_there_is_not() -> None:
    assert json.loads(to_json(record(score=None))) == {
        "camera": "left",
        "incarnation": 255,
        "seq": 7,
        "captured": "1970-01-01T00:00:00.000000Z",
        "pts_s": 0.25,
        "verdict": "unknown",
        "reason": "corrupt",
        "score": None,
        "p_value": None,
        "threshold": 1.25,
        "latency_ms": None,
        "alert": None,
    }


def test_an_alert_event_is_one_object_with_every_field() -> None:
    event = AlertEvent(
        type=EventType.NEW,
        id="left-ff-7",
        line="line1",
        camera="left",
        incarnation=255,
        seq=7,
        captured=utc(1),
        score=2.5,
        p_value=0.01,
        threshold=1.25,
        worst_score=2.5,
        since=utc(1),
        model="0123456789ab",
        evidence=None,
    )
    assert json.loads(to_json(event)) == {
        name: getattr(event, name) for name in event.__struct_fields__
    }


def test_the_documented_event_is_as_it_is_written_and_every_field_is_explained() -> None:
    text = example("pipelines/README.md", "json", '"worst_score"')
    event = msgspec.json.decode(text, type=AlertEvent)
    assert to_json(event) == msgspec.json.format(text.encode(), indent=-1)
    document = (ROOT / "pipelines/README.md").read_text()
    table = document.partition("\n| field |")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert tuple(re.findall(r"`(\w+)`", " ".join(cells))) == event.__struct_fields__


def test_a_score_that_is_no_finite_number_is_null_and_still_json() -> None:
    for score in (math.nan, math.inf):
        assert json.loads(to_json(record(score=score)), parse_constant=int)["score"] is None


@given(camera=st.text())
def test_whatever_text_comes_in_one_event_is_one_line(camera: str) -> None:
    data = to_json(record(score=1.0, camera=camera))
    assert b"\n" not in data
    assert json.loads(data)["camera"] == camera
