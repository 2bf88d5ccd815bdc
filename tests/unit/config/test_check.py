"""What a pipeline needs on disk is looked for before the line starts."""

import json
import os
import shutil
from pathlib import Path

import pytest

from streamline.cli.check import check
from streamline.config import load, missing_files
from streamline.errors import ConfigError, InputError
from streamline.transport.curve import KeyPair

TEXT = """\
version: 1
model: model
cameras:
  video: clip.mp4
  images: {source: {type: images, path: pictures}}
  rtsp: {source: {type: rtsp, url: "rtsp://u@h/x", password_file: camera.secret}}
  learnt:
    source: usb:0
    model: {path: other, learn: {source: normal.mp4}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "line1.yaml"
    path.write_text(TEXT)
    return path


def complete(folder: Path) -> None:
    """Make all that the pipeline asks for."""
    for name in ("model", "pictures"):
        (folder / name).mkdir()
    for name in ("clip.mp4", "normal.mp4", "camera.secret", "model/manifest.json"):
        (folder / name).write_text("content")


def test_everything_that_is_missing_is_told_once_with_its_line(file: Path) -> None:
    here = file.parent
    assert missing_files(load(file)) == [
        f"{file}:4: cameras.video.source.path: there is no file {here}/clip.mp4",
        (
            f"{file}:2: model.path: there is no model at {here}/model "
            f"(fit one: streamline fit SOURCE --out {here}/model, or write learn: here)"
        ),
        f"{file}:5: cameras.images.source.path: there is no folder {here}/pictures",
        (
            f"{file}:6: cameras.rtsp.source.password_file: can't read the secret's file "
            f"{here}/camera.secret: No such file or directory"
        ),
        f"{file}:9: cameras.learnt.model.learn.source.path: there is no file {here}/normal.mp4",
    ]


def test_a_complete_pipeline_misses_nothing(file: Path) -> None:
    complete(file.parent)
    assert missing_files(load(file)) == []


def test_a_learnt_model_needs_its_source_no_more(file: Path) -> None:
    complete(file.parent)
    (file.parent / "normal.mp4").unlink()
    (file.parent / "other").mkdir()
    (file.parent / "other/manifest.json").touch()
    assert missing_files(load(file)) == []


def test_a_folder_that_is_no_model_is_told(file: Path) -> None:
    complete(file.parent)
    (file.parent / "model/manifest.json").unlink()
    (line,) = missing_files(load(file))
    where = f"{file}:2: model.path: {file.parent}/model"
    cure = "fit one: streamline fit SOURCE --out MODEL"
    assert line == f"{where} is no model: manifest.json is missing ({cure})"


def test_folders_and_files_in_each_others_place_are_told(file: Path) -> None:
    here = file.parent
    complete(here)
    file.write_text(TEXT.replace("path: pictures", "path: clip.mp4"))
    pipeline = load(file)
    shutil.rmtree(here / "model")
    (here / "model").touch()
    (here / "clip.mp4").unlink()
    (here / "clip.mp4").mkdir()
    assert missing_files(pipeline) == [
        f"{file}:4: cameras.video.source.path: {here}/clip.mp4 is a folder, not a file",
        f"{file}:2: model.path: {here}/model is no folder (a model is a folder)",
    ]


def test_a_missing_key_of_this_host_is_told_with_the_cure(file: Path) -> None:
    complete(file.parent)
    keys = f"{{own_file: host.key, hosts: {{here: {{key: {'a' * 64}}}}}}}"
    file.write_text(f"{TEXT}links: {{keys: {keys}}}\n")
    path = file.parent / "host.key"
    (told,) = missing_files(load(file))
    cure = f"(make one: streamline keys {path})"
    assert told == f"{file}:10: links.keys.own_file: there is no file {path} {cure}"


def test_what_opens_the_endpoint_is_looked_for(file: Path) -> None:
    complete(file.parent)
    here = file.parent
    files = "certificate_file: a.pem, key_file: b.pem, token_file: token"
    file.write_text(f"{TEXT}metrics: {{address: 0.0.0.0, {files}}}\n")
    assert missing_files(load(file)) == [
        f"{file}:10: metrics.certificate_file: there is no file {here}/a.pem",
        f"{file}:10: metrics.key_file: there is no file {here}/b.pem",
        (
            f"{file}:10: metrics.token_file: can't read the secret's file {here}/token: "
            "No such file or directory (make one: openssl rand -hex 32)"
        ),
    ]


def test_a_computer_needs_the_files_of_the_stages_that_run_on_it(file: Path) -> None:
    complete(file.parent)
    here = file.parent
    (here / "clip.mp4").unlink()
    file.write_text(
        f"{TEXT}metrics: {{token_file: token}}\n"
        "alert: {sinks: [{type: webhook, url: 'http://h/', secret_file: secret}]}\n"
    )
    pipeline = load(file)

    def told(*stages: str) -> list[str]:
        return [
            line.split(": ")[0].removeprefix(f"{file}:") for line in missing_files(pipeline, stages)
        ]

    assert told("source", "preprocess") == ["4"]
    assert told("infer") == []
    assert told("infer", "alert") == ["11", "10"]
    shutil.rmtree(here / "model")
    assert told("infer") == ["2"]


def test_what_a_program_needs_is_looked_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complete(file.parent)
    monkeypatch.setenv("PAGER_TOKEN", "secret")
    sink = "{type: command, run: [no-such-program], env: [PAGER_TOKEN, PAGER_TEAM]}"
    file.write_text(f"{TEXT}alert: {{sinks: [{sink}]}}\n")
    assert missing_files(load(file)) == [
        (
            f"{file}:10: alert.sinks.0.run: there is no program no-such-program, "
            "or it may not be run"
        ),
        (
            f"{file}:10: alert.sinks.0.env: there is no environment variable PAGER_TEAM "
            "(set it for the line, or take it off the list)"
        ),
    ]


def test_keys_that_would_not_do_are_told(file: Path) -> None:
    complete(file.parent)
    KeyPair.new().write(file.parent / "host.key")
    keys = f"{{own_file: host.key, hosts: {{here: {{key: {'a' * 64}}}}}}}"
    file.write_text(f"{TEXT}links: {{keys: {keys}}}\n")
    with pytest.raises(InputError, match=r"^links\.keys: no host has the key of this one"):
        check(file)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_video_without_permission_is_told(file: Path) -> None:
    complete(file.parent)
    (file.parent / "clip.mp4").chmod(0)
    (told,) = missing_files(load(file))
    assert told.endswith("clip.mp4 may not be read by this user")


def test_the_command_prints_the_effective_configuration(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    complete(file.parent)
    check(file)
    out = capsys.readouterr().out
    assert out.startswith("version: 1\nname: line1\n")
    assert "url: rtsp://***@h/x" in out


def test_the_command_tells_what_is_missing(file: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"line1\.yaml:4: cameras\.video\.source\.path: "
    ) as caught:
        check(file)
    assert str(caught.value).count("\n") == 4


def test_the_command_tells_what_is_wrong(file: Path) -> None:
    file.write_text("version: 1\nname: 7\n")
    with pytest.raises(ConfigError, match=r"line1\.yaml:2: name: is 7 \(must be letters"):
        check(file)


def test_the_command_prints_the_schema_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    check(schema=True)
    assert json.loads(capsys.readouterr().out)["title"] == "Streamline pipeline"


def test_the_command_asks_for_a_file() -> None:
    with pytest.raises(InputError, match=r"^no pipeline file given"):
        check()
