"""The command that measures a line, on a real one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from streamline.bench.processes import family
from streamline.source.synthetic import rendered_clip
from tests.support.line import eventually, streamline


@pytest.fixture(scope="module")
def slow_line(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A line whose model judges no more than 40 frames a second."""
    path = tmp_path_factory.mktemp("slow") / "slow.yaml"
    document = {
        "version": 1,
        "model": str(model),
        "cameras": {"left": str(rendered_clip("inspect", 0))},
        "infer": {"max_fps": 40},
    }
    path.write_text(json.dumps(document))
    return path


@pytest.fixture(scope="module")
def found(slow_line: Path) -> tuple[dict[str, Any], str]:
    """Figures and table of the slow line at 25 frames a second, however late verdicts come."""
    file = slow_line.with_suffix(".json")
    done = streamline(
        *("bench", "line", slow_line, "--pairs", "1", "--pair-seconds", "2"),
        *("--seconds", "3", "--limit-ms", "1e6", "--json", file),
        timeout_s=500,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text()), done.stdout


@pytest.mark.timeout(600)
def test_the_figures_that_others_read_are_there(found: tuple[dict[str, Any], str]) -> None:
    figures, table = found
    assert figures["efficiency"] == pytest.approx(figures["line_fps"] / figures["model_fps"], 1e-3)
    assert set(figures["cpu_ms_per_frame"]) >= {"decode", "graph", "other"}
    assert set(figures["latency_ms"]) >= {"p50", "p95", "p99"}
    wanted = {"rate", "cameras", "due", "captured", "dropped", "p50_ms", "p99_ms"}
    assert set(figures["paced"]) >= wanted
    assert figures["machine"]["versions"]["openvino"]
    assert set(figures["stages"]) == {"source", "preprocess", "infer", "alert"}
    assert figures["pss_mb"] > 10
    assert len(figures["pairs"]) == 1
    assert figures["quiet"] == (figures["others"] <= 0.02)
    assert ("NOT QUIET" in table) != figures["quiet"]


@pytest.mark.timeout(600)
def test_a_line_does_no_more_than_its_model_can(found: tuple[dict[str, Any], str]) -> None:
    figures, _ = found
    # 40 a second, and what waited for a stage that was held up before.
    assert figures["line_fps"] < 80
    assert figures["model_fps"] > 0


@pytest.mark.timeout(600)
def test_a_model_that_is_too_slow_loses_frames_and_fewer_cameras_hold(
    found: tuple[dict[str, Any], str],
) -> None:
    figures, _ = found
    assert figures["paced"]["cameras"] == 1
    assert [run["cameras"] for run in figures["tried"]][:1] == [1]
    for run in figures["tried"]:
        # 40 frames a second are judged, 25 of each camera are due.
        assert run["cameras"] == 1 or (run["dropped"] > 0 and not run["holds"])


@pytest.mark.timeout(600)
def test_every_due_frame_is_captured_or_counted_as_passed(
    found: tuple[dict[str, Any], str],
) -> None:
    figures, _ = found
    for run in [figures["paced"], *figures["tried"]]:
        assert run["due"] == pytest.approx(run["rate"] * run["cameras"] * run["seconds"], abs=1)
        # A late reader finds out what it has missed when it comes; one second is very late.
        late = run["cameras"] * run["rate"]
        assert abs(run["captured"] + run["overrun"] - run["due"]) <= late
        assert run["dropped"] == sum(run["dropped_by"].values())
        assert run["p50_ms"] <= run["p95_ms"] <= run["p99_ms"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_no_process_behind(
    slow_line: Path, signum: signal.Signals
) -> None:
    # Whoever runs the tests in the background of a shell may have all their processes ignore it.
    python = ["env", "--default-signal=INT", sys.executable]
    command = [*python, "-m", "streamline", "bench", "line", str(slow_line)]
    with subprocess.Popen(
        [*command, "--pairs", "1", "--pair-seconds", "0.3", "--cameras", "1", "--seconds", "900"],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        start_new_session=True,
    ) as process:
        eventually(lambda: "sl:infer" in _names(process.pid), "the line's workers", limit_s=400)
        kin = family(process.pid)
        process.send_signal(signum)
        _, words = process.communicate(timeout=120)
    assert process.returncode == 130
    assert b"Traceback" not in words
    eventually(lambda: not any(map(psutil.pid_exists, kin)), "the end of every process")


def _names(pid: int) -> set[str]:
    names = set()
    for one in family(pid):
        try:
            names.add(psutil.Process(one).name())
        except psutil.NoSuchProcess:
            continue
    return names


def test_what_can_t_be_measured_is_one_sentence(slow_line: Path, model: Path) -> None:
    wrong = {
        "give a PIPELINE.yaml": (),
        "--source CLIP and --model MODEL": (slow_line, "--model", model),
        "slow.yaml says itself what its models run on; leave out --backend": (
            slow_line,
            "--device",
            "cuda",
        ),
        "give files": ("--source", "rtsp://127.0.0.1/s", "--model", model),
    }
    for what, arguments in wrong.items():
        done = streamline("bench", "line", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert what in line
