"""The unit, read by systemd's own tools."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.watchers import DOCKER

UNIT = DOCKER / "systemd/streamline@.service"
MOST_EXPOSED = 25
"""In tenths, as `--threshold` has it."""

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze; apt-get install systemd"
)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "LC_ALL": "C"},
    )


def written(folder: Path, text: str) -> str:
    """The unit of a line, with a program that is there."""
    path = folder / "streamline@line.service"
    path.write_text(text.replace("/opt/streamline/bin/streamline", "/bin/true"))
    return str(path)


def test_systemd_has_no_complaint_about_the_unit(tmp_path: Path) -> None:
    done = analyze("verify", written(tmp_path, UNIT.read_text()))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_mistake_in_it_would_be_found(tmp_path: Path) -> None:
    text = UNIT.read_text().replace("Type=notify", "Type=notify-me")
    assert analyze("verify", written(tmp_path, text)).stderr


def test_it_exposes_little(tmp_path: Path) -> None:
    unit = written(tmp_path, UNIT.read_text())
    done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", unit)
    assert done.returncode == 0, done.stdout
    (level,) = re.findall(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert float(level) * 10 <= MOST_EXPOSED


def test_without_its_hardening_it_would_be_refused(tmp_path: Path) -> None:
    text = re.sub(r"(?m)^(System|Restrict|Protect|Capability).*$", "", UNIT.read_text())
    unit = written(tmp_path, text)
    done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", unit)
    assert done.returncode != 0
