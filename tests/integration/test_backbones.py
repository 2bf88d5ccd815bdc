"""What the command says of backbones, with torch and on a machine without."""

import importlib.util
import subprocess
import sys

import pytest

from tests.support.line import streamline

WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from streamline.cli import main\n"


def without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = f"{WITHOUT_TORCH}sys.exit(main({list(arguments)!r}))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_every_backbone_is_listed_with_its_layers_and_where_its_weights_are() -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("not installed: torch")
    done = streamline("model", "list-backbones", "--size", "320")
    assert done.returncode == 0, done.stderr
    table, _, weights = done.stdout.partition("\nweights\n")
    rows = [line.split() for line in table.splitlines()]
    assert ["wide_resnet50_2", "layer1", "256", "80", "80", "4", "map"] in rows
    assert ["stage4", "512", "40", "40", "8", "score", "+", "map"] in rows
    assert "resnet18: " in weights
    assert "efficientnet_lite0: at hand, shipped" in weights


def test_without_torch_the_shipped_backbone_is_listed_and_the_rest_told_in_a_sentence() -> None:
    done = without_torch("model", "list-backbones")
    assert done.returncode == 0, done.stderr
    assert "block5" in done.stdout
    assert done.stderr.count("\n") == 1
    assert "pip install 'streamline[torch]'" in done.stderr


def test_a_size_that_no_network_takes_is_refused() -> None:
    done = streamline("model", "list-backbones", "--size", "300")
    assert (done.returncode, done.stdout) == (2, "")
    assert "must be a multiple of 32 from 32 to 1024 px, not 300" in done.stderr
