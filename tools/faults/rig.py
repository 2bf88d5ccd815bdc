"""A line of several cameras with its servers, sinks and disk, each of which can be taken away."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import psutil

from tests.support import mosquitto
from tests.support.clips import encode, repeat
from tests.support.disks import BreakingDisk, SmallDisk, breaking_disk, small_disk
from tests.support.line import RunningLine, eventually
from tests.support.parts import parts
from tests.support.ports import free_port
from tests.support.receiver import Hook, receiver
from tests.support.rtsp_proxy import RtspProxy
from tests.support.rtsp_server import RtspServer
from tests.support.subscriber import subscribed
from tools.faults.clock import FalseClock
from tools.judge.line import Counters, own_runtime

__all__ = ["Layout", "Rig", "Served"]

_RATE: Final = 5
"""Frames a second of each camera: few, for many rigs share a processor."""

_SINKS: Final = ("jsonl", "webhook", "zmq", "command", "mqtt")

_FEW: Final = 8
"""Descriptors: fewer than any process of a line has open, so that whatever it closes it opens
nothing in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a rig consists of."""

    served: int = 1
    """Cameras that are read from an RTSP server each, by way of a proxy."""

    played: int = 1
    """Cameras that are files."""

    broker: bool = False
    """Whether an MQTT broker is told of alerts, beside a file, a web server, whoever subscribes by
    ZeroMQ, and a program."""

    disk_mb: int = 0
    """Size of the disk of its own that takes all that the line writes, MB; 0: there is none."""

    breaks: bool = False
    """Whether that disk can also fail for good; it can't be filled then."""

    clock: bool = False
    """Whether the line's clock can be set."""

    @property
    def cameras(self) -> list[str]:
        """Their names; of a process' title the kernel keeps no more than these have room for."""
        return [
            *(f"rtsp{n}" for n in range(self.served)),
            *(f"file{n}" for n in range(self.played)),
        ]


class Served:
    """A camera's server, and the proxy before it."""

    def __init__(self, clip: Path, seed: int) -> None:
        self.server = RtspServer(clip)
        self.server.start()
        self.proxy = RtspProxy(urlsplit(self.server.url).port or 0, seed=seed)

    def show(self, film: Path) -> None:
        """Serve something else at the same address."""
        self.server.stop()
        self.server.video = film
        self.server.start()


class Broker:
    """An MQTT broker and one who listens to it, which come and go together."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.port = free_port()
        self._folder = folder
        self._heard = folder / "heard"
        self._running = ExitStack()

    @property
    def heard(self) -> list[dict[str, Any]]:
        """Every event that was heard, in order."""
        return mosquitto.heard_events(self._heard)

    def up(self) -> None:
        """Start it, or start it again."""
        self._running.enter_context(mosquitto.broker(self._folder, self.port))
        if not self._heard.exists():
            mosquitto.subscribe(self.port)  # Only once: who does so hears what waits.
        self._running.enter_context(mosquitto.subscriber(self.port, self._heard))

    def down(self) -> None:
        """End it; what the subscriber has yet to hear is on its disk."""
        self._running.close()


class Rig:
    """Runs for as long as the context is open.

    Parameters
    ----------
    folder : Path
    clip, model : Path
        What cameras show, 25 frames a second, and what judges it.
    layout : Layout
    seed : int
        Of damage on the way.
    """

    def __init__(
        self, folder: Path, clip: Path, model: Path, layout: Layout, *, seed: int = 0
    ) -> None:
        self.layout = layout
        self.folder = folder
        self.served: list[Served] = []
        self.hook: Hook
        self.broker: Broker | None = None
        self.disk: SmallDisk | None = None
        self.breaking: BreakingDisk | None = None
        self.clock: FalseClock | None = None
        self.counters: Counters
        self.line: RunningLine
        self.kept = folder / "kept"
        """Folder of all that the line writes."""

        self.heard: list[dict[str, Any]]
        """What was published by ZeroMQ and came to one who has subscribed all the time."""

        self.given = folder / "given.jsonl"
        """What a program was given, an event a line."""

        self.film, self.other_film = folder / "film.mp4", folder / "other.mp4"
        """What RTSP servers show, and what they may show in its place, of another size."""

        self._clip = clip
        self._model = model
        self._seed = seed
        self._lives = 0
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            runtime = stack.enter_context(tempfile.TemporaryDirectory(prefix="sl"))
            stack.enter_context(own_runtime(Path(runtime)))
            self._prepare(stack)
            self.pipeline = self._write()
            self.start()
            stack.callback(self._end)
            self.counters = Counters(self.pipeline)
            stack.callback(self.counters.close)
            self.await_verdicts(2)
            self._open = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            sys.stderr.write(f"{dict(self.standing())}\n{self.line.log[-20_000:]}")
        self._open.__exit__(kind, value, traceback)

    def standing(self) -> Iterator[tuple[str, float]]:
        """Yield what waits or is not up, for who asks why a line is not as before."""
        for sink in self.sinks:
            yield f"{sink} waits", self.counters.total("streamline_outbox_pending", sink=sink)
        yield "durable", self.counters.total("streamline_outbox_durable")
        for name in self.layout.cameras:
            ok = self.counters.total("streamline_camera_state", camera=name, state="ok")
            yield f"{name} ok", ok
        for worker in self.workers:
            yield f"{worker} up", self.counters.total("streamline_worker_up", worker=worker)

    def _prepare(self, stack: ExitStack) -> None:
        self.folder.mkdir(exist_ok=True)
        size_mb = self.layout.disk_mb
        if size_mb and self.layout.breaks:
            self.breaking = stack.enter_context(breaking_disk(self.kept, megabytes=size_mb))
        elif size_mb:
            self.disk = stack.enter_context(small_disk(self.kept, megabytes=size_mb))
        else:
            self.kept.mkdir()
        if self.layout.clock:
            self.clock = FalseClock(self.folder / "clock")
        self._hook_port = free_port()
        self.hook = stack.enter_context(receiver(self._hook_port))
        self._heard_port = free_port()
        self.heard = stack.enter_context(subscribed(self._heard_port))
        if self.layout.broker:
            self.broker = Broker(self.folder / "broker")
            self.broker.up()
            stack.callback(self.broker.down)
        if self.layout.served:
            repeat(self._clip, self.film, seconds=600, slower=25 // _RATE)
            encode(parts(60 * _RATE, seed=self._seed), self.other_film, rate=_RATE)
            for number in range(self.layout.served):
                served = Served(self.film, self._seed + number)
                stack.callback(served.server.stop)
                stack.enter_context(served.proxy)
                self.served.append(served)

    def _write(self) -> Path:
        sources = [
            {"type": "rtsp", "url": one.proxy.url, "open_timeout_s": 2, "read_timeout_s": 2}
            for one in self.served
        ] + [
            {"type": "video", "path": str(self._clip), "pace": _RATE, "loop": True}
            for _ in range(self.layout.played)
        ]
        content = {
            "version": 1,
            "name": "rig",
            "model": str(self._model),
            "cameras": {
                name: {"source": source}
                for name, source in zip(self.layout.cameras, sources, strict=True)
            },
            "queue": {"policy": "drop_oldest", "depth": 64},
            "alert": {
                "k": 1,
                "n": 1,
                "update_s": 1,
                "sinks": self._sinks(),
                "outbox": {"path": str(self.kept / "outbox.db")},
            },
            "record": {
                "verdicts": str(self.kept / "verdicts.jsonl"),
                "drops": str(self.kept / "drops.jsonl"),
                "evidence": {
                    "path": str(self.kept / "evidence"),
                    "max_gb": 0.01,
                    "min_free_gb": 0,
                },
                "audit": str(self.kept / "runs"),
            },
            "metrics": {"port": 0},
            "drain_s": 60,
        }
        path = self.folder / "rig.yaml"
        path.write_text(json.dumps(content))
        return path

    def _sinks(self) -> list[dict[str, Any]]:
        hook = {"url": f"http://127.0.0.1:{self._hook_port}/hook", "timeout_s": 2}
        # One write a line, and none for who was killed before it gave the event: a program outlives
        # the stage that starts it.
        take = 'event=$(cat) && test -n "$event" && printf "%s\\n" "$event" >> "$0"'
        program = ["sh", "-c", take, str(self.given)]
        sinks: list[dict[str, Any]] = [
            {"type": "jsonl", "path": str(self.kept / "alerts.jsonl")},
            {"type": "webhook", **hook},
            {"type": "zmq", "address": f"tcp://127.0.0.1:{self._heard_port}"},
        ]
        if "command" in self.sinks:
            sinks.append({"type": "command", "run": program, "timeout_s": 5})
        if self.broker is not None:
            mqtt = {"type": "mqtt", "host": "127.0.0.1", "port": self.broker.port}
            sinks.append({**mqtt, "topic": "plant", "timeout_s": 2})
        return sinks

    @property
    def sinks(self) -> list[str]:
        """Names of those that are told of alerts."""
        absent = set() if self.broker is not None else {"mqtt"}
        if self.layout.clock:
            # libfaketime refuses every time.sleep (EINVAL), by which a program's end is waited for.
            absent.add("command")
        return [name for name in _SINKS if name not in absent]

    def start(self) -> None:
        """Start the line, or start it again, and wait until it is ready."""
        self._lives += 1
        self.line = RunningLine(self.pipeline, self.folder / f"life-{self._lives}")
        with self.clock.worn() if self.clock else nullcontext():
            self.line.__enter__()
        self.line.await_ready()

    @property
    def starts(self) -> int:
        """How often the line was started."""
        return self._lives

    def _end(self) -> None:
        self.line.__exit__(None, None, None)

    def kill_line(self) -> float:
        """SIGKILL the supervisor while frames are under way; return how long workers live on, s."""
        self.processes()["infer"].suspend()
        self.await_frame_under_way()
        workers = psutil.Process(self.line.pid).children(recursive=True)
        began_s = time.monotonic()
        os.kill(self.line.pid, signal.SIGKILL)
        psutil.wait_procs(workers, timeout=60)
        self.line.wait()
        return time.monotonic() - began_s

    def await_frame_under_way(self, **camera: str) -> None:
        """Wait until a frame of any camera, or of one, is neither judged nor dropped yet."""
        in_flight = "streamline_frames_in_flight"
        eventually(lambda: self.counters.total(in_flight, **camera) > 0, "a frame is under way")

    def second(self) -> subprocess.CompletedProcess[str]:
        """Run the same line a second time, to the end that it comes to."""
        return subprocess.run(
            [sys.executable, "-m", "streamline", "run", str(self.pipeline)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def processes(self) -> dict[str, psutil.Process]:
        """Return the line's processes: ``supervisor``, ``infer``, ``alert``, ``camera-…``."""
        supervisor = psutil.Process(self.line.pid)
        names = {f"sl:{worker}"[:15]: worker for worker in self.workers}
        found = {one.pid: (_name(one), one) for one in supervisor.children(recursive=True)}
        workers = {
            names[name]: one
            for name, one in found.values()
            # A program that a worker starts has the worker's name until it runs.
            if name in names and found.get(_parent(one), ("",))[0] != name
        }
        return {"supervisor": supervisor, **workers}

    @property
    def workers(self) -> list[str]:
        """Names of the workers."""
        return ["infer", "alert", *(f"camera-{name}" for name in self.layout.cameras)]

    @property
    def raised(self) -> int:
        """Alerts that have begun."""
        return round(self.counters.total("streamline_alerts_total"))

    @property
    def restarts(self) -> int:
        """Workers that were started again, and lines."""
        restarts = self.counters.total("streamline_worker_restarts_total")
        return round(restarts) + self._lives - 1

    @property
    def judges_killed(self) -> int:
        """How often the stage that tells the sinks was killed, by itself or with its line."""
        restarts = self.counters.total("streamline_worker_restarts_total", worker="alert")
        return round(restarts) + self._lives - 1

    def lines_lost(self, log: str | None = None) -> int:
        """Return how many lines no disk took, of one log or of all, as the line counts them."""
        labels = {} if log is None else {"log": log}
        return round(self.counters.total("streamline_log_lines_lost_total", **labels))

    def is_told(self) -> bool:
        """Whether no alert waits for a sink, or for a disk."""
        return self.is_durable() and self.counters.total("streamline_outbox_pending") == 0

    def is_durable(self) -> bool:
        """Whether alerts that wait are on the disk."""
        return self.counters.total("streamline_outbox_durable") == 1

    def are_up(self) -> bool:
        """Whether every worker runs and every camera delivers what can be judged."""
        cameras = self.counters.total("streamline_camera_state", state="ok")
        running = self.counters.total("streamline_worker_up")
        return cameras == len(self.layout.cameras) and running == len(self.workers)

    def await_verdicts(self, count: int, *, limit_s: float = 90) -> None:
        """Wait until every camera has so many more verdicts with a score."""
        held = {name: self._scored(name) for name in self.layout.cameras}
        eventually(
            lambda: all(self._scored(name) >= held[name] + count for name in held),
            "every camera is judged",
            limit_s=limit_s,
        )

    def _scored(self, camera: str) -> float:
        unknown = self.counters.total("streamline_frames_unknown_total", camera=camera)
        return self.counters.judged(camera) - unknown

    @contextmanager
    def short_of_descriptors(self) -> Iterator[None]:
        """Let no process of the line open anything more."""
        held = {one: one.rlimit(psutil.RLIMIT_NOFILE) for one in self.processes().values()}
        for one, (_, most) in held.items():
            one.rlimit(psutil.RLIMIT_NOFILE, (_FEW, most))
        try:
            yield
        finally:
            for one, limits in held.items():
                if one.is_running():
                    one.rlimit(psutil.RLIMIT_NOFILE, limits)


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""


def _parent(process: psutil.Process) -> int:
    try:
        return int(process.ppid())
    except psutil.NoSuchProcess:
        return 0
