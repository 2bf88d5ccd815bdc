"""What the alert stage remembers, across deaths of its process."""

import math
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamline.alert.judge import CameraRule, Judge, Standing
from streamline.ledger import Ledger, LedgerView
from streamline.messages import Fault, FrameId, Origin, PinKind, Scored, Verdict
from streamline.run.accounting.journal import (
    REMEMBERED,
    Journal,
    Judged,
    commits_in,
    judged_in,
    since_change,
)
from tests.support.models import threshold_at

REMAINING = REMEMBERED - 1
"""The place that is written next may be half written."""


def entry(seq: int, *, incarnation: int = 7, standing: Standing | None = None) -> Judged:
    """One verdict, different in every field for every number."""
    fault = [None, *Fault][seq % (len(Fault) + 1)]
    return Judged(
        incarnation=incarnation,
        seq=seq,
        verdict=[*Verdict][seq % 3],
        score=seq / 7,
        wall_ns=1_700_000_000_000_000_000 + seq * 1000,
        pin=[None, *PinKind][seq % (len(PinKind) + 1)],
        pins=seq // 2,
        skips=seq // 4,
        fault=fault,
        alerts=seq // 3,
        debounced=seq // 5,
        merged=seq // 6,
        alert=standing,
    )


def standing(seq: int) -> Standing:
    """An alert that began with that frame."""
    return Standing(Origin(FrameId("left", 7, seq), 0, 1_700_000_000_000_000_000, 0), seq * 1.5)


@settings(max_examples=15)
@given(st.lists(st.integers(1, 300), max_size=5), st.integers(1, 3))
def test_a_journal_is_a_list_of_the_latest_entries(runs: list[int], alert_every: int) -> None:
    ledger = Ledger()
    journal, model = Journal(ledger, "left"), []
    for run, length in enumerate(runs):
        for seq in range(length):
            alert = standing(seq) if seq % alert_every else None
            model.append(entry(seq, incarnation=run + 1, standing=alert))
            journal.add(model[-1])
    assert list(journal.entries()) == model[-REMAINING:]
    assert journal.count == len(model)
    by_id = {(one.incarnation, one.seq): one for one in model[-REMEMBERED:]}
    for run, length in enumerate(runs):
        for seq in range(length):
            assert journal.find(run + 1, seq) == by_id.get((run + 1, seq))


def test_a_successor_finds_what_was_judged_and_what_is_unsettled(tmp_path: Path) -> None:
    first = Ledger()
    journal = Journal(first, "left")
    first.open(tmp_path / "alert.ledger")
    for seq in range(600):
        journal.add(entry(seq))
        if seq == 589:
            journal.settle()
        if seq == 594:
            journal.settle(delivered=False)  # Alerts wait in memory.
    first.close()
    second = Ledger()
    successor = Journal(second, "left")
    second.open(tmp_path / "alert.ledger")
    assert successor.recover() == [entry(seq) for seq in range(600 - REMAINING, 600)]
    assert (successor.unsettled, successor.undelivered) == (5, 10)
    assert successor.find(7, 599) == entry(599)
    assert successor.find(7, 3) is None
    second.close()


def test_a_reader_sees_exactly_the_judged_frames_of_one_incarnation(tmp_path: Path) -> None:
    ledger = Ledger()
    journal = Journal(ledger, "left")
    Journal(ledger, "right")
    ledger.open(tmp_path / "alert.ledger")
    for seq in range(10):
        journal.add(entry(seq, incarnation=1))
    for seq in range(4):
        journal.add(entry(seq, incarnation=2))
    view = LedgerView(tmp_path / "alert.ledger")
    assert judged_in(view, "left", 1) == set(range(10))
    assert judged_in(view, "left", 2) == set(range(4))
    assert judged_in(view, "right", 1) == set()
    assert commits_in(view, "left") == 14
    view.close()
    ledger.close()


VERDICTS = st.lists(st.sampled_from(["pass", "fail", "unknown"]), max_size=40)


@given(VERDICTS, VERDICTS, st.integers(1, 4), st.integers(0, 3))
def test_alerts_go_on_as_if_nobody_had_died(
    before: list[str], after: list[str], k: int, more: int
) -> None:
    rule = CameraRule(
        test=threshold_at(1.0),
        calibration="cd" * 32,
        k=k,
        n=k + more,
        model="ab" * 32,
        evidence=None,
    )
    whole, dead, heir = (Judge("line", {"left": rule}, update_ns=3000) for _ in range(3))
    journal = Journal(Ledger(), "left")
    for seq, verdict in enumerate(before):
        whole.judge(scored(seq, verdict))
        judgement = dead.judge(scored(seq, verdict))
        alert = dead.standing("left")
        journal.add(entry(seq)._replace(verdict=judgement.verdict, wall_ns=seq * 1000, alert=alert))
    entries = journal.recover()
    if entries:
        last = entries[-1]
        heir.resume("left", since_change(entries), last.alert, wall_ns=last.wall_ns)
    for seq, verdict in enumerate(after, start=len(before)):
        assert heir.judge(scored(seq, verdict)) == whole.judge(scored(seq, verdict))


def scored(seq: int, verdict: str) -> Scored:
    """A score that makes that verdict."""
    fault = Fault.MODEL if verdict == "unknown" else None
    score = {"pass": 0.5, "fail": 2.0 + seq, "unknown": math.nan}[verdict]
    return Scored(
        origin=Origin(FrameId("left", 7, seq), 0, seq * 1000, 0), score=score, fault=fault
    )


WRITER = """
import sys
from pathlib import Path
from streamline.ledger import Ledger
from streamline.messages import Verdict
from streamline.run.accounting.journal import Journal, Judged
ledger = Ledger()
journal = Journal(ledger, "left")
counts = [ledger.counter("judged", verdict=v) for v in Verdict]
ledger.open(Path(sys.argv[1]))
journal.recover()
counted = sum(c.value for c in counts)
missing = int(journal.count - counted)
for one in list(journal.entries())[-missing or len(counts) * 1000:]:
    counts[list(Verdict).index(one.verdict)].add()
assert sum(c.value for c in counts) == journal.count
sys.stdout.write("go\\n")
sys.stdout.flush()
seq = journal.count
while True:
    verdict = list(Verdict)[seq % 3]
    journal.add(Judged(1, seq, verdict, 0.5, 1000, None, 0, 0, None, 0, 0, 0, None))
    counts[seq % 3].add()
    seq += 1
"""


def test_verdicts_and_their_counters_are_reconciled_after_any_death(tmp_path: Path) -> None:
    ledger = tmp_path / "alert.ledger"
    moments = random.Random(5)  # noqa: S311 - moments of death
    behind = 0
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(ledger)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"go\n"
            time.sleep(moments.uniform(0.001, 0.02))
            writer.send_signal(signal.SIGKILL)
            assert writer.wait() == -signal.SIGKILL
        view = LedgerView(ledger)
        count = commits_in(view, "left")
        counted = sum(view.values("judged").values())
        assert count - counted in {0, 1}
        behind += int(count - counted)
        recent = range(max(0, int(count) - REMAINING), int(count))
        assert judged_in(view, "left", 1) == set(recent)
        view.close()
    sys.stdout.write(f"{behind} of 6 deaths came between an entry and its counter\n")


@pytest.mark.parametrize(
    ("alerts", "verdicts"),
    [
        pytest.param([None, None], ["pass", "fail"], id="no-alert-yet"),
        pytest.param([None, 1, 1], ["unknown"], id="the-one-that-began-it-is-not-counted"),
        pytest.param([0, 0], ["fail"], id="the-first-frame-began-it"),
        pytest.param([0, 0, None, None], ["pass"], id="the-one-that-ended-it-is-not-counted"),
    ],
)
def test_verdicts_since_the_last_change(alerts: list[int | None], verdicts: list[str]) -> None:
    entries = [
        entry(seq)._replace(alert=None if begin is None else standing(begin))
        for seq, begin in enumerate(alerts)
    ]
    assert since_change(entries) == verdicts
