"""Whole lines on a real RTSP server: learn from it, watch it, lose it, get it back."""

import json
import time
from pathlib import Path

from tests.support.clips import encode_images, repeat
from tests.support.line import RunningLine, eventually, json_lines, streamline
from tests.support.rtsp_server import RtspServer


def write_pipeline(folder: Path, url: str, model: Path) -> Path:
    path = folder / "rtsp.yaml"
    document = {
        "version": 1,
        "model": str(model),
        # On a busy machine no frame is late or lost.
        "cameras": {"belt": {"source": {"type": "rtsp", "url": url, "read_timeout_s": 20}}},
        "queue": {"policy": "drop_oldest", "depth": 512},
        "alert": {"sinks": [{"type": "jsonl", "path": str(folder / "alerts.jsonl")}]},
        "record": {
            "verdicts": str(folder / "verdicts.jsonl"),
            "evidence": str(folder / "evidence"),
        },
        "metrics": {"port": 0},
    }
    path.write_text(json.dumps(document))
    return path


def test_a_line_learns_from_a_camera_and_then_watches_it(real_clip: Path, tmp_path: Path) -> None:
    """The clip begins with quiet seconds; then bottles are put down and taken away."""
    with RtspServer(real_clip) as server:
        model = tmp_path / "model"
        fitted = streamline("fit", server.url, "--seconds", "5", "--out", model)
        assert fitted.returncode == 0, fitted.stderr
        pipeline = write_pipeline(tmp_path, server.url, model)
        server.stop()  # Until the line is ready: else the quiet seconds may be over by then.
        with RunningLine(pipeline, tmp_path) as line:
            line.await_ready()
            server.start()
            eventually(
                lambda: any(event["type"] == "new" for event in alerts(tmp_path)),
                "an alert for what was not there while learning",
            )

            def judged(verdict: str) -> float:
                return line.metric("streamline_frames_judged_total", camera="belt", verdict=verdict)

            assert judged("pass") > 0
            assert judged("fail") >= 3
            assert line.metric("streamline_camera_state", camera="belt", state="ok") == 1
            eventually(lambda: line.get("/readyz")[0] == 200, "ready")
            line.stop()
            assert line.wait() == 0, line.log
            camera = line.report()["cameras"]["belt"]
    assert camera["in_flight"] == 0
    verdicts_log = json_lines(tmp_path / "verdicts.jsonl")
    assert len(verdicts_log) == sum(camera["judged"].values())
    # The camera's own time of each frame stands beside the time when it arrived.
    stamps = [line["pts_s"] for line in verdicts_log[1:]]  # The first may have none.
    assert stamps == sorted(set(stamps))
    first = alerts(tmp_path)[0]
    stored = Path(first["evidence"])
    assert {"frame.png", "overlay.png", "alert.json"} <= {path.name for path in stored.iterdir()}


def alerts(folder: Path) -> list[dict[str, str]]:
    return json_lines(folder / "alerts.jsonl")


def test_a_server_that_stops_for_five_seconds_costs_only_those(
    real_clip: Path, real_model: Path, tmp_path: Path
) -> None:
    long = repeat(real_clip, tmp_path / "long.mp4", seconds=60)
    with RtspServer(long) as server:
        pipeline = write_pipeline(tmp_path, server.url, real_model)
        with RunningLine(pipeline, tmp_path) as line:
            line.await_ready()
            judged_before = wait_for_verdicts(line, more_than=20)
            server.stop()
            eventually(
                lambda: line.metric("streamline_camera_state", camera="belt", state="down") == 1,
                "the camera is down",
            )
            time.sleep(5)
            server.start()
            eventually(
                lambda: line.metric("streamline_camera_state", camera="belt", state="ok") == 1,
                "the camera is back",
            )
            wait_for_verdicts(line, more_than=judged_before + 20)
            assert line.metric("streamline_camera_reconnects_total", camera="belt") == 1
            line.stop()
            assert line.wait() == 0, line.log
            camera = line.report()["cameras"]["belt"]
    assert camera["in_flight"] == 0
    assert camera["state_s"]["down"] >= 4.5
    assert camera["state_s"]["ok"] > 0


def wait_for_verdicts(line: RunningLine, *, more_than: float) -> float:
    def judged() -> float:
        return sum(
            value
            for (name, _), value in line.metrics().items()
            if name == "streamline_frames_judged_total"
        )

    eventually(lambda: judged() > more_than, f"more than {more_than:g} verdicts")
    return judged()


def test_alerts_on_a_stream_of_bottles_agree_with_their_labels(
    shared_dir: Path, tmp_path: Path
) -> None:
    """Good and broken bottles in turn: each broken one is an alert, no good one is."""
    bottle = shared_dir / "data/mvtec/bottle"
    train = sorted((bottle / "train/good").glob("*.png"))
    good = sorted((bottle / "test/good").glob("*.png"))
    broken = sorted((bottle / "test").glob("broken_large/*.png"))
    turns = [path for pair in zip(good[:12], broken, strict=False) for path in pair]
    size = (256, 256)
    # Learnt from a stream that was coded as the inspected one is: a model learns the coding too.
    normal = encode_images(train, tmp_path / "train.mp4", rate=25, hold=3, size=size)
    model = tmp_path / "model"
    fitted = streamline("fit", normal, "--out", model, "--every", "3")
    assert fitted.returncode == 0, fitted.stderr
    # The first bottle stays for some seconds, until the line has found its feet; ten frames a
    # second are judged without loss on a machine that is busy with other things too.
    lead = [good[-1]] * 6
    shown = encode_images(
        [*lead, *turns, good[-1]], tmp_path / "t.mp4", rate=10, hold=12, size=size
    )
    server = RtspServer(shown)
    with RunningLine(write_pipeline(tmp_path, server.url, model), tmp_path) as line:
        line.await_ready()
        with server:  # Only now: nothing of the stream is missed.
            ended = {"camera": "belt", "reason": "ended"}
            eventually(
                lambda: line.metric("streamline_camera_down_reason", **ended) == 1,
                "the stream has ended",
            )
            line.stop()
            assert line.wait() == 0, line.log
        line.report()
    begins = [event for event in alerts(tmp_path) if event["type"] == "new"]
    ends = [event for event in alerts(tmp_path) if event["type"] == "end"]
    pairs = len(turns) // 2
    assert pairs == 12
    assert len(begins) == pairs
    assert len(ends) == pairs
