"""Cameras that fail in every way, beside one that must not notice; all on real servers."""

import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamline.config import load
from streamline.run.control import Control, Phase
from streamline.run.stages.capture import Capture, Mailbox
from streamline.source import Reading
from tests.support.clips import annex_b, damage, encode, repeat
from tests.support.line import RunningLine, eventually, json_lines
from tests.support.rtsp_server import RtspServer
from tests.support.until import until


def write_pipeline(folder: Path, model: Path, cameras: Mapping[str, object]) -> Path:
    path = folder / "care.yaml"
    document = {
        "version": 1,
        "model": str(model),
        "cameras": cameras,
        "queue": {"policy": "drop_oldest", "depth": 512},
        "record": {"verdicts": str(folder / "verdicts.jsonl")},
        "drain_s": 120,  # What waits on a busy machine is judged all the same.
        "metrics": {"port": 0},
    }
    path.write_text(json.dumps(document))
    return path


def rtsp(url: str, **settings: object) -> dict[str, object]:
    """A camera that is waited for, however busy the machine is, unless told otherwise."""
    return {"type": "rtsp", "url": url, "open_timeout_s": 20, "read_timeout_s": 20, **settings}


@contextmanager
def silence() -> Iterator[str]:
    """A server that accepts every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"rtsp://127.0.0.1:{listener.getsockname()[1]}/stream"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for connection in held:
                connection.close()


@contextmanager
def closed_port() -> Iterator[str]:
    """An address where nothing listens, and nobody else will meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"rtsp://127.0.0.1:{bound.getsockname()[1]}/stream"


def troubles(log: str, camera: str) -> list[str]:
    """Reasons that the log told for a camera, in order."""
    told = [json.loads(text) for text in log.splitlines() if text.startswith("{")]
    return [e["reason"] for e in told if e.get("camera") == camera and "reason" in e]


def of(folder: Path, camera: str) -> list[dict[str, Any]]:
    return [v for v in json_lines(folder / "verdicts.jsonl") if v["camera"] == camera]


def test_cameras_that_fail_are_told_apart_and_leave_the_others_alone(
    real_clip: Path, real_model: Path, tmp_path: Path
) -> None:
    """Dead, unknown, silent, locked, and one that sends damaged pictures and then nothing."""
    long = repeat(real_clip, tmp_path / "long.mp4", seconds=120)
    torn = damage(long, tmp_path / "torn.mp4", every=20)
    reasons = {
        "dead": "refused",
        "nowhere": "dns",
        "silent": "timeout",
        "locked": "auth",
        "torn": "timeout",  # first stalled, then opened again without an answer
    }
    with (
        RtspServer(long) as steady,
        RtspServer(torn) as tearing,
        RtspServer(long, user="bob", password="right") as locked,  # noqa: S106
        closed_port() as dead,
        silence() as silent,
    ):
        cameras = {
            "steady": {"source": rtsp(steady.url)},
            "torn": {"source": rtsp(tearing.url, open_timeout_s=5, read_timeout_s=5)},
            "dead": {"source": rtsp(dead)},
            "nowhere": {"source": rtsp("rtsp://no-such-host.invalid/stream")},
            "silent": {"source": rtsp(silent, open_timeout_s=1)},
            "locked": {"source": rtsp(locked.url_for("bob", "wr0ng"))},
        }
        with RunningLine(write_pipeline(tmp_path, real_model, cameras), tmp_path) as line:
            line.await_ready()
            eventually(lambda: len(of(tmp_path, "torn")) > 60, "verdicts on damaged pictures")
            tearing.freeze()

            def are_down() -> bool:
                figures = line.metrics()
                name = "streamline_camera_down_reason"
                told = [frozenset({"camera": c, "reason": r}.items()) for c, r in reasons.items()]
                return all(figures[name, labels] == 1 for labels in told)

            eventually(are_down, "each is down for its own reason")
            seen = len(of(tmp_path, "steady"))
            eventually(lambda: len(of(tmp_path, "steady")) > seen + 100, "the line goes on")
            assert line.metric("streamline_camera_state", camera="steady", state="ok") == 1
            corrupt = line.metric("streamline_frames_corrupt_total", camera="torn")
            line.stop()
            assert line.wait() == 0, line.log
            figures, log = line.report()["cameras"], line.log
    for camera, reason in reasons.items():
        assert (figures[camera]["state"], figures[camera]["reason"]) == ("down", reason)
        assert troubles(log, camera) == (["stalled", reason] if camera == "torn" else [reason])
        assert figures[camera]["captured"] == (0 if camera != "torn" else len(of(tmp_path, "torn")))
    assert "wr0ng" not in log
    # The steady camera: every frame that its server sent was judged.
    assert (figures["steady"]["state"], figures["steady"]["reason"]) == ("ok", None)
    assert figures["steady"]["dropped"] == {}
    assert figures["steady"]["captured"] == sum(figures["steady"]["judged"].values())
    assert figures["steady"]["judged"]["unknown"] == 0
    steps = np.diff([v["pts_s"] for v in of(tmp_path, "steady")])
    assert steps.max() < 1.5 * np.median(steps)
    # The torn one: what was damaged was counted and not judged.
    unknown = [v for v in of(tmp_path, "torn") if v["verdict"] == "unknown"]
    assert {v["reason"] for v in unknown} == {"corrupt"}
    assert 0 < len(unknown) == corrupt


def ramp(folder: Path, name: str, *, width: int, height: int, frames: int) -> Path:
    """A clip of one size with some texture."""
    rng = np.random.default_rng(7)
    noise = rng.integers(0, 60, (height, width, 3), np.uint8)
    levels = (noise + np.uint8(30 + 4 * (n % 40)) for n in range(frames))
    return encode(levels, folder / name, rate=25)


def test_pictures_of_another_size_are_unknown_or_judged_as_configured(
    demo_model: Path, tmp_path: Path
) -> None:
    """The stream changes its size in the middle, and later back."""
    small = ramp(tmp_path, "small.mp4", width=128, height=96, frames=60)
    large = ramp(tmp_path, "large.mp4", width=160, height=128, frames=30)
    changing = annex_b([small, large, small], tmp_path / "changing.h264")
    with RtspServer(changing) as server:
        cameras = {
            "strict": {"source": rtsp(server.url)},
            "lenient": {"source": rtsp(server.url), "on_size_change": "accept"},
            "named": {"source": rtsp(server.url), "size": [160, 128]},
        }
        with RunningLine(write_pipeline(tmp_path, demo_model, cameras), tmp_path) as line:
            line.await_ready()
            eventually(lambda: all(len(of(tmp_path, name)) > 70 for name in cameras), "verdicts")
            eventually(lambda: len(of(tmp_path, "strict")) > 100, "verdicts on all sizes")
            assert line.metric("streamline_camera_state_seconds_total", camera="strict",
                               state="unusable") > 0  # fmt: skip
            line.stop()
            assert line.wait() == 0, line.log
            figures, log = line.report()["cameras"], line.log
    judged = {name: figures[name]["judged"] for name in cameras}
    assert judged["lenient"]["unknown"] == 0
    for name in ("strict", "named"):
        unknown = [v for v in of(tmp_path, name) if v["verdict"] == "unknown"]
        assert {v["reason"] for v in unknown} == {"shape"}
        assert 0 < len(unknown) < len(of(tmp_path, name))
    assert troubles(log, "strict").count("shape") == 1
    assert "160x128 instead of 128x96" in log


def test_a_camera_that_comes_back_with_another_size_is_not_open_until_it_is_right(
    tmp_path: Path,
) -> None:
    small = ramp(tmp_path, "small.mp4", width=128, height=96, frames=60)
    large = ramp(tmp_path, "large.mp4", width=160, height=128, frames=250)
    shown = Path(shutil.copy(small, tmp_path / "shown.mp4"))
    with (
        RtspServer(shown) as server,
        # So long it hopes that pictures of another size will pass.
        capturing(tmp_path, rtsp(server.url, open_timeout_s=3)) as (capture, taken),
    ):
        until(lambda: bool(taken()))
        server.stop()
        shutil.copy(large, shown)
        server.start()
        until(lambda: capture.state[:2] == ("down", "shape"), step=taken)
        server.stop()
        shutil.copy(small, shown)
        server.start()
        until(lambda: capture.state.state == "ok", step=taken)
        assert {reading.picture.width for reading in taken()} == {128}
        assert capture.reconnects == 1


def test_a_camera_may_be_opened_again_where_its_size_changes(tmp_path: Path) -> None:
    small = ramp(tmp_path, "small.mp4", width=128, height=96, frames=30)
    large = ramp(tmp_path, "large.mp4", width=160, height=128, frames=30)
    changing = annex_b([small, large], tmp_path / "changing.h264")
    with (
        RtspServer(changing) as server,
        capturing(tmp_path, rtsp(server.url), on_size_change="reopen") as (capture, taken),
    ):
        until(lambda: capture.state[:2] == ("down", "shape"), step=taken)
        until(lambda: capture.reconnects > 0, step=taken)
        assert {(r.picture.width, r.misshapen) for r in taken()} == {(128, False)}


@contextmanager
def capturing(
    folder: Path, source: dict[str, object], **settings: object
) -> Iterator[tuple[Capture, Callable[[], list[Reading]]]]:
    """Read a camera as a running line does; the function returns what came so far."""
    camera = {"source": source, **settings}
    file = folder / "one.yaml"
    file.write_text(json.dumps({"version": 1, "model": "m", "cameras": {"one": camera}}))
    Control.create(folder / "control")
    control = Control(folder / "control")
    control.enter(Phase.RUNNING)
    mailbox = Mailbox()
    capture = Capture(load(file).cameras["one"], control, mailbox)
    readings: list[Reading] = []

    def taken() -> list[Reading]:
        while (reading := mailbox.take()) is not None:
            readings.append(reading)
        return readings

    capture.start()
    try:
        yield capture, taken
    finally:
        capture.stop()
        capture.join(30)
    assert not capture.is_alive()
    mailbox.destroy()


def test_a_camera_without_a_way_to_it_is_unreachable(tmp_path: Path) -> None:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("no unshare or ip (apt-get install util-linux iproute2)")
    script = (
        "from pathlib import Path\n"
        "from streamline.errors import SourceError\n"
        "from streamline.source import open_source\n"
        "from streamline.config import parse_source\n"
        "for host in ('10.1.1.1', '192.0.2.1'):\n"
        "    try:\n"
        "        open_source(parse_source(f'rtsp://{host}/x', Path()))\n"
        "    except SourceError as exc:\n"
        "        print(exc.reason)\n"
    )
    (tmp_path / "try.py").write_text(script)
    # A network of its own: no route to one host, an unreachable network for the other.
    inside = f"ip route add unreachable 10.0.0.0/8; exec {sys.executable} {tmp_path / 'try.py'}"
    command = ["unshare", "--net", "--map-root-user", "sh", "-c", f"ip link set lo up; {inside}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if "unshare failed" in done.stderr:
        pytest.skip(f"no network namespaces here: {done.stderr.strip()}")
    assert done.stdout.split() == ["unreachable", "unreachable"], done.stderr
