"""What the parts of a run's record say of one another: runs made by hand, each odd in one way."""

import hashlib
import json
import shutil
from pathlib import Path

import msgspec
import pytest

from streamline.alert.events import EventType
from streamline.audit.chain import Seal
from streamline.audit.records import (
    Account,
    Begun,
    Closed,
    Counts,
    Ended,
    HeadOf,
    JudgedFrame,
    PreviousRun,
    Record,
    RemovedEvidence,
    RunCamera,
    RunInfer,
    SkippedEvidence,
    StoredEvidence,
)
from streamline.audit.runs import LINE, VERDICTS, RunFolder, evidence_chain, heads_in
from streamline.audit.verify import Verification, verify_run
from streamline.errors import InputError
from streamline.machine import this_machine
from streamline.messages import PinKind, Verdict

CONFIG, MODEL, CALIBRATION = "c" * 64, "m" * 64, "k" * 64


def counts(passed: int, fail: int, alerts: int) -> Counts:
    return Counts(passed=passed, fail=fail, unknown=0, alerts=alerts)


def judged(seq: int, **other: object) -> JudgedFrame:
    """The verdict of a frame; the second begins an alert."""
    begins = seq == 1
    frame = JudgedFrame(
        camera="left",
        incarnation=10,
        seq=seq,
        captured="then",
        pts_s=None,
        verdict=Verdict.FAIL,
        reason=None,
        score=2.5,
        p_value=0.01,
        threshold=1.5,
        latency_ms=None,
        alert="left-a-1" if seq else None,
        event=EventType.NEW if begins else None,
        model=MODEL,
        calibration=CALIBRATION,
        config=CONFIG,
        evidence="left/left-a-1" if begins else None,
        counts=counts(0, seq + 1, int(seq > 0)),
    )
    return msgspec.structs.replace(frame, **other)


FRAMES = [judged(0), judged(1), judged(2)]


class Line:
    """Writes runs of a line with one camera, of which three frames fail."""

    def __init__(self, folder: Path) -> None:
        self.above = folder / "runs"
        self.evidence = folder / "kept"
        self.run = RunFolder.new(self.above, config=CONFIG, key_file=None)

    def chain(self, name: str, *records: Record) -> None:
        chain = self.run.chain(name)
        chain.append(records)
        chain.close()

    def begin(self, previous: PreviousRun | None = None, part: str | None = None) -> None:
        begun = Begun(
            at="then",
            line="line",
            part=part,
            config=CONFIG,
            pipeline="version: 1",
            cameras={
                "left": RunCamera(
                    model=MODEL, calibration=CALIBRATION, model_path="model", roi=None
                )
            },
            infer=RunInfer(backend="openvino", device="CPU", precision="auto", batch=8),
            machine=this_machine(),
            evidence="../../kept",
            previous=previous,
        )
        self.chain(LINE, begun)

    def judge(self, frames: list[JudgedFrame] = FRAMES, alerts: int = 1) -> None:
        self.chain(VERDICTS, *frames, Closed(at="then", counts={"left": counts(0, 3, alerts)}))

    def store(self, seq: int = 1) -> StoredEvidence:
        """Store the frame that began the alert."""
        folder = self.evidence / "left" / "left-a-1"
        folder.mkdir(parents=True)
        (folder / "frame.png").write_bytes(b"picture")
        record = {
            "kind": "begin",
            "alert": {"score": 2.5, "threshold": 1.5},
            "frame": {"camera": "left", "incarnation": 10, "seq": seq},
            "picture": {"roi": None},
            "sha256": {"frame.png": hashlib.sha256(b"picture").hexdigest()},
        }
        data = json.dumps(record).encode()
        (folder / "alert.json").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        return StoredEvidence(item="left/left-a-1", kind=PinKind.BEGIN, sha256=digest)

    def keep(self, *records: Record) -> None:
        self.chain(evidence_chain("left"), *records, Closed(at="then"))

    def end(self, *, skipped: int = 0) -> None:
        # By hand: a chain that is opened again says that its first writer died.
        account = Account(
            captured=5,
            judged={"pass": 0, "fail": 3, "unknown": 0},
            dropped={"source:queue_full": 2},
            in_flight=0,
            evidence=1,
            evidence_skipped=skipped,
        )
        heads = heads_in(self.run.folder, Seal(), but=[LINE])
        ended = Ended(at="then", cameras={"left": account}, alerts=1, faults=(), chains=heads)
        self.chain(LINE, ended)

    def verify(self) -> Verification:
        return verify_run(self.run.folder, Seal())


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)


def found(line: Line) -> tuple[list[str], list[str]]:
    """Faults and notes; that the supervisor's chain was written in two goes is not of interest."""
    result = line.verify()
    return list(result.faults), [note for note in result.notes if "another went on" not in note]


def test_what_fits_together_has_no_fault_and_nothing_to_note(line: Line) -> None:
    line.begin()
    line.judge()
    line.keep(line.store())
    line.end()
    assert found(line) == ([], [])
    assert (line.verify().evidence, line.verify().files) == (1, 2)


def test_evidence_that_a_later_run_removed_for_room_is_no_fault(line: Line) -> None:
    line.begin()
    line.judge()
    line.keep(line.store())
    line.end()
    shutil.rmtree(line.evidence / "left" / "left-a-1")
    (fault,), _ = found(line)
    assert "is missing, and no record says" in fault
    later = Line(line.above.parent)
    later.begin()
    later.keep(RemovedEvidence(item="left/left-a-1", kind=PinKind.BEGIN, reason="quota"))
    assert found(line) == ([], ["1 stored frames had to go since (quota)"])


def test_evidence_that_could_not_be_stored_is_noted_with_its_alert(line: Line) -> None:
    line.begin()
    line.judge()
    line.keep(SkippedEvidence(item="left/left-a-1", kind=PinKind.BEGIN, reason="disk"))
    line.end(skipped=1)
    assert found(line) == ([], ["alert left-a-1 has no evidence: skipped, disk"])


def test_evidence_of_which_nothing_is_heard_must_have_been_counted(line: Line) -> None:
    line.begin()
    line.judge()
    line.keep()
    line.end(skipped=0)
    what = "evidence left/left-a-1: was asked for, and nothing tells what became of it"
    assert found(line) == ([what], [])


def test_evidence_that_died_with_its_source_was_counted_and_is_noted(line: Line) -> None:
    line.begin()
    line.judge()
    line.keep()
    line.end(skipped=1)
    note = "camera left: 1 frames that were to be kept died with its source, or came late"
    assert found(line) == ([], [note])


def test_evidence_of_another_frame_than_its_verdict_s_is_a_fault(line: Line) -> None:
    line.begin()
    line.judge()
    line.keep(line.store(seq=2))
    line.end()
    what = "evidence left/left-a-1: tells another frame or score than its verdict"
    assert found(line)[0] == [what]


@pytest.mark.parametrize(
    ("frame", "what"),
    [
        (judged(2, counts=counts(0, 2, 1)), "counters do not follow"),
        (judged(2, model="x" * 64), "another model than the run began with"),
        (judged(2, config="x" * 64), "another configuration than the run began with"),
        (judged(2, verdict=Verdict.PASS, counts=counts(1, 3, 1)), "does not follow from score"),
        (judged(2, score=1.0), "does not follow from score"),
    ],
    ids=["counters", "model", "configuration", "verdict", "score"],
)
def test_a_verdict_that_contradicts_the_rest_is_a_fault(
    line: Line, frame: JudgedFrame, what: str
) -> None:
    line.begin()
    line.judge([*FRAMES[:2], frame])
    line.keep(line.store())
    line.end()
    (fault,), _ = found(line)
    assert fault.startswith("verdicts.jsonl:4: ")
    assert what in fault


def test_an_alert_whose_begin_is_not_recorded_is_a_fault(line: Line) -> None:
    line.begin()
    line.judge([judged(0), judged(2)])
    line.keep()
    line.end()
    assert found(line) == (["camera left: 1 alerts began, and 0 begins are recorded"], [])


def test_a_killed_run_is_held_against_where_the_next_one_found_it(line: Line) -> None:
    line.begin()
    line.judge()
    line.keep(line.store())
    chains = heads_in(line.run.folder, Seal())
    later = Line(line.above.parent)
    later.begin(PreviousRun(run=line.run.folder.name, chains=chains))
    (fault,), _ = found(line)
    assert "there is no end" in fault
    path = line.run.folder / "verdicts.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    by = f"by the run after it, {later.run.folder.name}"
    assert f"verdicts.jsonl: record 4 is missing at its end, {by}" in found(line)[0]


def test_a_part_of_a_line_says_that_its_frames_can_not_be_balanced(line: Line) -> None:
    line.begin(part="alert")
    line.judge()
    line.end()
    assert found(line) == (
        [],
        [
            "the accounting law is not checked: the alert stage alone does not see all frames",
            "camera left: its evidence is recorded where its source runs",
        ],
    )


def test_a_folder_that_is_none_of_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder of a run"):
        verify_run(tmp_path, Seal())


def test_heads_are_those_of_the_files(line: Line) -> None:
    line.begin()
    last = json.loads((line.run.folder / "line.jsonl").read_bytes().splitlines()[-1])
    assert heads_in(line.run.folder, Seal()) == {"line": HeadOf(records=2, hash=last["hash"])}
