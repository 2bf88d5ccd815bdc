"""From scores to verdicts and events, for several cameras at once."""

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamline.alert.events import AlertEvent, EventType, alert_id, utc
from streamline.alert.judge import CameraRule, Judge, Judgement
from streamline.messages import Fault, FrameId, Origin, Scored, Verdict
from tests.support.models import threshold_at

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS


def rule(
    *, threshold: float = 1.0, k: int = 1, n: int = 1, evidence: str | None = None
) -> CameraRule:
    """A camera's rule; by default every verdict changes the alert."""
    return CameraRule(
        test=threshold_at(threshold),
        calibration="cd" * 32,
        k=k,
        n=n,
        model="0123456789abcdef" * 4,
        evidence=evidence,
    )


def scored(seq: int, score: float, *, camera: str = "left", fault: Fault | None = None) -> Scored:
    """The score of a frame captured *seq* seconds after the start."""
    frame = FrameId(camera, 255, seq)
    origin = Origin(frame, seq * NS, START_NS + seq * NS, error_ns=0)
    return Scored(origin=origin, score=score, fault=fault)


def judged(judge: Judge, *scores: float) -> list[Judgement]:
    """What becomes of the scores of one camera's frames."""
    return [judge.judge(scored(seq, score)) for seq, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        pytest.param(0.999, Verdict.PASS, id="below"),
        pytest.param(1.0, Verdict.PASS, id="equal-is-not-above"),
        pytest.param(math.nextafter(1.0, 2.0), Verdict.FAIL, id="just-above"),
        pytest.param(math.inf, Verdict.FAIL, id="infinite"),
    ],
)
def test_a_frame_fails_exactly_if_its_score_is_above_the_threshold(
    score: float, verdict: Verdict
) -> None:
    assert Judge("line", {"left": rule()}).judge(scored(0, score)).verdict is verdict


@pytest.mark.parametrize("fault", [*Fault, None], ids=str)
def test_a_frame_without_a_score_is_unknown_and_never_passes(fault: Fault | None) -> None:
    judgement = Judge("line", {"left": rule()}).judge(scored(0, math.nan, fault=fault))
    assert judgement == Judgement(Verdict.UNKNOWN, None, None, None)


def test_an_alert_begins_and_ends_with_one_event_each() -> None:
    judgements = judged(Judge("line", {"left": rule(k=2, n=2)}), 2, 2, 2, 0, 2, 0, 0, 0)
    kinds = [None if j.event is None else j.event.type for j in judgements]
    assert kinds == [None, "new", None, None, None, None, "end", None]
    on = [j.alert is not None for j in judgements]
    assert on == [False, True, True, True, True, True, False, False]


def test_both_events_of_an_alert_carry_the_id_of_the_frame_that_began_it() -> None:
    judgements = judged(Judge("line", {"left": rule()}), 0, 2, 2, 0, 3)
    events = [j.event for j in judgements if j.event is not None]
    assert [(e.type, e.id, e.seq) for e in events] == [
        ("new", "left-ff-1", 1),
        ("end", "left-ff-1", 3),
        ("new", "left-ff-4", 4),
    ]
    assert [j.alert for j in judgements] == [None, "left-ff-1", "left-ff-1", None, "left-ff-4"]


def updates(judge: Judge, times_ns: Iterable[int]) -> list[int]:
    """Which of the frames of those times tell how an alert stands that began at the first."""
    told = []
    for seq, time_ns in enumerate(times_ns):
        origin = Origin(FrameId("left", 255, seq), 0, START_NS + time_ns, 0)
        judgement = judge.judge(Scored(origin=origin, score=2.0 + seq))
        if judgement.update is not None:
            assert judgement.update.type == "update"
            assert judgement.update.worst_score == 2.0 + seq
            told.append(seq)
    return told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        pytest.param(list(range(35)), [10, 20, 30], id="one-each-ten-seconds"),
        pytest.param([0, 9, 29, 30, 31], [29, 30], id="none-is-made-up-for"),
        pytest.param([0, 12, 3, 4, 11, 21], [12, 11, 21], id="clock-set-back"),
        pytest.param([0, 1, 3601, 3602, 3612], [3601, 3612], id="clock-set-forward"),
    ],
)
def test_while_an_alert_is_on_it_is_told_how_it_stands(seconds: list[int], told: list[int]) -> None:
    judge = Judge("line", {"left": rule()}, update_ns=10 * NS)
    found = updates(judge, [second * NS for second in seconds])
    assert [seconds[seq] for seq in found] == told


@given(
    begin_ns=st.integers(0, 5000),
    offsets_ns=st.lists(st.integers(-3000, 3000), min_size=1, max_size=10),
)
def test_times_that_are_only_known_to_a_microsecond_lead_to_the_same_updates(
    begin_ns: int, offsets_ns: list[int]
) -> None:
    exact = [begin_ns, *(begin_ns + n * NS + one for n, one in enumerate(offsets_ns, start=1))]
    judges = [Judge("line", {"left": rule()}, update_ns=NS) for _ in range(2)]
    rounded = [time_ns // 1000 * 1000 for time_ns in exact]
    assert updates(judges[0], exact) == updates(judges[1], rounded)


def test_unless_it_is_asked_for_nobody_is_told_how_an_alert_stands() -> None:
    assert updates(Judge("line", {"left": rule()}), range(0, 100 * NS, NS)) == []


def test_each_update_of_an_alert_has_a_name_of_its_own() -> None:
    judge = Judge("line", {"left": rule()}, update_ns=NS)
    found = [one.update for one in judged(judge, 2, 2, 2)] + [judge.judge(scored(3, 0)).event]
    told = [event for event in found if event is not None]
    assert [event.kind for event in told] == ["update-ff-1", "update-ff-2", "end"]
    assert {event.id for event in told} == {"left-ff-0"}


def test_an_alert_raised_again_from_the_same_frames_has_the_same_id() -> None:
    first, second = (judged(Judge("line", {"left": rule()}), 0, 2)[1].alert for _ in range(2))
    assert first == second == alert_id(FrameId("left", 255, 1))


def test_an_event_says_what_it_is_about() -> None:
    judge = Judge("line1", {"left": rule(threshold=1.5, evidence="/evidence/left")})
    judged(judge, 0, 2, 7, 3)
    event = judge.judge(scored(4, 0.5)).event
    assert event == AlertEvent(
        type=EventType.END,
        id="left-ff-1",
        line="line1",
        camera="left",
        incarnation=255,
        seq=4,
        captured=utc(START_NS + 4 * NS),
        score=0.5,
        p_value=1.0,
        threshold=1.5,
        worst_score=7.0,
        since=utc(START_NS + NS),
        model="0123456789ab",
        evidence="/evidence/left/left-ff-1",
    )


def test_the_event_of_a_begin_can_be_had_again_as_it_was() -> None:
    judge = Judge("line", {"left": rule(k=2, n=3)})
    begin = judged(judge, 2, 3)[1].event
    judge.judge(scored(2, 9))
    assert judge.begin_event(scored(1, 3)) == begin


def test_without_evidence_an_event_names_no_folder() -> None:
    event = judged(Judge("line", {"left": rule()}), 2)[0].event
    assert event is not None
    assert event.evidence is None


def test_the_worst_score_is_that_of_this_alert_and_survives_frames_without_one() -> None:
    judge = Judge("line", {"left": rule(k=1, n=2)})
    for seq, score in enumerate((9.0, 0.0, 2.0, 5.0)):
        judge.judge(scored(seq, score))
    judge.judge(scored(4, math.nan, fault=Fault.CORRUPT))
    event = judge.judge(scored(5, 0.0)).event
    assert event is not None
    assert event.worst_score == 5.0


@given(
    scores=st.lists(
        st.tuples(st.sampled_from(["left", "right"]), st.floats(0, 3) | st.just(math.nan)),
        max_size=40,
    )
)
def test_cameras_are_judged_as_if_each_had_a_line_of_its_own(
    scores: list[tuple[str, float]],
) -> None:
    rules = {"left": rule(threshold=1, k=1, n=2), "right": rule(threshold=2, k=2, n=3)}
    together = Judge("line", rules)
    apart = {name: Judge("line", {name: rules[name]}) for name in rules}
    for seq, (camera, score) in enumerate(scores):
        fault = Fault.MODEL if math.isnan(score) else None
        frame = scored(seq, score, camera=camera, fault=fault)
        assert together.judge(frame) == apart[camera].judge(frame)
