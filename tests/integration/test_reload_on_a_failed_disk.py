"""A line whose disk fails goes back to its file, on that disk, from one that can't be started."""

import json
import os
import signal
import socket
from pathlib import Path

from tests.support.disks import breaking_disk, require_disk
from tests.support.line import RunningLine, eventually, json_lines


def write(path: Path, model: Path, folder: Path, port: int) -> None:
    """A line that writes to a folder, and shows figures at a port."""
    camera = {"source": {"type": "demo", "part": "inspect", "pace": 10, "loop": True}}
    content = {
        "version": 1,
        "model": str(model),
        "cameras": {"left": camera},
        "alert": {
            "sinks": [{"type": "jsonl", "path": str(folder / "alerts.jsonl")}],
            "outbox": {"path": str(folder / "outbox.db")},
        },
        "record": {"verdicts": str(folder / "verdicts.jsonl")},
        "metrics": {"port": port},
    }
    path.write_text(json.dumps(content))


def test_a_line_goes_back_to_its_file_though_its_disk_has_failed(
    tmp_path: Path, demo_model: Path
) -> None:
    require_disk(tmp_path / "probe", breaks=True)
    path, verdicts = tmp_path / "line.yaml", tmp_path / "disk" / "verdicts.jsonl"
    with breaking_disk(verdicts.parent, megabytes=8) as disk, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        write(path, demo_model, disk.folder, 0)
        with RunningLine(path, tmp_path) as line:
            line.await_ready()
            eventually(lambda: bool(json_lines(verdicts)), "frames are judged")
            disk.fail()
            write(path, demo_model, tmp_path / "elsewhere", taken.getsockname()[1])
            os.kill(line.pid, signal.SIGHUP)
            refused = "the new pipeline file is refused, the line goes on as before"
            eventually(lambda: refused in line.log, "the new file is refused")
            eventually(lambda: "log can't be written" in line.log.partition(refused)[2], "it runs")
            line.stop()
            assert line.wait() == 0, line.log
        assert sum(line.report()["cameras"]["left"]["judged"].values()) > 0
