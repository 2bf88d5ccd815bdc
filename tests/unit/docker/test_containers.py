"""The images, and the services made of them, by linters, a parser and a close look."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compose_spec import PyOptions

from streamline.config import load
from streamline.run.room import shared_memory_bytes
from tests.support.watchers import DOCKER
from tools.image import Instruction, instructions

ROOT = DOCKER.parent
DOCKERFILES = ("Dockerfile", "Dockerfile.cuda")
CAMERAS = 32
"""Of the default model, for which the compose file's shared memory must do."""


def compose() -> dict[str, Any]:
    """The compose file as an engine reads it: merged, variables replaced by their defaults."""
    text = (DOCKER / "compose.yaml").read_text()
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    parsed = PyOptions(apply_merge=True).from_yaml(text)
    parsed.validate()
    whole: dict[str, Any] = json.loads(parsed.to_json())
    return whole


SERVICES: dict[str, dict[str, Any]] = compose()["services"]
LINES = [name for name, one in SERVICES.items() if one["image"].startswith("streamline")]


def final_stage(name: str) -> list[Instruction]:
    found = instructions((DOCKER / name).read_text())
    last = max(i for i, one in enumerate(found) if one.word == "FROM")
    return found[last:]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_linter_has_no_complaint_about_an_image(name: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, DOCKER / name], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_runs_as_nobody_who_could_write_into_it_and_says_when_it_is_ready(
    name: str,
) -> None:
    words = {one.word: one.text for one in final_stage(name)}
    assert words["USER"] == "10001:10001"
    assert "healthcheck.py" in words["HEALTHCHECK"]
    assert words["ENTRYPOINT"] == '["streamline"]'
    assert set(json.loads(words["VOLUME"])) == {"/var/lib/streamline", "/var/cache/streamline"}
    assert any("--chown" not in one.text for one in final_stage(name) if one.word == "COPY")


def test_the_image_for_cpus_has_no_torch_and_the_other_has() -> None:
    extras = {
        name: re.findall(r'"\.\[([a-z,]+)\]"', (DOCKER / name).read_text()) for name in DOCKERFILES
    }
    assert extras == {"Dockerfile": ["modbus,mqtt"], "Dockerfile.cuda": ["modbus,mqtt,torch"]}


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_an_image_copies_is_in_the_tree_and_sent_to_the_builder(name: str) -> None:
    sent = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    for one in instructions((DOCKER / name).read_text()):
        if one.word == "COPY" and not one.text.startswith("--from"):
            for source in one.text.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source in sent, source


def test_profiles_are_those_that_the_file_tells_of() -> None:
    profiles: dict[str, set[str]] = {}
    for name, one in SERVICES.items():
        for profile in one["profiles"]:
            profiles.setdefault(profile, set()).add(name)
    watchers = {"prometheus", "alertmanager", "grafana"}
    assert profiles == {
        "line": {"line"},
        "igpu": {"line-igpu"},
        "cuda": {"line-cuda"},
        "demo": {"demo-clip", "camera", "demo", *watchers},
        "monitoring": watchers,
        "mqtt": {"mqtt"},
    }


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_may_do_more_than_it_needs(name: str) -> None:
    one = SERVICES[name]
    assert not one.get("privileged")
    assert "cap_add" not in one
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["read_only"]
    for port in one.get("ports", ()):
        assert str(port if isinstance(port, str) else port["host_ip"]).startswith("127.0.0.1")
    assert ("devices" in one) is (name == "line-igpu")


@pytest.mark.parametrize("name", LINES)
def test_a_line_has_a_user_shared_memory_and_time_to_drain(name: str) -> None:
    one = SERVICES[name]
    assert one["user"] == "10001:10001"
    assert one["init"]
    assert one["shm_size"] in {"256m", 256 * 2**20, "256mb", "256MiB", "256mib"}
    assert one["stop_grace_period"] in {"60s", "1m"}


def test_devices_and_their_group_are_handed_to_the_line_on_intels_graphics() -> None:
    one = SERVICES["line-igpu"]
    assert one["devices"] == ["/dev/dri:/dev/dri"]
    assert list(map(str, one["group_add"])) == ["video", "105"]


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_of_others_is_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert image in {"streamline", "streamline:cuda"} or re.search(r":v?\d+\.\d+\.\d+", image)


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there(name: str) -> None:
    for volume in SERVICES[name].get("volumes", ()):
        source = volume.split(":")[0] if isinstance(volume, str) else volume["source"]
        if str(source).startswith("."):
            assert (DOCKER / source).exists(), source
        else:
            assert source in compose()["volumes"]


def test_prometheus_finds_every_line_by_the_name_that_its_configuration_has() -> None:
    target = re.findall(
        r'targets: \["(line):9464"\]', (DOCKER / "prometheus/prometheus.yml").read_text()
    )
    for name in set(LINES) - {"demo-clip"}:
        assert SERVICES[name]["networks"]["default"]["aliases"] == target


@pytest.mark.parametrize("name", ["line.yaml", "demo.yaml"])
def test_the_lines_of_the_services_are_valid_and_reached_by_prometheus(
    name: str, tmp_path: Path
) -> None:
    variables = {"STATE_DIRECTORY": str(tmp_path), "CAMERA_PASSWORD": "secret"}
    pipeline = load(DOCKER / name, variables=variables)
    assert (pipeline.metrics.address, pipeline.metrics.port) == ("0.0.0.0", 9464)  # noqa: S104


def test_the_shared_memory_of_a_line_does_for_many_cameras(tmp_path: Path) -> None:
    path = tmp_path / "line.yaml"
    cameras = {f"camera-{n}": "rtsp://host/stream" for n in range(CAMERAS)}
    path.write_text(json.dumps({"version": 1, "model": "m", "cameras": cameras}))
    sizes = dict.fromkeys(cameras, (256, 256))
    assert shared_memory_bytes(load(path), sizes) < 256 * 2**20
