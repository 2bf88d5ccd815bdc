"""Whatever happens around a line: every frame is accounted for, every alert delivered."""

import sys

import pytest

from tests.faults.conftest import MakeRig
from tests.support.line import json_lines
from tools.faults.books import Books, close_books
from tools.faults.broken import break_disk
from tools.faults.injuries import suffer
from tools.faults.rig import Layout, Rig

# Each thing that happens is waited for, on a busy machine for up to a minute or two.
pytestmark = pytest.mark.timeout(600)

LASTING_S = 2.5
"""Longer than cameras and sinks are waited for."""

PATIENCE = 4.0
"""Tests share their processors."""


def hurt(rig: Rig, *names: str, alerts: int = 0) -> None:
    """Let one thing after another happen for a short time."""
    for name in names:
        outcome = suffer(rig, name, lasting_s=LASTING_S, alerts=alerts, patience=PATIENCE)
        sys.stdout.write(f"{outcome}\n")
        assert list(outcome.wrong) == []


def check(books: Books) -> None:
    sys.stdout.write(f"{books}\n")
    assert books.broken == ()
    assert books.unaccounted == 0
    assert books.captured == books.judged + books.dropped
    assert books.alerts_delivered == books.alerts_raised > 0


def test_a_camera_whose_stream_fails_in_every_way_loses_no_frame_and_no_alert(
    make_rig: MakeRig,
) -> None:
    with make_rig(Layout(served=1, played=1)) as rig:
        hurt(
            rig,
            "camera's server killed",
            "camera's server frozen",
            "camera of another size",
            "packets lost and damaged",
        )
        books = close_books(rig)
    check(books)
    assert books.unknown > 0  # Pictures of another size, and damaged ones.


def test_who_is_told_of_alerts_may_be_away_hang_or_fail_and_gets_each_one(
    make_rig: MakeRig,
) -> None:
    with make_rig(Layout(served=0, played=2, broker=True)) as rig:
        hurt(rig, "broker down", "webhook hangs", "webhook answers 500", alerts=2)
        books = close_books(rig)
    check(books)


def test_a_host_without_disk_or_descriptors_goes_on_judging_and_says_what_it_lost(
    make_rig: MakeRig,
) -> None:
    with make_rig(Layout(served=0, played=2, disk_mb=64)) as rig:
        hurt(rig, "disk full, and alert killed", alerts=2)
        hurt(rig, "no descriptors left, and a camera's worker killed")
        log = [line for line in rig.line.log.splitlines() if '"verdicts"' in line]
        told = sum("log can't be written" in line for line in log)
        again = sum("log is written again" in line for line in log)
        hurt(rig, "disk full, and supervisor killed")
        books = close_books(rig)
    check(books)
    assert books.lines_lost > 0
    # By each alert stage once, however many lines, for as long as none finds room between evidence.
    assert 1 <= told <= 2 + again


def test_a_line_that_is_killed_is_gone_on_with_as_one_run(make_rig: MakeRig) -> None:
    with make_rig(Layout(served=0, played=2)) as rig:
        second = rig.second()
        assert (second.returncode, second.stdout) == (2, "")
        assert second.stderr.splitlines() == [
            "streamline: this line is running already; stop it first, or copy the pipeline file"
        ]
        hurt(rig, "supervisor killed")
        assert rig.counters.total("streamline_line_takeovers_total") == 1
        crashed = rig.counters.total("streamline_frames_dropped_total", reason="crashed")
        assert "this one goes on with its run and its counters" in rig.line.log
        books = close_books(rig)
    check(books)
    assert books.dropped >= crashed > 0


def test_a_clock_that_is_set_back_and_ahead_costs_no_frame_and_no_alert(
    make_rig: MakeRig,
) -> None:
    with make_rig(Layout(served=0, played=2, clock=True)) as rig:
        hurt(rig, "clock set back an hour", "clock set a day ahead", alerts=2)
        books = close_books(rig)
        verdicts = json_lines(rig.kept / "verdicts.jsonl")
    check(books)
    days = {one["captured"][:10] for one in verdicts}
    assert len(days) == 2  # The clock was theirs.
    assert max(one["latency_ms"] for one in verdicts) < 60_000


def test_a_disk_that_turns_read_only_for_good_ends_no_verdict_and_no_alert(
    make_rig: MakeRig,
) -> None:
    with make_rig(Layout(served=0, played=2, disk_mb=64, breaks=True)) as rig:
        hurt(rig, "disk hangs")
        found = break_disk(rig)
    sys.stdout.write(f"{found}\n")
    assert list(found.wrong) == []
    assert found.lines_lost > 0
    assert found.raised > found.meanwhile > 0
