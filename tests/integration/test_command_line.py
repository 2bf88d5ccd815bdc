"""What the program says when it is given something wrong, and what it does not load."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.line import RunningLine, eventually, json_lines, streamline
from tests.support.ports import free_port
from tests.support.subscriber import subscribed


def sentence(*arguments: str | Path) -> str:
    """Run a command that must be refused: exit code 2, one line, no traceback, no output."""
    done = streamline(*arguments)
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    return line


def write_pipeline(folder: Path, model: Path, source: object, **sections: object) -> Path:
    path = folder / "line.yaml"
    document = {
        "version": 1,
        "model": str(model),
        "cameras": {"left": {"source": source}},
        "metrics": {"port": 0},
        **sections,
    }
    path.write_text(json.dumps(document, indent=1))
    return path


def test_the_package_alone_loads_no_framework() -> None:
    code = "import streamline, sys; assert not {'torch','openvino','cv2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("said", "threads"), [(None, 1), ("2", 2)], ids=["default", "as-said"])
def test_products_are_computed_by_one_thread_unless_said_otherwise(
    said: str | None, threads: int
) -> None:
    code = (
        "from streamline.cli import main; main(['--version']); import numpy; "
        "from threadpoolctl import threadpool_info; "
        "print([one['num_threads'] for one in threadpool_info()])"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    if said is not None:
        environment["OPENBLAS_NUM_THREADS"] = said
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == f"[{threads}]"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from streamline.cli import main\n"
        "main(['--help'])\n"
        "heavy = {'torch', 'openvino', 'cv2', 'av', 'numpy', 'pydantic', 'zmq', 'rich'}\n"
        "sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("demo", "fit", "score", "eval", "run", "check"))


@pytest.mark.parametrize(
    "command",
    ["demo", "fit", "score", "eval", "run", "stage", "check", "doctor", "keys", "model", "bench"],
)
def test_every_command_has_help(command: str) -> None:
    done = streamline(command, "--help")
    assert done.returncode == 0
    assert f"streamline {command}" in done.stdout


def test_running_a_line_never_loads_torch(demo_model: Path, tmp_path: Path) -> None:
    image = tmp_path / "i.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(image)
    code = (
        "import sys\n"
        "from streamline.cli import main\n"
        f"status = main(['score', {str(demo_model)!r}, {str(image)!r}])\n"
        "assert status == 0 and 'openvino' in sys.modules\n"
        "bad = {'torch', 'timm', 'nncf'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_command_that_does_not_exist() -> None:
    assert "No such command 'rnu'" in sentence("rnu")


def test_a_missing_argument() -> None:
    assert "PIPELINE.yaml" in sentence("run")


def test_a_pipeline_file_that_does_not_exist(tmp_path: Path) -> None:
    line = sentence("run", tmp_path / "none.yaml")
    assert str(tmp_path / "none.yaml") in line


def test_a_video_that_does_not_exist(demo_model: Path, tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path, demo_model, str(tmp_path / "none.mp4"))
    assert str(tmp_path / "none.mp4") in sentence("run", pipeline)


@pytest.mark.parametrize("command", ["run", "fit"])
def test_a_file_that_is_no_video(command: str, demo_model: Path, tmp_path: Path) -> None:
    clip = tmp_path / "notes.mp4"
    clip.write_text("not a video, though it is called one")
    if command == "fit":
        line = sentence("fit", clip, "--out", tmp_path / "model")
    else:
        line = sentence("run", write_pipeline(tmp_path, demo_model, str(clip)))
    assert str(clip) in line


@pytest.mark.parametrize("command", ["run", "fit"])
def test_an_empty_folder(command: str, demo_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    if command == "fit":
        line = sentence("fit", folder, "--out", tmp_path / "model")
    else:
        line = sentence("run", write_pipeline(tmp_path, demo_model, str(folder)))
    assert str(folder) in line


def test_a_region_outside_the_picture(tmp_path: Path) -> None:
    line = sentence("fit", "demo://normal", "--out", tmp_path / "m", "--roi", "10,10,9999,50")
    assert "640 x 360" in line
    assert not (tmp_path / "m").exists()


def test_a_model_of_another_version(demo_model: Path, demo_clip: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for part in demo_model.iterdir():
        (model / part.name).write_bytes(part.read_bytes())
    manifest = json.loads((model / "manifest.json").read_text())
    manifest["version"] = 99
    (model / "manifest.json").write_text(json.dumps(manifest))
    line = sentence("run", write_pipeline(tmp_path, model, str(demo_clip)))
    assert "99" in line
    assert str(model) in line


def test_a_mistake_in_the_pipeline_file_is_told_with_its_line(
    demo_model: Path, demo_clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "line.yaml"
    path.write_text(
        f"version: 1\nmodel: {demo_model}\ncameras:\n  left: {demo_clip}\n  left: {demo_clip}\n"
    )
    assert sentence("run", path).startswith(f"{path}:5: ")
    path.write_text(
        f"version: 1\nmodel: {demo_model}\ncamera:\n  left: {demo_clip}\ndrain_s: soon\n"
    )
    done = streamline("check", path)
    assert done.returncode == 2
    assert [line.split(" ")[0] for line in done.stderr.splitlines()] == [
        f"{path}:{number}:" for number in (3, 5)
    ] or {f"{path}:3:", f"{path}:5:"} <= {line.split(" ")[0] for line in done.stderr.splitlines()}


def test_a_port_that_is_in_use(demo_model: Path, demo_clip: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        pipeline = write_pipeline(tmp_path, demo_model, str(demo_clip), metrics={"port": port})
        assert str(port) in sentence("run", pipeline)


def test_a_link_address_that_is_in_use(demo_model: Path, demo_clip: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        pipeline = write_pipeline(tmp_path, demo_model, str(demo_clip), links={"scores": address})
        done = streamline("run", pipeline)
    assert done.returncode == 2
    assert address in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["check", "run", "stage"])
def test_a_device_that_is_not_there_is_told_with_the_line_that_names_it(
    command: str, demo_model: Path, demo_clip: Path, tmp_path: Path
) -> None:
    pipeline = write_pipeline(tmp_path, demo_model, str(demo_clip), infer={"device": "NPU"})
    line = sentence(*(["stage", "infer"] if command == "stage" else [command]), pipeline)
    number = pipeline.read_text().splitlines().index('  "device": "NPU"') + 1
    assert f"{pipeline}:{number}: infer.device: OpenVINO finds no device 'NPU'" in line
    assert "it has CPU" in line


@pytest.mark.parametrize("command", ["fit", "score", "eval"])
def test_commands_without_a_file_name_the_missing_device_too(
    command: str, demo_model: Path, demo_clip: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    for kind in ("good", "scratched"):
        (data / kind).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (64, 64), (number, 9, 9)).save(data / kind / f"{number}.png")
    arguments: dict[str, list[str | Path]] = {
        "fit": [demo_clip, "--out", tmp_path / "model"],
        "score": [demo_model, data],
        "eval": [data, "--layout", "folder"],
    }
    line = sentence(command, *arguments[command], "--infer-device", "npu")
    assert "OpenVINO finds no device 'NPU' on this machine, it has CPU" in line


def test_a_password_is_never_printed(demo_model: Path, tmp_path: Path) -> None:
    url = "rtsp://inspector:s3cret-w0rd@127.0.0.1:9/stream"
    pipeline = write_pipeline(tmp_path, demo_model, url)
    runs = [
        streamline("fit", url, "--out", tmp_path / "model"),
        streamline("check", pipeline),
        streamline("run", pipeline, "--duration", "1"),
    ]
    for run in runs:
        assert "s3cret" not in run.stdout + run.stderr
    assert [run.returncode for run in runs] == [1, 0, 0]


def test_a_line_that_is_running_is_not_started_again(
    demo_model: Path, demo_clip: Path, tmp_path: Path
) -> None:
    source = {"type": "video", "path": str(demo_clip), "pace": 10, "loop": True}
    pipeline = write_pipeline(tmp_path, demo_model, source)
    with RunningLine(pipeline, tmp_path) as line:
        line.await_ready()
        assert "running already" in sentence("run", pipeline)


def test_alerts_go_to_every_sink(demo_model: Path, demo_clip: Path, tmp_path: Path) -> None:
    port = free_port()
    pipeline = write_pipeline(
        tmp_path,
        demo_model,
        {"type": "video", "path": str(demo_clip), "pace": 15},
        alert={
            "sinks": [
                {"type": "log"},
                {"type": "jsonl", "path": str(tmp_path / "alerts.jsonl")},
                {"type": "zmq", "address": f"tcp://127.0.0.1:{port}"},
            ]
        },
    )
    with subscribed(port) as heard, RunningLine(pipeline, tmp_path) as line:
        line.await_ready()
        eventually(lambda: len(heard) >= 2, "the begin and the end of an alert")
        line.stop()
        assert line.wait() == 0, line.log
        report = line.report()
        written = json_lines(tmp_path / "alerts.jsonl")
        logged = [text for text in line.log.splitlines() if '"alert begins"' in text]
    assert heard == written[: len(heard)]
    begins = [event for event in written if event["type"] == "new"]
    assert report["alerts"] == len(begins) == len(logged)
    assert [event["type"] for event in heard[:2]] == ["new", "end"]
    assert heard[0]["id"] == heard[1]["id"]
