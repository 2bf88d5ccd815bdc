"""A line as a service manager runs it: up, well, reloaded, stopped."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.line import RunningLine, eventually, json_lines, streamline
from tests.support.manager import Listener
from tests.support.ports import free_port


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """It listens in the abstract namespace, and ends who is silent for ten seconds."""
    with Listener(f"@streamline-{uuid4()}") as listener:
        monkeypatch.setenv("NOTIFY_SOCKET", listener.address)
        monkeypatch.setenv("WATCHDOG_USEC", "10000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield listener


def write_line(path: Path, model: Path, cameras: dict[str, int], port: int) -> None:
    """Rendered cameras by name, each with its frames a second."""
    content: dict[str, Any] = {
        "version": 1,
        "model": str(model),
        "cameras": {
            name: {"source": {"type": "demo", "part": "inspect", "pace": rate, "loop": True}}
            for name, rate in cameras.items()
        },
        "record": {"verdicts": "verdicts.jsonl", "evidence": "evidence", "audit": "audit"},
        "metrics": {"port": port},
    }
    path.write_text(json.dumps(content))


def reload(line: RunningLine, manager: Listener) -> str:
    """Let the line read its file again; return what its manager is told in the end."""
    seen = len(manager.heard)
    os.kill(line.pid, signal.SIGHUP)
    seen = manager.await_message(lambda one: one[0] == "RELOADING=1", "it reads", seen)
    manager.await_message(lambda one: one[0] == "READY=1", "it goes on", seen)
    return manager.status()


def refuse_files(line: RunningLine, manager: Listener, path: Path, model: Path) -> None:
    """Have a line read what is wrong, then what looks right and can't be started."""
    path.write_text(path.read_text().replace('"version": 1', '"version": 1, "colour": 3'))
    status = reload(line, manager)
    assert "new pipeline file refused" in status
    assert "colour" in status
    assert line.metric("streamline_reload_refused") == 1
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        write_line(path, model, {"left": 10}, taken.getsockname()[1])
        assert "can't listen" in reload(line, manager)
    assert line.log.count("is refused, the line goes on as before") == 2
    # One judged camera makes a line that has come back ready; another may take longer to open.
    eventually(
        lambda: line.metric("streamline_camera_state", camera="right", state="ok") == 1,
        "right is seen again",
    )


def test_a_line_is_up_reloaded_and_ended_as_its_manager_asks_and_counts_all_along(
    tmp_path: Path, demo_model: Path, manager: Listener
) -> None:
    path, port = tmp_path / "line.yaml", free_port()
    write_line(path, demo_model, {"left": 10, "right": 10}, port)
    with RunningLine(path, tmp_path) as line:
        line.await_ready()
        manager.await_message(lambda one: one[0] == "READY=1", "the line is up")
        judged = "streamline_frames_judged_total"
        frames = [value for (name, _), value in line.metrics().items() if name == judged]
        assert sum(frames) > 0, "a frame was judged before"
        manager.await_message(lambda one: one == ["WATCHDOG=1"], "it gets on")
        refuse_files(line, manager, path, demo_model)
        before = line.metrics()
        write_line(path, demo_model, {"left": 10, "gate": 10}, port)
        assert "refused" not in reload(line, manager)
        after = line.metrics()
        assert after["streamline_reload_refused", frozenset()] == 0
        assert {dict(labels).get("camera") for _, labels in after} == {None, "left", "gate"}
        for (name, labels), value in before.items():
            if name.endswith("_total") and dict(labels).get("camera") == "left":
                assert after[name, labels] >= value, (name, labels)
        line.stop()
        assert line.wait() == 0, line.log
    manager.await_message(lambda one: one[0] == "STOPPING=1", "it ends")
    require_that_nothing_is_lost(line, tmp_path)


def test_a_part_that_gives_no_verdicts_gets_on_while_its_frames_leave(
    tmp_path: Path, demo_model: Path, manager: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "line.yaml"
    write_line(path, demo_model, {"left": 10}, free_port())
    content = json.loads(path.read_text())
    content["links"] = {"prepared": f"tcp://127.0.0.1:{free_port()}", "scores": "inproc"}
    path.write_text(json.dumps(content))
    with RunningLine(path, tmp_path, stage="source") as source:
        manager.await_message(lambda one: one[0].startswith("STATUS="), "it says how it is")
        eventually(lambda: "no answer from other parts of the line" in source.log, "it wonders")
        monkeypatch.delenv("NOTIFY_SOCKET")
        with RunningLine(path, tmp_path, stage="infer"):
            source.await_ready()
            seen = manager.await_message(lambda one: one[0] == "READY=1", "frames leave it")
            # For longer than a line that judges nothing is borne with.
            for _ in range(6):
                seen = manager.await_message(lambda one: one == ["WATCHDOG=1"], "it goes on", seen)
    assert "not judged" not in manager.status()


def require_that_nothing_is_lost(line: RunningLine, folder: Path) -> None:
    """Hold the report, the log of verdicts and the audit records against each other."""
    cameras = line.report()["cameras"]
    assert cameras.keys() == {"left", "right", "gate"}
    written = json_lines(folder / "verdicts.jsonl")
    for name, camera in cameras.items():
        assert camera["in_flight"] == 0
        ids = [(one["incarnation"], one["seq"]) for one in written if one["camera"] == name]
        assert sum(camera["judged"].values()) == len(ids) == len(set(ids))
    # Each configuration has a record of its own: before and after the one that never came to run,
    # and the last.
    runs = sorted((folder / "audit").iterdir())
    ended = [run for run in runs if '"ended"' in (run / "line.jsonl").read_text()]
    assert len(ended) == 3
    for run in ended:
        verified = streamline("verify", run)
        assert verified.returncode == 0, verified.stdout + verified.stderr
