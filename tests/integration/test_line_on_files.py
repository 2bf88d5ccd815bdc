"""Whole lines on video files: every frame is accounted for, wherever the stages run."""

import json
import math
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import av
import cv2
import msgspec
import numpy as np
import psutil
import pytest
import zmq

from streamline.ledger import Ledger, encode
from tests.support.line import RunningLine, eventually, json_lines, streamline
from tests.support.ports import free_port


def frames_of(clip: Path) -> int:
    """Count by decoding, independently of the product."""
    with av.open(str(clip)) as container:
        return sum(1 for _ in container.decode(video=0))


def write_pipeline(
    folder: Path, model: Path, cameras: dict[str, object], **sections: object
) -> Path:
    """JSON is YAML; every verdict and drop is logged in the folder."""
    record = {"verdicts": str(folder / "verdicts.jsonl"), "drops": str(folder / "drops.jsonl")}
    line = {"model": str(model), "cameras": cameras, "record": record, "metrics": {"port": 0}}
    path = folder / "line.yaml"
    path.write_text(json.dumps({"version": 1, **line, **sections}))
    return path


def endless(clip: Path) -> dict[str, object]:
    """A camera that gives ten frames a second for ever."""
    return {"source": {"type": "video", "path": str(clip), "pace": 10, "loop": True}}


def verdicts_of(folder: Path) -> list[tuple[int, str]]:
    return [(line["seq"], line["verdict"]) for line in json_lines(folder / "verdicts.jsonl")]


def test_a_file_played_once_is_judged_to_the_last_frame(
    real_clip: Path, real_model: Path, tmp_path: Path
) -> None:
    count = frames_of(real_clip)
    pipeline = write_pipeline(
        tmp_path,
        real_model,
        {"belt": {"source": str(real_clip), "queue": {"policy": "block"}}},
    )
    with RunningLine(pipeline, tmp_path) as line:
        assert line.wait() == 0, line.log
        camera = line.report()["cameras"]["belt"]
    assert camera["captured"] == count
    assert sum(camera["judged"].values()) == count
    assert camera["in_flight"] == 0
    assert [seq for seq, _ in verdicts_of(tmp_path)] == list(range(count))


def test_what_a_slow_stage_drops_is_exactly_what_is_missing(
    demo_clip: Path, demo_model: Path, tmp_path: Path
) -> None:
    pipeline = write_pipeline(
        tmp_path,
        demo_model,
        {
            "belt": {
                "source": {"type": "video", "path": str(demo_clip), "pace": "native"},
                "queue": {"policy": "drop_oldest", "depth": 3},
            }
        },
        infer={"max_fps": 8},
    )
    with RunningLine(pipeline, tmp_path) as line:
        assert line.wait() == 0, line.log
        camera = line.report()["cameras"]["belt"]
    judged = [seq for seq, _ in verdicts_of(tmp_path)]
    dropped = [line["seq"] for line in json_lines(tmp_path / "drops.jsonl")]
    assert camera["captured"] == frames_of(demo_clip)
    assert camera["dropped"]["preprocess:queue_full"] > camera["captured"] / 3
    assert sorted(judged + dropped) == list(range(camera["captured"]))
    assert judged == sorted(judged)
    # At 8 frames a second the last of 3 queued and 3 sent ahead waits 0.75 s; a queue that grew
    # would have it wait for most of the clip.
    assert camera["latency_ms"]["p95"] < 5000


def test_a_damaged_image_is_unknown_and_a_folder_that_breaks_off_is_a_fault(
    demo_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(10):
        pixels = np.full((64, 64), 60 + 15 * number, np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
    (folder / "2.png").write_bytes(b"damaged")
    (folder / "7.png").unlink()
    (folder / "7.png").mkdir()
    pipeline = write_pipeline(tmp_path, demo_model, {"belt": str(folder)})
    with RunningLine(pipeline, tmp_path) as line:
        assert line.wait() == 1, line.log
        report = line.report()
    camera = report["cameras"]["belt"]
    assert (camera["captured"], camera["judged"]["unknown"]) == (7, 1)
    assert (camera["state"], camera["reason"]) == ("ended", "missing")
    assert "camera belt: its source could not be read to its end" in "".join(report["faults"])
    reasons = [line["reason"] for line in json_lines(tmp_path / "verdicts.jsonl")]
    assert reasons == [None, None, "corrupt", None, None, None, None]


LINKS = {
    "processes": {},
    "one-process": {"frames": "inproc", "prepared": "inproc", "scores": "inproc"},
    "stages-apart": {"frames": "ipc", "prepared": "ipc", "scores": "ipc"},
    "infer-with-alert": {"scores": "inproc"},
    "tcp": {name: f"tcp://127.0.0.1:{free_port()}" for name in ("prepared", "scores")},
}


@pytest.fixture(scope="module")
def expected(
    short_clip: Path, demo_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, float]:
    """Score by frame, from a line of two cameras in the default placement."""
    folder = tmp_path_factory.mktemp("expected")
    return scores(folder, short_clip, demo_model, {})["left"]


def scores(
    folder: Path, clip: Path, model: Path, links: dict[str, str]
) -> dict[str, dict[int, float]]:
    pipeline = write_pipeline(
        folder,
        model,
        {"left": str(clip), "right": str(clip)},
        links=links,
    )
    with RunningLine(pipeline, folder) as line:
        assert line.wait() == 0, line.log
        line.report()
    lines = json_lines(folder / "verdicts.jsonl")
    return {
        camera: {line["seq"]: line["score"] for line in lines if line["camera"] == camera}
        for camera in ("left", "right")
    }


@pytest.mark.parametrize("links", LINKS.values(), ids=LINKS.keys())
def test_the_verdicts_do_not_depend_on_where_the_stages_run(
    links: dict[str, str],
    short_clip: Path,
    demo_model: Path,
    expected: dict[int, float],
    tmp_path: Path,
) -> None:
    found = scores(tmp_path, short_clip, demo_model, links)
    for camera in ("left", "right"):
        assert found[camera].keys() == expected.keys()
        # Batches differ from run to run, and a batch of another size rounds differently.
        assert found[camera] == pytest.approx(expected, rel=1e-3)


def tell_nonsense(address: str) -> None:
    """Tell an exporter figures that none of its readers could make anything of."""
    ledgers = [Ledger() for _ in range(4)]
    ledgers[0].gauge("streamline_camera_state", camera="left").set(1)
    ledgers[1].gauge("streamline_camera_state").set(1)
    ledgers[2].gauge("streamline_frames_in_flight", camera="left").set(math.nan)
    ledgers[3].gauge("streamline_frames_in_flight", camera="strange").set(1)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context.socket(zmq.PUSH) as stranger:
        stranger.connect(address)
        for number, ledger in enumerate(ledgers):
            head = msgspec.msgpack.encode(["stranger", str(number), 1])
            stranger.send_multipart([head, encode(ledger.samples())])
        stranger.send_multipart([b"noise"])
        stranger.linger = 20_000
    context.term()


def test_stages_started_apart_in_any_order_make_one_line(
    short_clip: Path, demo_model: Path, expected: dict[int, float], tmp_path: Path
) -> None:
    links = {name: f"tcp://127.0.0.1:{free_port()}" for name in ("prepared", "scores", "telemetry")}
    pipeline = write_pipeline(tmp_path, demo_model, {"left": str(short_clip)}, links=links)
    left = frozenset({("camera", "left")})
    with (
        RunningLine(pipeline, tmp_path, stage="source") as source,
        RunningLine(pipeline, tmp_path, stage="alert") as alert,
        RunningLine(pipeline, tmp_path, stage="infer") as infer,
    ):
        assert source.wait() == 0, source.log
        alert.await_ready()
        eventually(
            lambda: (
                (shown := alert.metrics()).get(("streamline_frames_captured_total", left)) == 60
                and shown[("streamline_frames_in_flight", left)] == 0
            ),
            "the source's last figures have reached the exporter",
        )
        tell_nonsense(links["telemetry"])
        refused = {"link": "telemetry", "reason": "message"}
        eventually(
            lambda: alert.metric("streamline_link_refused_total", **refused) == 5,
            "nonsense is refused",
        )
        infer.stop()
        alert.stop()
        assert infer.wait() == 0, infer.log
        assert alert.wait() == 0, alert.log
        camera = alert.report()["cameras"]["left"]
    assert camera["captured"] == 60
    assert dict(verdicts_of(tmp_path)).keys() == expected.keys()


def test_sigterm_drains_and_exits_well(demo_clip: Path, demo_model: Path, tmp_path: Path) -> None:
    pipeline = write_pipeline(
        tmp_path,
        demo_model,
        {name: endless(demo_clip) for name in ("left", "right")},
    )
    with RunningLine(pipeline, tmp_path) as line:
        line.await_ready()
        eventually(lambda: len(verdicts_of(tmp_path)) > 20, "twenty verdicts")
        line.stop()
        assert line.wait() == 0, line.log
        report = line.report()
    for camera in report["cameras"].values():
        assert camera["in_flight"] == 0
        assert camera["captured"] > 0
    judged = sum(sum(camera["judged"].values()) for camera in report["cameras"].values())
    assert judged == len(verdicts_of(tmp_path))


def test_a_sigterm_to_every_process_of_the_line_drains_it_too(
    demo_clip: Path, demo_model: Path, tmp_path: Path
) -> None:
    pipeline = write_pipeline(
        tmp_path,
        demo_model,
        {"left": endless(demo_clip)},
    )
    with RunningLine(pipeline, tmp_path) as line:
        line.await_ready()
        eventually(lambda: len(verdicts_of(tmp_path)) > 10, "ten verdicts")
        supervisor = psutil.Process(line.pid)
        for process in [supervisor, *supervisor.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):  # It has ended with one before it.
                process.terminate()
        assert line.wait() == 0, line.log
        camera = line.report()["cameras"]["left"]
    assert sum(camera["judged"].values()) == len(verdicts_of(tmp_path))


@pytest.mark.parametrize(("links", "expected"), [({}, 1), (LINKS["one-process"], 0)])
def test_nothing_that_workers_are_forked_from_idles_beside_a_line_in_one_process(
    links: dict[str, str], expected: int, demo_clip: Path, demo_model: Path, tmp_path: Path
) -> None:
    pipeline = write_pipeline(tmp_path, demo_model, {"left": endless(demo_clip)}, links=links)
    with RunningLine(pipeline, tmp_path) as line:
        line.await_ready()
        children = psutil.Process(line.pid).children()
        servers = [child for child in children if "forkserver" in " ".join(child.cmdline())]
        assert len(servers) == expected


def test_only_who_judges_loads_what_computes(
    demo_clip: Path, demo_model: Path, tmp_path: Path
) -> None:
    pipeline = write_pipeline(tmp_path, demo_model, {"left": endless(demo_clip)})
    with RunningLine(pipeline, tmp_path) as line:
        line.await_ready()
        supervisor = psutil.Process(line.pid)
        family = [supervisor, *supervisor.children(recursive=True)]
        loads = {
            process.name()
            for process in family
            if any("libopenvino" in part.path for part in process.memory_maps())
        }
    assert loads == {"sl:infer"}


def test_workers_import_nothing_from_the_present_folder(
    short_clip: Path, demo_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "structlog.py").write_text("raise SystemExit('imported from the present folder')")
    pipeline = write_pipeline(tmp_path, demo_model, {"left": str(short_clip)})
    code = "import sys; sys.path.remove(''); from streamline.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", str(pipeline)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert done.returncode == 0, done.stderr
    assert "60 judged" in done.stdout


def test_a_camera_that_is_not_there_leaves_the_others_alone(
    demo_clip: Path, demo_model: Path, tmp_path: Path
) -> None:
    pipeline = write_pipeline(
        tmp_path,
        demo_model,
        {
            "gone": "rtsp://operator:hunter2@127.0.0.1:9/stream",
            "there": {"source": {"type": "video", "path": str(demo_clip), "pace": 10}},
        },
    )
    with RunningLine(pipeline, tmp_path) as line:
        line.await_ready()
        eventually(lambda: len(verdicts_of(tmp_path)) > 10, "ten verdicts")
        refused = {"camera": "gone", "reason": "refused"}
        eventually(
            lambda: line.metric("streamline_camera_down_reason", **refused) == 1, "one is tried"
        )
        assert line.metric("streamline_camera_state", camera="gone", state="down") == 1
        assert line.metric("streamline_camera_state", camera="there", state="ok") == 1
        eventually(lambda: line.get("/readyz")[0] == 200, "a camera has just been judged")
        assert line.get("/healthz")[0] == 200
        line.stop()
        assert line.wait() == 0, line.log
        report = line.report()
        assert "hunter2" not in line.log
    assert report["cameras"]["gone"]["captured"] == 0
    assert report["cameras"]["gone"]["state_s"]["down"] > 0


def test_a_finished_run_prints_its_table(
    short_clip: Path, demo_model: Path, tmp_path: Path
) -> None:
    pipeline = write_pipeline(tmp_path, demo_model, {"left": str(short_clip)})
    done = streamline("run", pipeline)
    assert done.returncode == 0, done.stderr
    assert "accounting: 60 captured = 60 judged + 0 dropped + 0 in flight" in done.stdout
