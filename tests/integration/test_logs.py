"""What all processes of a running line write together, as a service's journal gets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.documents import ROOT

LEVELS = {"info": 6, "warning": 4, "error": 3}


def test_every_line_in_the_journal_is_one_event_with_its_level_and_camera(
    strict_model: Path, short_clip: Path, tmp_path: Path
) -> None:
    document = {
        "version": 1,
        "model": str(strict_model),
        "cameras": {"left": str(short_clip), "gone": "rtsp://bob:hush@127.0.0.1:9/stream"},
        "metrics": {"port": 0},
    }
    (tmp_path / "line.yaml").write_text(json.dumps(document))
    journal = tmp_path / "journal"
    with journal.open("wb") as file:
        there = os.fstat(file.fileno())
        subprocess.run(
            [sys.executable, "-m", "streamline", "run", tmp_path / "line.yaml", "--duration", "4"],
            stdout=subprocess.DEVNULL,
            stderr=file,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}",
            },
            timeout=110,
            check=True,
        )
    lines = journal.read_text().splitlines()
    events = [json.loads(line[3:]) for line in lines]
    assert [line[:3] for line in lines] == [f"<{LEVELS[one['level']]}>" for one in events]
    told = {(one["event"], one.get("camera")) for one in events}
    assert ("camera is down, trying again", "gone") in told
    assert ("alert begins", "left") in told
    begin = next(one for one in events if one["event"] == "alert begins")
    assert begin["id"].startswith("left-")
    ready = next(one for one in events if one["event"].startswith("the line is ready"))
    assert (ready["level"], ready["down"]) == ("warning", {"gone": "refused"})
    assert "hush" not in journal.read_text()
