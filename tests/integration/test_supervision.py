"""Dead and stuck workers of a running line: it goes on, and every frame is accounted for."""

import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any, Self

import psutil
import pytest

from streamline.ledger import LedgerView
from streamline.source.synthetic import rendered_clip
from tests.support.line import RunningLine, eventually, json_lines
from tests.support.ports import free_port

Key = tuple[str, frozenset[tuple[str, str]]]

CAMERAS = ("left", "right")


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the test's lines keep their sockets and counters."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


def write_line(folder: Path, model: Path, *, evidence: bool = False, **sections: object) -> Path:
    """Two cameras that deliver ten frames a second for ever."""
    source = {"type": "demo", "part": "inspect", "pace": 10, "loop": True}
    record = {
        "verdicts": str(folder / "verdicts.jsonl"),
        "drops": str(folder / "drops.jsonl"),
        "evidence": {"path": str(folder / "evidence"), "per_minute": {"fails": 600}}
        if evidence
        else None,
    }
    content = {
        "version": 1,
        "model": str(model),
        "cameras": {name: {"source": source} for name in CAMERAS},
        "record": record,
        "metrics": {"port": 0},
        **sections,
    }
    path = folder / "line.yaml"
    path.write_text(json.dumps(content))
    return path


def worker(line: RunningLine, title: str) -> psutil.Process:
    """The one process of the line with that title; it may be being started still."""
    eventually(lambda: bool(alive(line, title[:15])), f"{title} is there")
    (found,) = alive(line, title[:15])
    return found


@dataclass
class Watch:
    """Scrapes a line all the time, and finds counters that go backwards."""

    line: RunningLine
    backwards: list[tuple[Key, float, float]] = field(default_factory=list)
    latest: dict[Key, float] = field(default_factory=dict)
    scrapes: int = 0
    _end: Event = field(default_factory=Event)

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._scrape_all, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _scrape_all(self) -> None:
        while not self._end.wait(0.1):
            # The line ends while it is being watched, perhaps within an answer.
            with suppress(OSError, HTTPException, AssertionError):
                self._note(self.line.metrics())

    def _note(self, found: dict[Key, float]) -> None:
        self.scrapes += 1
        for key, before in self.latest.items():
            counts = key[0].endswith(("_total", "_count", "_bucket"))
            if counts and found.get(key, -1.0) < before:
                self.backwards.append((key, before, found.get(key, -1.0)))
        self.latest = found


def restarts(line: RunningLine, name: str) -> float:
    return line.metric("streamline_worker_restarts_total", worker=name)


def judged(line: RunningLine, camera: str) -> float:
    metrics = line.metrics()
    return sum(
        value
        for (name, labels), value in metrics.items()
        if name == "streamline_frames_judged_total" and ("camera", camera) in labels
    )


def end_and_recover(
    line: RunningLine, name: str, signum: signal.Signals, cameras: Iterable[str] = CAMERAS
) -> None:
    """Send a worker a signal; wait until it was restarted and every camera is judged again."""
    before = restarts(line, name)
    worker(line, f"sl:{name}").send_signal(signum)
    since = time.monotonic()
    eventually(lambda: restarts(line, name) > before, f"{name} is restarted")
    noticed_s = time.monotonic() - since
    eventually(lambda: line.metric("streamline_worker_up", worker=name) == 1, f"{name} is up again")
    for camera in cameras:
        held = judged(line, camera)
        eventually(lambda: judged(line, camera) > held + 3, f"{camera} is judged after {name}")  # noqa: B023
    sys.stdout.write(
        f"{signum.name} of {name}: noticed after {noticed_s:.2f} s, "
        f"all cameras judged after {time.monotonic() - since:.2f} s\n"
    )


def ids(lines: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return [(line["camera"], line["incarnation"], line["seq"]) for line in lines]


def check_books(folder: Path, line: RunningLine) -> dict[str, Any]:
    """Hold the finished line's figures against its logs; return its report by camera."""
    cameras: dict[str, Any] = line.report()["cameras"]
    verdicts, drops = json_lines(folder / "verdicts.jsonl"), json_lines(folder / "drops.jsonl")
    assert max(Counter(ids(verdicts)).values()) == 1, "a frame was judged twice"
    assert not set(ids(verdicts)) & set(ids(drops)), "a frame was judged and dropped"
    for name, camera in cameras.items():
        assert camera["in_flight"] == 0
        logged = Counter(v["verdict"] for v in verdicts if v["camera"] == name)
        assert logged == Counter({k: n for k, n in camera["judged"].items() if n})
        reasons = Counter(f"{d['stage']}:{d['reason']}" for d in drops if d["camera"] == name)
        assert reasons == Counter(camera["dropped"])
    return cameras


@pytest.fixture
def line(tmp_path: Path, demo_model: Path) -> Iterator[RunningLine]:
    """A line of two cameras, ready."""
    with RunningLine(write_line(tmp_path, demo_model), tmp_path) as line:
        line.await_ready()
        eventually(lambda: all(judged(line, c) > 5 for c in CAMERAS), "verdicts of both cameras")
        yield line


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_line_survives_the_loss_of_each_worker_in_turn(
    signum: signal.Signals, tmp_path: Path, demo_model: Path
) -> None:
    source = {"type": "demo", "part": "inspect", "pace": 10, "loop": True}
    names = ("first", "second", "third", "fourth")
    pipeline = write_line(
        tmp_path, demo_model, cameras={name: {"source": source} for name in names}
    )
    with RunningLine(pipeline, tmp_path) as line:
        line.await_ready()
        eventually(lambda: all(judged(line, name) > 5 for name in names), "all are judged")
        with Watch(line) as watch:
            for name in ("infer", "alert", "camera-first"):
                end_and_recover(line, name, signum, names)
            line.stop()
            assert line.wait() == 0, line.log
    cameras = check_books(tmp_path, line)
    assert not any("source:crashed" in cameras[name]["dropped"] for name in names[1:])
    assert not watch.backwards
    assert watch.scrapes > 10
    sources = {
        (c, incarnation) for c, incarnation, _ in ids(json_lines(tmp_path / "verdicts.jsonl"))
    }
    assert Counter(camera for camera, _ in sources) == {**dict.fromkeys(names, 1), "first": 2}


def test_a_line_drains_while_its_workers_are_being_restarted(
    line: RunningLine, tmp_path: Path
) -> None:
    for title in ("sl:infer", "sl:alert", "sl:camera-right"):
        worker(line, title).kill()
    line.stop()
    assert line.wait() == 0, line.log
    check_books(tmp_path, line)


def test_a_source_that_dies_again_and_again_loses_only_what_it_held(
    line: RunningLine, tmp_path: Path
) -> None:
    for _ in range(3):
        end_and_recover(line, "camera-left", signal.SIGKILL)
    line.stop()
    assert line.wait() == 0, line.log
    cameras = check_books(tmp_path, line)
    assert "source:crashed" not in cameras["right"]["dropped"]
    # Four queued in front of each of two stages, a few sent ahead.
    assert cameras["left"]["dropped"].get("source:crashed", 0) < 3 * 16


@pytest.mark.parametrize("links", [{}, {"frames": "ipc"}, {"scores": "inproc"}], ids=str)
def test_the_books_close_whatever_dies_under_load_and_when(
    links: dict[str, str], tmp_path: Path, demo_model: Path
) -> None:
    source = {"type": "demo", "part": "inspect", "pace": 25, "loop": True}
    pipeline = write_line(
        tmp_path,
        demo_model,
        cameras={name: {"source": source} for name in CAMERAS},
        infer={"max_fps": 30},
        links=links,
    )
    moments = random.Random(11)  # noqa: S311 - of death
    with RunningLine(pipeline, tmp_path) as line:
        line.await_ready()
        with Watch(line) as watch:
            names = [child.name() for child in psutil.Process(line.pid).children(recursive=True)]
            victims = [name for name in names if name.startswith("sl:")] * 3
            for name in moments.sample(victims, len(victims)):
                eventually(lambda: len(alive(line, name)) == 1, f"{name} is there")  # noqa: B023
                time.sleep(moments.uniform(0, 1.5))
                for process in alive(line, name):
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
            for camera in CAMERAS:
                held = judged(line, camera)
                eventually(lambda: judged(line, camera) > held + 3, f"{camera} is judged")  # noqa: B023
            line.stop()
            assert line.wait() == 0, line.log
    cameras = check_books(tmp_path, line)
    assert not watch.backwards
    for name, camera in cameras.items():
        sys.stdout.write(f"{name}: {camera['captured']} captured, {camera['dropped']}\n")


def alive(line: RunningLine, title: str) -> list[psutil.Process]:
    family = psutil.Process(line.pid).children(recursive=True)
    return [child for child in family if is_alive(child, title)]


def is_alive(process: psutil.Process, title: str) -> bool:
    """Whether a process has that title and has not ended, not even while it is looked at."""
    try:
        return bool(process.name() == title and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_on_several_hosts_a_dead_source_loses_only_what_was_never_judged(
    tmp_path: Path, strict_model: Path
) -> None:
    """Every frame fails, and all are to be kept: what died with the source is skipped."""
    links = {name: f"tcp://127.0.0.1:{free_port()}" for name in ("prepared", "scores", "telemetry")}
    pipeline = write_line(tmp_path, strict_model, evidence=True, links=links)
    with (
        RunningLine(pipeline, tmp_path, stage="alert") as alert,
        RunningLine(pipeline, tmp_path, stage="infer") as infer,
        RunningLine(pipeline, tmp_path, stage="source") as source,
    ):
        alert.await_ready()
        eventually(lambda: all(judged(alert, c) > 5 for c in CAMERAS), "both are judged")
        for part, name in ((source, "camera-left"),) * 3 + ((infer, "infer"), (alert, "alert")):
            worker(part, f"sl:{name}").kill()
            held = judged(alert, "left")
            eventually(lambda: judged(alert, "left") > held + 10, f"left is judged after {name}")  # noqa: B023
        source.stop()
        assert source.wait() == 0, source.log
        there = json.loads(source.report_file.read_text())["cameras"]
        eventually(
            lambda: all(
                alert.metric("streamline_frames_captured_total", camera=c) == there[c]["captured"]
                for c in CAMERAS
            ),
            "the source's last figures have reached the exporter",
        )
        for part in (infer, alert):
            part.stop()
            assert part.wait() == 0, part.log
    cameras = check_books(tmp_path, alert)
    assert "source:crashed" not in cameras["right"]["dropped"]
    for name, camera in cameras.items():
        sys.stdout.write(f"{name}: {camera}\n")
        assert camera["judged"]["fail"] == camera["evidence"] + camera["evidence_skipped"]
        kept = list((tmp_path / "evidence" / name).glob("*/alert.json"))
        assert len(kept) >= camera["evidence"] == there[name]["evidence"] > 0


def test_a_file_that_vanishes_is_down_while_the_cameras_of_its_process_go_on(
    tmp_path: Path, demo_model: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(rendered_clip("inspect", 0).read_bytes())
    sources = {"left": clip, "right": rendered_clip("inspect", 0)}
    cameras = {
        name: {"source": {"type": "video", "path": str(path), "pace": 10, "loop": True}}
        for name, path in sources.items()
    }
    pipeline = write_line(tmp_path, demo_model, cameras=cameras, cameras_per_process=2)
    with RunningLine(pipeline, tmp_path) as line:
        line.await_ready()
        eventually(lambda: judged(line, "left") > 5, "left is judged")
        gone = clip.rename(tmp_path / "gone.mp4")
        end_and_recover(line, "cameras-1", signal.SIGKILL, ["right"])
        eventually(
            lambda: (
                line.metric("streamline_camera_down_reason", camera="left", reason="missing") == 1
            ),
            "left has looked for its file",
        )
        assert line.metric("streamline_camera_state", camera="left", state="down") == 1
        assert line.get("/healthz")[0] == 200
        held = judged(line, "left")
        gone.rename(clip)
        eventually(lambda: judged(line, "left") > held + 3, "left is back")
        line.stop()
        assert line.wait() == 0, line.log
    check_books(tmp_path, line)
    assert line.report()["faults"] == []
    (told,) = (one for one in line.log.splitlines() if "camera is down" in one)
    assert str(clip) in told
    assert "Traceback" not in line.log


def test_a_frame_that_kills_the_stage_each_time_is_set_aside(
    tmp_path: Path, demo_model: Path, runtime: Path
) -> None:
    with RunningLine(write_line(tmp_path, demo_model, evidence=True), tmp_path) as line:
        line.await_ready()
        poison = kill_with_one_frame(line, next(runtime.glob("*/infer.ledger")))
        eventually(
            lambda: (
                line.metric("streamline_frames_judged_total", camera="left", verdict="unknown") == 1
            ),
            "a frame was set aside",
        )
        stored = f"left-{poison[0]:x}-{poison[1]}.unknown"
        eventually(
            lambda: any((tmp_path / "evidence" / "left" / stored).glob("frame.*")),
            "the frame is kept as evidence",
        )
        for camera in CAMERAS:
            held = judged(line, camera)
            eventually(lambda: judged(line, camera) > held + 3, f"{camera} is judged")  # noqa: B023
        line.stop()
        assert line.wait() == 0, line.log
    cameras = check_books(tmp_path, line)
    unknown = [v for v in json_lines(tmp_path / "verdicts.jsonl") if v["verdict"] == "unknown"]
    assert [(v["incarnation"], v["seq"], v["reason"]) for v in unknown] == [(*poison, "poison")]
    assert "source:crashed" not in {*cameras["left"]["dropped"], *cameras["right"]["dropped"]}


def kill_with_one_frame(line: RunningLine, ledger: Path) -> tuple[int, int]:
    """Be a frame that kills the infer stage whenever it is on the device; return its id."""
    view = LedgerView(ledger)
    poison: tuple[int, int] | None = None
    victim: psutil.Process | None = None
    deaths = 0
    end = time.monotonic() + 90
    while deaths < 2:
        assert time.monotonic() < end, f"the frame ran {deaths} times"
        # Looked for before the frame runs: to go through all processes takes as long as that.
        if victim is None or not victim.is_running():
            victim = next(iter(alive(line, "sl:infer")), None)
            continue
        table = view.table("running", stage="infer").reshape(-1, 4)
        running = {(int(row[1]), int(row[2])) for row in table if row[0] == 1}
        if not running or (poison is not None and not on_device(view, poison, deaths)):
            continue
        # Stopped first: what is on the device now stays there until the kill.
        with suppress(psutil.NoSuchProcess):
            victim.suspend()
            again = {
                (int(r[1]), int(r[2]))
                for r in view.table("running", stage="infer").reshape(-1, 4)
                if r[0]
            }
            poison = poison or next(iter(running & again), None)
            if poison is None or poison not in again or not on_device(view, poison, deaths):
                victim.resume()
                continue
            deaths += 1  # Also by the supervisor, if it has found the stage stopped before this.
            victim.kill()
            victim.wait(10)
    view.close()
    assert poison is not None
    sys.stdout.write(f"frame {poison} killed the stage {deaths} times\n")
    return poison


def on_device(view: LedgerView, frame: tuple[int, int], deaths: int) -> bool:
    """Whether the frame runs now, and is not only on record since an earlier death."""
    for row in view.table("running", stage="infer").reshape(-1, 4):
        if row[0] == 1 and (int(row[1]), int(row[2])) == frame:
            return int(row[3]) == deaths + 1
    return False


def test_nothing_is_left_of_a_line_once_another_has_followed_it_whoever_was_killed(
    tmp_path: Path, demo_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = write_line(tmp_path, demo_model)
    # Of short names, as on a host: sockets have no room for a test's.
    with TemporaryDirectory(prefix="sl") as first, TemporaryDirectory(prefix="sl") as second:
        runtime, temporary = Path(first), Path(second)
        monkeypatch.setenv("XDG_RUNTIME_DIR", first)
        monkeypatch.setenv("TMPDIR", second)
        with RunningLine(pipeline, tmp_path / "killed") as line:
            line.await_ready()
            assert set(mapped_in_memory(kill_all(line))) <= set(runtime.glob("*/*"))
        left = [path for path in runtime.rglob("*") if not path.is_dir()]
        assert {path.suffix for path in left} >= {".ledger", ".sock"}
        assert any(path.name.startswith("listener-") for path in left)
        with RunningLine(pipeline, tmp_path / "following") as line:
            line.await_ready()
            eventually(lambda: all(judged(line, c) > 5 for c in CAMERAS), "both are judged")
            line.stop()
            assert line.wait() == 0, line.log
        assert all(path.is_file() and not path.stat().st_size for path in runtime.iterdir())
        assert list(temporary.iterdir()) == []


def kill_all(line: RunningLine) -> list[Path]:
    """End every process of a line at once; return the files that they had mapped."""
    supervisor = psutil.Process(line.pid)
    processes = [supervisor, *supervisor.children(recursive=True)]
    mapped = {Path(one.path) for p in processes for one in p.memory_maps(grouped=True)}
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # It has ended with the supervisor.
            process.kill()
    psutil.wait_procs(processes, timeout=60)
    return sorted(mapped)


def mapped_in_memory(mapped: list[Path]) -> list[Path]:
    """Those that a killed process leaves in memory."""
    return [one for one in mapped if one.suffix == ".ledger" or "shm" in one.parts]
