"""Events wait on disk until every sink has been told, whatever dies and whatever fills up."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
import structlog

from streamline.alert.outbox import Outbox, Posted
from streamline.errors import InputError
from tests.support.disks import files_no_longer_than, require_disk, small_disk

SINKS = ("log", "hook")


def events(first: int, count: int) -> list[Posted]:
    return [Posted(f"left-1-{n}", "begin", b"%d" % n) for n in range(first, first + count)]


def bodies(outbox: Outbox, sink: str, limit: int = 10_000) -> list[int]:
    return [int(event.body) for event in outbox.next(sink, limit=limit)]


def is_durable(outbox: Outbox) -> bool:
    return outbox.durable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    outbox = Outbox(path, SINKS, max_events=100)
    yield outbox
    outbox.close()


def test_each_sink_is_told_everything_in_order_at_its_own_pace(outbox: Outbox) -> None:
    outbox.post(events(0, 5))
    assert bodies(outbox, "log", 3) == [0, 1, 2]
    outbox.tell("log", outbox.next("log")[2].number)
    assert bodies(outbox, "log") == [3, 4]
    assert bodies(outbox, "hook") == [0, 1, 2, 3, 4]
    assert (outbox.waiting("log"), outbox.waiting("hook")) == (2, 5)


def test_what_waits_outlives_the_process(path: Path) -> None:
    first = Outbox(path, SINKS, max_events=100)
    first.post(events(0, 3))
    first.tell("log", first.next("log")[1].number)
    first.close()
    again = Outbox(path, SINKS, max_events=100)
    assert bodies(again, "log") == [2]
    assert bodies(again, "hook") == [0, 1, 2]
    again.close()


def test_what_was_posted_is_there_after_a_kill(path: Path) -> None:
    """The process is killed between two posts, as often as it says that one is done."""
    code = (
        "import sys; from pathlib import Path; from streamline.alert.outbox import Outbox, Posted\n"
        "box = Outbox(Path(sys.argv[1]), ['hook'], max_events=10**6)\n"
        "for n in range(10**6):\n"
        "    box.post([Posted(f'a-{n}', 'begin', b'%d' % n)]); print(n, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 200:
                break
        process.send_signal(signal.SIGKILL)
        last = [200, *map(int, process.stdout)][-1]
    again = Outbox(path, ["hook"], max_events=10**6)
    found = bodies(again, "hook")
    assert found[: last + 1] == list(range(last + 1))
    assert len(found) <= last + 2
    again.close()


def test_an_event_that_is_posted_again_is_told_once(outbox: Outbox) -> None:
    outbox.post(events(0, 3))
    for sink in SINKS:
        outbox.tell(sink, outbox.next(sink)[-1].number)
    outbox.post(events(2, 2))
    assert bodies(outbox, "log") == [3]


def test_too_many_push_out_the_oldest_and_say_so(outbox: Outbox) -> None:
    with structlog.testing.capture_logs() as logs:
        outbox.post(events(0, 90))
        outbox.tell("log", outbox.next("log", limit=90)[-1].number)
        outbox.post(events(90, 30))
    assert bodies(outbox, "hook") == list(range(20, 120))
    assert (outbox.discarded("hook"), outbox.discarded("log")) == (20, 0)
    assert bodies(outbox, "log") == list(range(90, 120))
    assert [(line["sink"], line["events"]) for line in logs] == [("hook", 20)]


def test_the_file_stays_small(path: Path) -> None:
    outbox = Outbox(path, SINKS, max_events=100)
    for first in range(0, 40_000, 100):
        outbox.post(events(first, 100))
        for sink in SINKS:
            outbox.tell(sink, outbox.next(sink, limit=100)[-1].number)
    outbox.post(events(40_000, 1))
    outbox.close()
    with sqlite3.connect(path) as db:
        (rows,) = db.execute("SELECT count(*) FROM events").fetchone()
    db.close()
    assert 8000 < rows <= 8193


def test_a_file_in_which_nothing_waits_is_removed_at_the_end(path: Path) -> None:
    outbox = Outbox(path, SINKS, max_events=100)
    outbox.post(events(0, 1))
    for sink in SINKS:
        outbox.tell(sink, outbox.next(sink)[-1].number)
    outbox.close()
    assert not list(path.parent.iterdir())


def test_a_new_sink_is_told_what_comes_and_a_lost_one_is_mentioned(path: Path) -> None:
    first = Outbox(path, ["hook"], max_events=100)
    first.post(events(0, 4))
    first.close()
    with structlog.testing.capture_logs() as logs:
        second = Outbox(path, ["log"], max_events=100)
    assert [(line["sink"], line["events"]) for line in logs] == [("hook", 4)]
    assert bodies(second, "log") == []
    second.post(events(4, 1))
    assert bodies(second, "log") == [4]
    second.close()


def test_a_file_in_use_is_refused_with_the_cure(path: Path, outbox: Outbox) -> None:
    with pytest.raises(InputError, match=r"another line uses it\); set alert\.outbox\.path"):
        Outbox(path, SINKS, max_events=100)
    outbox.post(events(0, 1))
    assert bodies(outbox, "log") == [0]


def test_a_file_that_is_none_is_put_aside(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all, whatever it is called" * 100)
    with structlog.testing.capture_logs() as logs:
        outbox = Outbox(path, SINKS, max_events=100)
    outbox.post(events(0, 1))
    assert bodies(outbox, "log") == [0]
    outbox.close()
    assert Path(logs[-1]["kept"]).read_bytes().startswith(b"no database")


def test_a_newer_file_is_refused(path: Path) -> None:
    older = Outbox(path, SINKS, max_events=100)
    older.post(events(0, 1))
    older.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(InputError, match="it is of version 9, not 1"):
        Outbox(path, SINKS, max_events=100)


def test_a_full_disk_costs_nothing_while_the_process_lives(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamline.alert.outbox._RETRY_NS", 0)
    outbox = Outbox(path, SINKS, max_events=10_000)
    outbox.post(events(0, 2))
    outbox.tell("log", outbox.next("log")[0].number)
    with files_no_longer_than(4096):
        with structlog.testing.capture_logs() as logs:
            outbox.post(events(2, 500))
        assert not is_durable(outbox)
        assert [line["event"] for line in logs] == ["alerts can't be stored, wait in memory"]
        assert bodies(outbox, "log") == list(range(1, 502))
        assert bodies(outbox, "hook") == list(range(502))
        outbox.tell("log", outbox.next("log", limit=10)[-1].number)
    outbox.post(events(502, 1))
    assert is_durable(outbox)
    outbox.close()
    again = Outbox(path, SINKS, max_events=10_000)
    assert bodies(again, "log") == list(range(11, 503))
    assert bodies(again, "hook") == list(range(503))
    again.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from streamline.alert.outbox import Outbox, Posted
box = Outbox(Path(sys.argv[1]), ["log", "hook"], max_events=100)
box.post(Posted(f"left-1-{n}", "begin", b"%d" % n) for n in range(5))
box.tell("log", box.next("log")[2].number)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_on_a_disk_that_is_now_read_only_is_told_and_stored_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamline.alert.outbox._RETRY_NS", 0)
    require_disk(tmp_path / "probe")
    rescue = tmp_path / "rescue"
    rescue.mkdir()
    with small_disk(tmp_path / "disk", megabytes=4) as disk:
        path = disk.folder / "outbox.db"
        subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
        with disk.read_only():
            with pytest.raises(InputError, match=r"set alert\.outbox\.path to another file$"):
                Outbox(path, SINKS, max_events=100)
            with structlog.testing.capture_logs() as logs:
                outbox = Outbox(path, SINKS, max_events=100, rescue=rescue)
            assert [line["event"] for line in logs] == ["alerts can't be stored, wait in memory"]
            assert list(rescue.iterdir()) == []
            assert not is_durable(outbox)
            assert bodies(outbox, "log") == [3, 4]
            assert bodies(outbox, "hook") == [0, 1, 2, 3, 4]
            outbox.post(events(4, 3))
            assert not is_durable(outbox)
            outbox.tell("hook", outbox.next("hook")[1].number)
        outbox.post(events(7, 1))
        assert is_durable(outbox)
        outbox.close()
        again = Outbox(path, SINKS, max_events=100)
        assert bodies(again, "log") == [3, 4, 5, 6, 7]
        assert bodies(again, "hook") == [2, 3, 4, 5, 6, 7]
        again.close()


def test_a_disk_that_is_gone_costs_what_was_on_it_and_no_alert_that_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamline.alert.outbox._RETRY_NS", 0)
    folder = tmp_path / "state"
    folder.write_text("no folder")
    with structlog.testing.capture_logs() as logs:
        outbox = Outbox(folder / "outbox.db", SINKS, max_events=100, rescue=tmp_path)
    assert logs[0]["event"] == "alerts can't be stored, wait in memory"
    outbox.post(events(0, 2))
    assert (is_durable(outbox), bodies(outbox, "hook")) == (False, [0, 1])
    folder.unlink()
    outbox.post(events(2, 1))
    assert (is_durable(outbox), bodies(outbox, "hook")) == (True, [0, 1, 2])
    outbox.close()


def test_posts_and_tellings_of_several_threads_lose_nothing(outbox: Outbox) -> None:
    told: dict[str, list[int]] = {sink: [] for sink in SINKS}

    def tell(sink: str) -> None:
        seen = 0
        while len(told[sink]) < 300:
            seen = outbox.await_post(seen, 1.0)
            while batch := outbox.next(sink, limit=7):
                told[sink] += [int(event.body) for event in batch]
                outbox.tell(sink, batch[-1].number)

    threads = [Thread(target=tell, args=(sink,)) for sink in SINKS]
    for thread in threads:
        thread.start()
    for first in range(0, 300, 3):
        outbox.post(events(first, 3))
        while outbox.waiting("log") > 50 or outbox.waiting("hook") > 50:
            os.sched_yield()
    for thread in threads:
        thread.join(60)
    assert told == {sink: list(range(300)) for sink in SINKS}


def test_a_file_damaged_while_in_use_is_put_aside_and_the_next_alerts_arrive(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was in the file is gone; what comes is neither lost nor taken for told."""
    monkeypatch.setattr("streamline.alert.outbox._RETRY_NS", 0)
    outbox = Outbox(path, SINKS, max_events=10_000)
    outbox.post([Posted(f"big-{n}", "begin", b"x" * 4000) for n in range(1000)])
    held = outbox.next("hook", limit=300)[-1].number
    for part in path.parent.iterdir():
        part.write_bytes(b"rubbish" * (part.stat().st_size // 7))
    with structlog.testing.capture_logs() as logs:
        assert outbox.next("log", limit=1000) == []
    assert {line["event"] for line in logs} >= {"alerts that waited can't be read"}
    assert not is_durable(outbox)
    outbox.tell("hook", held)
    outbox.post(events(0, 5))
    assert is_durable(outbox)
    assert bodies(outbox, "hook") == bodies(outbox, "log") == list(range(5))
    outbox.close()
    assert any("damaged" in found.name for found in path.parent.iterdir())
    again = Outbox(path, SINKS, max_events=10_000)
    assert bodies(again, "hook") == list(range(5))
    again.close()
