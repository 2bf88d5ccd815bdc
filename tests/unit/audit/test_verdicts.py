"""What is recorded of the verdicts, and what a full disk costs."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from streamline.alert.events import VerdictRecord
from streamline.alert.judge import CameraRule, Judge, Judgement
from streamline.alert.pins import pin_kind
from streamline.audit.records import Counts
from streamline.audit.runs import RunFolder
from streamline.audit.verdicts import VerdictChain
from streamline.config import RecordedPerMinute
from streamline.messages import FrameId, Origin, Scored, Verdict
from tests.support.disks import files_no_longer_than
from tests.support.line import json_lines
from tests.support.models import threshold_at

RULE = CameraRule(
    test=threshold_at(1.0), calibration="cd" * 32, k=2, n=2, model="ab" * 32, evidence=None
)
COUNTS = Counts(passed=0, fail=0, unknown=0, alerts=0)


class Recorder:
    """Judges scores and records what is wanted of them."""

    def __init__(self, folder: Path, **per_minute: float) -> None:
        self.lost: list[int] = []
        self.run = RunFolder.new(folder, config="c", key_file=None)
        self.chain = VerdictChain(
            self.run, {"left": RULE}, RecordedPerMinute(**per_minute), on_lost=self.lost.append
        )
        self._judge = Judge("line", {"left": RULE})
        self._seq = 0

    def take(self, scores: Sequence[float]) -> None:
        for score in scores:
            origin = Origin(FrameId("left", 255, self._seq), 0, 0, 0)
            self._seq += 1
            judgement = self._judge.judge(Scored(origin=origin, score=score))
            if self.chain.wants("left", pin_kind(judgement), judgement):
                record = verdict(origin, score, judgement)
                self.chain.add(record, judgement=judgement, evidence=None, counts=COUNTS)
        self.chain.write()

    def written(self) -> list[dict[str, object]]:
        return json_lines(self.chain.path)[1:]


def verdict(origin: Origin, score: float, judgement: Judgement) -> VerdictRecord:
    return VerdictRecord(
        **origin.id._asdict(),
        captured="then",
        pts_s=None,
        verdict=judgement.verdict,
        reason=None,
        score=score,
        p_value=judgement.p_value,
        threshold=1.0,
        latency_ms=None,
        alert=judgement.alert,
    )


def test_begins_and_ends_are_recorded_whatever_else_is_not(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, fails=0, passes=0)
    recorder.take([2, 2, 2, 0, 0, 0, 3, 3, 0.5])
    found = [(one["seq"], one["event"], one["verdict"]) for one in recorder.written()]
    assert found == [(1, "new", "fail"), (4, "end", "pass"), (7, "new", "fail")]
    recorder.chain.close({})


@pytest.mark.parametrize(("kind", "score"), [("fails", 2.0), ("passes", 0.0)])
def test_of_a_thousand_verdicts_of_a_kind_few_are_recorded(
    tmp_path: Path, kind: str, score: float
) -> None:
    recorder = Recorder(tmp_path, **{"fails": 0, "passes": 0, kind: 0.01})
    recorder.take([score] * 1000)
    assert 1 <= len(recorder.written()) <= 3
    recorder.chain.close({})


def test_a_score_is_recorded_to_the_last_bit(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    score = 0.1 + 0.2
    recorder.take([score])
    assert recorder.written()[0]["score"] == score
    assert recorder.written()[0]["verdict"] == Verdict.PASS
    recorder.chain.close({})


def test_what_finds_no_room_is_counted_and_verdicts_are_given_all_the_same(
    tmp_path: Path,
) -> None:
    recorder = Recorder(tmp_path)
    with files_no_longer_than(recorder.chain.path.stat().st_size):
        recorder.take([2.0, 2.0])
        recorder.take([0.0])
    assert recorder.lost == [2, 1]
    recorder.take([0.0])
    gap, last = recorder.written()
    assert (gap["record"], gap["lost"], last["seq"]) == ("gap", 3, 3)
    recorder.chain.close({"left": COUNTS})
    closed = json.loads(recorder.chain.path.read_bytes().splitlines()[-1])
    assert closed["counts"]["left"] == {"pass": 0, "fail": 0, "unknown": 0, "alerts": 0}
