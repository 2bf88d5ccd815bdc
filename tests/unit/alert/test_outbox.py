"""Events wait on disk until every sink has been told, whatever dies and whatever fills up."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
import structlog

from streamline.alert.outbox import Outbox, Posted
from streamline.errors import InputError
from tests.support.disks import files_no_longer_than, require_disk, small_disk

SINKS = ("log", "hook")


def events(first: int, count: int) -> list[Posted]:
    return [Posted(f"left-1-{n}", "new", b"%d" % n) for n in range(first, first + count)]


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
        "    box.post([Posted(f'a-{n}', 'new', b'%d' % n)]); print(n, flush=True)\n"
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


def test_somebody_else_s_file_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("version: 1\n")
    with pytest.raises(InputError, match=r"it is a file of something else\); set alert\.outbox"):
        Outbox(path, SINKS, max_events=100)
    assert path.read_text() == "version: 1\n"


@pytest.mark.parametrize("left", [bytes(8192), b"SQLite format 3\0" + b"rubbish" * 1000])
def test_a_file_that_a_disk_has_lost_is_put_aside(path: Path, left: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(left)
    with structlog.testing.capture_logs() as logs:
        outbox = Outbox(path, SINKS, max_events=100)
    outbox.post(events(0, 1))
    assert bodies(outbox, "log") == [0]
    outbox.close()
    assert Path(logs[-1]["kept"]).read_bytes() == left


@pytest.mark.parametrize("patient", [False, True])
def test_a_disk_that_has_lost_a_file_and_takes_none_is_told_as_such(
    path: Path, *, patient: bool
) -> None:
    path.parent.mkdir()
    path.write_bytes(bytes(8192))
    with files_no_longer_than(100), structlog.testing.capture_logs():
        if patient:
            outbox = Outbox(path, SINKS, max_events=100, patient=True)
        else:
            with pytest.raises(InputError, match=r"\(.+\); set alert\.outbox\.path"):
                Outbox(path, SINKS, max_events=100)
            return
    outbox.post(events(0, 1))
    assert bodies(outbox, "log") == [0]
    outbox.close()


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
path, spare, first, patient = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
box = Outbox(path, ["log", "hook"], max_events=100, spare=spare, patient=bool(patient))
box.post(Posted(f"left-1-{n}", "new", b"%d" % n) for n in range(first, first + 5))
box.tell("log", box.next("log")[2].number)
os.kill(os.getpid(), signal.SIGKILL)
"""


def be_killed(path: Path, spare: Path, first: int, *patient: str) -> None:
    """Post five events, tell one sink of three, and die."""
    command = [sys.executable, "-c", KILLED, str(path), str(spare), str(first), *patient]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL


def test_alerts_outlive_processes_that_die_one_after_the_other_on_a_disk_turned_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamline.alert.outbox._RETRY_NS", 0)
    require_disk(tmp_path / "probe")
    spare = tmp_path / "memory" / "spare"
    spare.parent.mkdir()
    with small_disk(tmp_path / "disk", megabytes=4) as disk:
        path = disk.folder / "outbox.db"
        be_killed(path, spare, 0)
        with disk.read_only():
            with pytest.raises(InputError, match=r"set alert\.outbox\.path to another file$"):
                Outbox(path, SINKS, max_events=100)
            be_killed(path, spare, 5, "patient")
            with structlog.testing.capture_logs() as logs:
                outbox = Outbox(path, SINKS, max_events=100, spare=spare, patient=True)
            assert [line["event"] for line in logs] == ["alerts can't be stored, wait in memory"]
            assert not is_durable(outbox)
            assert outbox.outlives_process
            assert bodies(outbox, "log") == [6, 7, 8, 9]
            outbox.post(events(9, 3))
            outbox.look_after()
            assert not is_durable(outbox)
            outbox.tell("hook", outbox.next("hook")[1].number)
        outbox.look_after()
        assert is_durable(outbox)
        assert not list(spare.parent.iterdir())
        outbox.close()
        again = Outbox(path, SINKS, max_events=100)
        assert bodies(again, "log") == list(range(6, 12))
        assert bodies(again, "hook") == list(range(2, 12))
        again.close()


def test_what_was_left_in_memory_goes_to_a_disk_that_serves_again(tmp_path: Path) -> None:
    require_disk(tmp_path / "probe")
    spare = tmp_path / "spare"
    with small_disk(tmp_path / "disk", megabytes=4) as disk:
        path = disk.folder / "outbox.db"
        be_killed(path, spare, 0)
        with disk.read_only():
            be_killed(path, spare, 5, "patient")
        outbox = Outbox(path, SINKS, max_events=100, spare=spare)
        assert is_durable(outbox)
        assert not spare.exists()
        assert bodies(outbox, "log") == [6, 7, 8, 9]
        outbox.close()


def test_what_was_left_in_memory_long_ago_is_added_to_a_file_that_went_on_without_it(
    tmp_path: Path,
) -> None:
    """As where a line was started with another private folder meanwhile."""
    path, spare = tmp_path / "outbox.db", tmp_path / "spare"
    first = Outbox(spare, SINKS, max_events=100)
    first.post(events(0, 2))
    first.close()
    between = Outbox(path, SINKS, max_events=100)
    between.post(events(1, 4))
    between.tell("log", between.next("log")[-1].number)
    between.close()
    again = Outbox(path, SINKS, max_events=100, spare=spare)
    assert is_durable(again)
    assert not spare.exists()
    assert bodies(again, "hook") == [1, 2, 3, 4, 0]
    assert bodies(again, "log") == [0]
    again.close()


def test_a_disk_that_is_gone_costs_what_was_on_it_and_no_alert_that_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamline.alert.outbox._RETRY_NS", 0)
    folder = tmp_path / "state"
    folder.write_text("no folder")
    with structlog.testing.capture_logs() as logs:
        outbox = Outbox(
            folder / "outbox.db", SINKS, max_events=100, spare=tmp_path / "spare", patient=True
        )
    assert logs[0]["event"] == "alerts can't be stored, wait in memory"
    outbox.post(events(0, 2))
    assert (is_durable(outbox), bodies(outbox, "hook")) == (False, [0, 1])
    folder.unlink()
    outbox.post(events(2, 1))
    assert (is_durable(outbox), bodies(outbox, "hook")) == (True, [0, 1, 2])
    outbox.close()


def test_a_log_that_was_left_of_a_spare_file_is_not_taken_for_the_next_one_s(
    tmp_path: Path,
) -> None:
    spare = tmp_path / "memory" / "spare"
    be_killed(spare, spare, 0)
    spare.unlink()
    assert spare.with_name("spare-wal").stat().st_size > 0
    (tmp_path / "state").write_text("no folder")
    with structlog.testing.capture_logs():
        outbox = Outbox(
            tmp_path / "state" / "outbox.db", SINKS, max_events=100, spare=spare, patient=True
        )
    outbox.post(events(7, 1))
    assert outbox.outlives_process
    assert bodies(outbox, "hook") == [7]
    outbox.close()


def test_a_spare_file_that_is_full_costs_nothing_while_the_process_lives(path: Path) -> None:
    spare = path.parent.with_name("spare")
    outbox = Outbox(path, SINKS, max_events=100_000, spare=spare)
    outbox.post([Posted("first", "new", b"0")])
    path.parent.rename(path.parent.with_name("gone"))
    path.parent.write_text("no folder")
    with files_no_longer_than(4096), structlog.testing.capture_logs():
        outbox.post([Posted("second", "new", b"1")])
    assert (is_durable(outbox), outbox.outlives_process) == (False, False)  # The limit is of both.
    outbox.close()


def test_a_spare_file_takes_no_more_memory_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamline.alert.outbox_file.SPARE_BYTES", 1 << 20)
    (tmp_path / "state").write_text("no folder")
    path, spare = tmp_path / "state" / "outbox.db", tmp_path / "spare"
    outbox = Outbox(path, SINKS, max_events=100_000, spare=spare, patient=True)
    outlived = []
    with structlog.testing.capture_logs() as logs:
        for first in range(0, 500, 50):
            outbox.post(Posted(f"a-{n}", "new", b"x" * 4000) for n in range(first, first + 50))
            outlived.append(outbox.outlives_process)
            assert spare.stat().st_size <= 1 << 20
    assert outlived[0]
    assert not outlived[-1]
    assert [line["event"] for line in logs] == [
        "alerts that wait in memory no longer outlive this process"
    ]
    assert len(outbox.next("log", limit=1000)) == outbox.waiting("log") == 500
    outbox.close()


def test_whatever_is_posted_told_and_discarded_as_many_wait_as_can_be_had(path: Path) -> None:
    chance = random.Random(1)  # noqa: S311 - the same again from one seed
    outbox = Outbox(path, SINKS, max_events=30)
    for _ in range(300):
        first, count = chance.randrange(1000), chance.randrange(12)
        outbox.post(events(first, count) + events(first, count))
        sink = chance.choice(SINKS)
        if chance.random() < 0.4 and (found := outbox.next(sink, limit=chance.randrange(1, 20))):
            outbox.tell(sink, found[-1].number)
        for name in SINKS:
            assert outbox.waiting(name) == len(outbox.next(name, limit=1000)) <= 30
    assert outbox.discarded("log") > 0
    outbox.close()


def test_the_file_stays_small_when_nobody_is_told(path: Path) -> None:
    outbox = Outbox(path, SINKS, max_events=100)
    with structlog.testing.capture_logs():
        for first in range(0, 20_000, 1000):
            outbox.post(events(first, 1000))
    assert outbox.waiting("hook") == 100
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)):
        outbox.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM events").fetchone()[0] <= 8192 + 100


def test_who_asks_what_waits_does_not_wait_for_who_writes(outbox: Outbox) -> None:
    outbox.post(events(0, 3))
    with outbox._lock:
        assert (outbox.waiting("log"), outbox.discarded("log"), outbox.durable) == (3, 0, True)


def test_whatever_page_of_the_file_is_damaged_the_next_start_takes_alerts(path: Path) -> None:
    outbox = Outbox(path, SINKS, max_events=10_000)
    outbox.post([Posted(f"big-{n}", "new", b"x" * 900) for n in range(40)])
    outbox.close()
    sound = path.read_bytes()
    for page in range(0, len(sound), 4096):
        for other in path.parent.iterdir():
            other.unlink()
        path.write_bytes(sound[:page] + bytes(4096) + sound[page + 4096 :])
        with structlog.testing.capture_logs():
            again = Outbox(path, SINKS, max_events=10_000)
            again.post(events(0, 1))
            left = again.next("hook", limit=1000)
            assert left[-1].body == b"0"
            # A page of events costs those on it, one of what is looked up by costs none.
            waited = 40 if again.discarded("hook") or len(left) > 1 else 0
            assert len(left) - 1 + again.discarded("hook") == waited
            again.close()


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
    outbox.post([Posted(f"big-{n}", "new", b"x" * 4000) for n in range(1000)])
    held = outbox.next("hook", limit=300)[-1].number
    for part in path.parent.iterdir():
        part.write_bytes(b"SQLite format 3\0" + b"rubbish" * (part.stat().st_size // 7))
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
