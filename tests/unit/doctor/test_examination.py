"""All of it together, on files and without a camera."""

import json
from pathlib import Path

import pytest

from streamline.cli import main
from streamline.config import load
from streamline.doctor import Status, examine_pipeline
from streamline.run.runtime import Runtime

TEXT = """
version: 1
model: model
cameras: {left: demo://inspect, right: usb:250}
metrics: {port: 0}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    path = tmp_path / "line.yaml"
    path.write_text(TEXT)
    return path


def test_each_camera_and_file_that_is_not_there_is_told_and_the_exit_code_is_1(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(file), "--json", str(tmp_path / "found.json")]) == 1
    told = capsys.readouterr()
    assert "ok    camera left     640x360 px, h264" in told.out
    assert "fail  camera right    there is no camera at /dev/video250" in told.out
    assert f"fail  file            {file}:3: model.path: there is no model" in told.out
    assert told.err.startswith("streamline: 2 of ")
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["fails"] == 2
    assert {one["status"] for one in found["findings"]} <= set(Status)
    assert all(one["remedy"] for one in found["findings"] if one["status"] != "ok")
    assert found["machine"]["cores"] >= 1


def test_a_model_that_is_none_or_broken_is_told_once_with_what_to_do(
    file: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    told = [
        one
        for one in examine_pipeline(load(file), seconds=0.5).findings
        if one.status is Status.FAIL
    ]
    (about,) = (one for one in told if str(model) in one.what)
    assert about.check == "file"
    assert "streamline fit SOURCE --out MODEL" in about.what
    (model / "manifest.json").write_bytes(b" " * (1 << 25))
    told = [
        one
        for one in examine_pipeline(load(file), seconds=0.5).findings
        if one.status is Status.FAIL
    ]
    (about,) = (one for one in told if str(model) in one.what)
    assert about.what == f"{model} is no Streamline model: its manifest.json is far too large"
    assert about.remedy == "fit the model again: streamline fit SOURCE --out MODEL --force"


def test_the_computer_alone_is_looked_at_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    checks = {line.split()[1] for line in capsys.readouterr().out.splitlines()}
    assert {"versions", "processor", "openvino", "cuda", "disk", "clock", "telemetry"} <= checks


def test_a_runtime_folder_that_is_not_safe_is_a_finding_among_all_others(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o777)
    for arguments in (["doctor"], ["doctor", str(file), "--seconds", "0.5"]):
        assert main(arguments) == 1
        told = capsys.readouterr().out
        assert (
            f"fail  runtime         RUNTIME_DIRECTORY: any user may write into {tmp_path}" in told
        )
        assert "→ set it to a folder of this user (mode 0700)" in told
        assert {"disk", "clock"} <= {line.split()[1] for line in told.splitlines()}
    tmp_path.chmod(0o700)


def test_one_that_is_passed_over_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o777)
    assert main(["doctor"]) == 0
    assert f"warn  runtime         {tmp_path} is another user's, or any" in capsys.readouterr().out
    tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    "arguments",
    [["doctor", "none.yaml"], ["doctor", "rtspx://a"], ["doctor", "usb:0", "--seconds", "0"]],
    ids=["file", "address", "option"],
)
def test_bad_input_has_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_of_a_line_over_several_computers_only_what_runs_here_is_looked_at(file: Path) -> None:
    file.write_text(TEXT + 'links: {prepared: "tcp://127.0.0.1:1", scores: "tcp://127.0.0.1:2"}\n')
    checks = {
        stage: {one.check for one in examine_pipeline(load(file), seconds=0.5, only=stage).findings}
        for stage in ("source", "infer")
    }
    assert "inference" in checks["infer"] - checks["source"]
    assert {"camera left", "camera right"} <= checks["source"] - checks["infer"]
    assert "file" in checks["source"] & checks["infer"], "the model is missing on both"


def test_a_line_that_runs_keeps_its_usb_cameras_and_ports(file: Path) -> None:
    pipeline = load(file)
    runtime = Runtime.of(pipeline)
    lock = runtime.acquire()
    try:
        found = {one.check: one for one in examine_pipeline(pipeline, seconds=0.5).findings}
    finally:
        runtime.release(lock)
    assert found["camera right"].what == "not opened: this line is running and has it"
    # Looking at the lock has not taken it.
    runtime.release(runtime.acquire())
    again = {one.check: one for one in examine_pipeline(pipeline, seconds=0.5).findings}
    assert again["camera right"].status is Status.FAIL
