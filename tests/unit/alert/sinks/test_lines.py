"""Files that alert events go to: appended, whole lines, from several processes at once."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from streamline.alert.sinks import CutShortError, JsonLines
from streamline.errors import InputError
from tests.support.disks import breaking_disk, files_no_longer_than, require_disk, small_disk


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


def test_a_file_that_was_renamed_is_followed_by_a_fresh_one(tmp_path: Path) -> None:
    path, old = tmp_path / "alerts.jsonl", tmp_path / "alerts.jsonl.1"
    sink = JsonLines(path)
    for n in (1, 2):
        sink.deliver("a", b'{"n":%d}' % n)
        path.rename(old)
        assert old.read_bytes() == b'{"n":%d}\n' % n
    sink.close()
    assert not path.exists()


def test_a_file_that_another_put_in_its_place_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    sink = JsonLines(path)
    (tmp_path / "new").write_bytes(b"{}\n")
    (tmp_path / "new").rename(path)
    sink.write([b'{"n":1}', b'{"n":2}'])
    sink.close()
    assert path.read_bytes() == b'{}\n{"n":1}\n{"n":2}\n'


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a" / "alerts.jsonl"
    sink = JsonLines(path)
    sink.deliver("a", b'{"n":1}')
    shutil.rmtree(path.parent)
    sink.deliver("a", b'{"n":2}')
    sink.close()
    assert path.read_bytes() == b'{"n":2}\n'


def test_a_place_that_can_t_be_written_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "a" / "alerts.jsonl"
    sink = JsonLines(path)
    shutil.rmtree(path.parent)
    path.parent.write_text("no folder")
    for _ in range(2):
        with pytest.raises(InputError, match=rf"^{path}: can't be written"):
            sink.deliver("a", b'{"n":1}')
    path.parent.unlink()
    sink.deliver("a", b'{"n":1}')
    sink.close()
    assert path.read_bytes() == b'{"n":1}\n'


def test_a_disk_that_was_away_is_written_again(tmp_path: Path) -> None:
    require_disk(tmp_path / "probe")
    folder = tmp_path / "disk"
    path = folder / "alerts.jsonl"
    with small_disk(folder, megabytes=1):
        sink = JsonLines(path)
        sink.deliver("a", b'{"n":1}')
    folder.rmdir()
    with small_disk(folder, megabytes=1):
        sink.deliver("a", b'{"n":2}')
        assert path.read_bytes() == b'{"n":2}\n'
        sink.close()


def test_a_descriptor_that_is_broken_is_not_used_again(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    sink = JsonLines(path)
    (broken,) = [int(one.name) for one in Path("/proc/self/fd").iterdir() if one.resolve() == path]
    reading = os.open(path, os.O_RDONLY)
    os.dup2(reading, broken)
    os.close(reading)
    with pytest.raises(CutShortError):
        sink.deliver("a", b"{}")
    sink.deliver("a", b"{}")
    sink.close()
    assert path.read_bytes() == b"{}\n"


def test_what_was_delivered_outlives_a_power_cut(tmp_path: Path) -> None:
    require_disk(tmp_path / "probe", breaks=True)
    with breaking_disk(tmp_path / "disk", megabytes=8) as disk:
        sink = JsonLines(disk.folder / "alerts.jsonl")
        sink.deliver("a", b'{"n":1}')
        sink.settle()
        with disk.after_a_power_cut(tmp_path / "later") as later:
            assert (later / "alerts.jsonl").read_bytes() == b'{"n":1}\n'
        sink.close()


def test_what_a_disk_has_not_taken_for_good_is_not_settled(tmp_path: Path) -> None:
    require_disk(tmp_path / "probe", breaks=True)
    with breaking_disk(tmp_path / "disk", megabytes=8) as disk:
        sink = JsonLines(disk.folder / "alerts.jsonl")
        sink.deliver("a", b'{"n":1}')
        disk.fail()
        for _ in range(2):
            with pytest.raises(OSError, match=r"Read-only|Input/output|is lost"):
                sink.settle()
        sink.close()


def test_what_a_disk_lost_that_was_then_taken_away_is_not_settled(tmp_path: Path) -> None:
    require_disk(tmp_path / "probe", breaks=True)
    path = tmp_path / "disk" / "alerts.jsonl"
    with breaking_disk(path.parent, megabytes=8) as disk:
        sink = JsonLines(path)
        sink.deliver("a", b'{"n":1}')
        disk.fail()
    sink.deliver("b", b'{"n":2}')
    with pytest.raises(OSError, match="is lost"):
        sink.settle()
    for event in (b'{"n":1}', b'{"n":2}'):
        sink.deliver("again", event)
    sink.settle()
    sink.close()
    assert path.read_text() == '{"n":2}\n{"n":1}\n{"n":2}\n'


def test_what_a_full_disk_has_taken_is_settled_and_not_written_again(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "alerts.jsonl")
    with files_no_longer_than(20):
        sink.deliver("a", b'{"n":1}')
        sink.deliver("b", b'{"n":2}')
        with pytest.raises(CutShortError):
            sink.deliver("c", b'{"n":3}')
        sink.settle()
    sink.deliver("c", b'{"n":3}')
    sink.settle()
    sink.close()
    assert (tmp_path / "alerts.jsonl").read_text() == '{"n":1}\n{"n":2}\n{"n":3}\n'
