"""Files that alert events go to: appended, whole lines, from several processes at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from streamline.alert.sinks import CutShortError, JsonLines
from streamline.errors import InputError
from tests.support.disks import files_no_longer_than


def test_each_event_becomes_one_line_in_order(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "alerts.jsonl")
    sink.deliver("a", b'{"n":1}')
    sink.deliver("b", b'{"n":2}')
    sink.close()
    assert (tmp_path / "alerts.jsonl").read_bytes() == b'{"n":1}\n{"n":2}\n'


def test_a_delivered_event_is_in_the_file_before_it_is_closed(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "alerts.jsonl")
    sink.deliver("a", b"{}")
    assert (tmp_path / "alerts.jsonl").read_bytes() == b"{}\n"
    sink.close()


def test_what_the_file_held_before_stays(tmp_path: Path) -> None:
    for text in (b"1", b"2"):
        sink = JsonLines(tmp_path / "alerts.jsonl")
        sink.deliver("a", text)
        sink.close()
    assert (tmp_path / "alerts.jsonl").read_bytes() == b"1\n2\n"


def test_missing_folders_are_made(tmp_path: Path) -> None:
    JsonLines(tmp_path / "a" / "b" / "alerts.jsonl").close()
    assert (tmp_path / "a" / "b" / "alerts.jsonl").exists()


def test_processes_that_write_at_once_never_tear_a_line(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from streamline.alert.sinks import JsonLines\n"
        "sink = JsonLines(Path(sys.argv[1]))\n"
        "sys.stdin.read()\n"
        "for n in range(300):\n"
        '    sink.deliver(\'a\', b\'{"who":%s,"n":%d,"fill":"%s"}\'\n'
        "                 % (sys.argv[2].encode(), n, b'x' * 3000))\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(who)], stdin=subprocess.PIPE)
        for who in range(3)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    for who in range(3):
        assert [e["n"] for e in events if e["who"] == who] == list(range(300))
    assert len(events) == 900


def test_a_path_that_can_not_be_written_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "alerts.jsonl"):
        with pytest.raises(InputError, match=rf"^{path}: can't be written \(.+\); give another"):
            JsonLines(path)


def test_a_full_disk_is_an_os_error_for_the_caller_to_count() -> None:
    sink = JsonLines(Path("/dev/full"))
    with pytest.raises(OSError, match="No space left"):
        sink.deliver("a", b"{}")
    sink.close()


def test_what_a_full_disk_takes_of_a_line_is_cut_off_again(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    sink = JsonLines(path)
    sink.deliver("a", b'{"n":1}')
    with files_no_longer_than(12):
        for _ in range(2):
            with pytest.raises(OSError, match="File too large"):
                sink.deliver("b", b'{"n":2}')
    sink.deliver("b", b'{"n":2}')
    sink.close()
    assert path.read_bytes() == b'{"n":1}\n{"n":2}\n'


def test_lines_that_a_full_disk_still_took_are_told_apart_from_those_that_are_lost(
    tmp_path: Path,
) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_bytes(b'{"n"')  # A killed writer's.
    sink = JsonLines(path)
    with files_no_longer_than(24), pytest.raises(CutShortError) as found:
        sink.write([b'{"n":%d}' % n for n in range(9)])
    sink.write([b"{}"])
    sink.close()
    assert found.value.taken == 2
    assert path.read_bytes() == b'{"n"\n{"n":0}\n{"n":1}\n{}\n'


def test_what_a_killed_writer_left_half_is_ended_first(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b'{"n":1}\n{"n"')
    sink = JsonLines(path)
    sink.deliver("b", b'{"n":2}')
    sink.deliver("c", b'{"n":3}')
    sink.close()
    assert path.read_bytes() == b'{"n":1}\n{"n"\n{"n":2}\n{"n":3}\n'
