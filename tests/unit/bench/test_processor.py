"""Processor time by process, and of everybody else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from streamline.bench.processes import family, pss_of, seconds_of, threads_of
from streamline.bench.processor import QUIET, OtherWork
from tests.support.line import eventually

_SPIN = "while True: pass"


@contextmanager
def spinning_stranger() -> Iterator[int]:
    """A busy process that is no descendant of this one any more."""
    leave = f"{sys.executable} -c '{_SPIN}' >/dev/null 2>&1 & echo $!"
    pid = int(subprocess.run(["sh", "-c", leave], capture_output=True, check=True).stdout)
    stranger = psutil.Process(pid)
    try:
        yield pid
    finally:
        stranger.kill()


@contextmanager
def child_of_ours(code: str) -> Iterator[psutil.Process]:
    """A Python process that is ended with the context."""
    with subprocess.Popen([sys.executable, "-c", code]) as child:
        try:
            yield psutil.Process(child.pid)
        finally:
            child.kill()


def test_the_family_of_a_process_is_what_psutil_finds() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60"]) as child:
        eventually(lambda: len(family(child.pid)) == 3, "both grandchildren")
        kin = {one.pid for one in psutil.Process(child.pid).children(recursive=True)}
        assert set(family(child.pid)) == {child.pid, *kin}
        assert set(family(child.pid)) < set(family(os.getpid()))
        for pid in kin:
            psutil.Process(pid).kill()


def test_the_seconds_of_a_process_are_what_psutil_finds() -> None:
    with child_of_ours(_SPIN) as process:
        eventually(lambda: sum(process.cpu_times()[:2]) > 0.2, "some processor time")
        before = sum(process.cpu_times()[:4])
        seen = seconds_of(process.pid)
        assert before <= seen + 1e-9
        assert seen <= sum(process.cpu_times()[:4]) + 1e-9
    assert seconds_of(process.pid) == 0.0


def test_the_threads_of_a_process_use_what_it_uses() -> None:
    spin = f"def spin():\n    {_SPIN}\n"
    code = f"import threading\n{spin}threading.Thread(target=spin).start()\nspin()"
    with child_of_ours(code) as process:
        eventually(lambda: sum(process.cpu_times()[:2]) > 0.5, "some processor time")
        process.suspend()
        eventually(lambda: process.status() == psutil.STATUS_STOPPED, "its standstill")
        threads = threads_of([process.pid])
        assert {thread.id for thread in threads} == {one.id for one in process.threads()}
        assert len(threads) == 2
        assert abs(sum(one.seconds for one in threads) - sum(process.cpu_times()[:2])) < 0.03
    assert threads_of([process.pid]) == []


def are_alike(pss: int, process: psutil.Process) -> bool:
    return bool(abs(pss - process.memory_full_info().pss) < 0.05 * pss)


def test_the_memory_of_processes_is_what_psutil_finds() -> None:
    with child_of_ours(f"import numpy\n{_SPIN}") as process:
        eventually(lambda: sum(process.cpu_times()[:2]) > 0.5, "some processor time")
        process.suspend()
        # Its share of what it has in common with others is another when one of them begins or ends.
        eventually(lambda: are_alike(pss_of([process.pid]), process), "the same")
    assert pss_of([process.pid]) == 0


def test_a_stranger_s_work_is_told_from_one_s_own() -> None:
    with spinning_stranger() as pid, OtherWork() as others:
        assert pid not in family(os.getpid())
        theirs = psutil.Process(pid)
        before = sum(theirs.cpu_times()[:2])
        eventually(lambda: sum(theirs.cpu_times()[:2]) > before + 0.5, "half a second of theirs")
    assert others.share > QUIET


def test_the_work_of_ones_own_processes_is_not_that_of_others() -> None:
    with child_of_ours(_SPIN) as child:
        eventually(lambda: child.cpu_times().user > 0.1, "its start")
        machine, ours = psutil.cpu_times(), sum(child.cpu_times()[:2])
        with OtherWork() as others:
            eventually(lambda: sum(child.cpu_times()[:2]) > ours + 1, "a second of ours")
        spent = [after - before for before, after in zip(machine, psutil.cpu_times(), strict=True)]
        used = sum(child.cpu_times()[:2]) - ours
    whole = sum(spent)
    idle = spent[machine._fields.index("idle")] + spent[machine._fields.index("iowait")]
    # Had it been counted with the others', their share would be greater by its own.
    own = used / whole
    assert others.share == pytest.approx(1 - idle / whole - own, abs=own / 2)
