"""Very many alerts at once: a real alert stage, told by a link what was scored."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import zmq

from streamline.clock import monotonic_ns, wall_ns
from streamline.messages import FrameId, Origin, Scored
from streamline.model import read_manifest
from streamline.transport.link import Outlet
from streamline.transport.wire import decode_outcome, encode_scored
from tests.support.line import RunningLine, eventually, json_lines
from tests.support.ports import free_port
from tests.support.receiver import names, receiver

__all__ = ["Burst", "burst"]

_CAMERA = "left"
_DEPTH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What became of it."""

    raised: int
    delivered: int
    """Alerts whose begin and end every sink got, counted once each."""

    repeated: int
    unaccounted: int
    """Frames without a verdict, in the log or by the counts."""

    judged_s: float
    """Until the last verdict."""

    delivered_s: float
    """From then until nothing waited any more."""


def burst(folder: Path, model: Path, *, alerts: int, hook: bool) -> Burst:
    """Let every other frame fail, each fail an alert; wait until all sinks are told.

    Parameters
    ----------
    folder : Path
        Which is free.
    model : Path
        Whose threshold holds.
    alerts : int
    hook : bool
        Whether a web server is told, too, with a request each.
    """
    folder.mkdir()
    ports = {name: free_port() for name in ("prepared", "scores", "telemetry", "hook")}
    pipeline = _write(folder, model, ports, hook=hook)
    with (
        receiver(ports["hook"]) as web,
        RunningLine(pipeline, folder, stage="alert") as line,
    ):
        line.await_ready()
        began_s = time.monotonic()
        answered = _send(f"tcp://127.0.0.1:{ports['scores']}", model, 2 * alerts)
        judged_s = time.monotonic() - began_s
        eventually(
            lambda: _waiting(line) == 0, "nothing waits for any sink", limit_s=60 + alerts / 20
        )
        delivered_s = time.monotonic() - began_s - judged_s
        line.stop()
        if status := line.wait():
            msg = f"the alert stage ended with exit status {status}\n{line.log}"
            raise SystemExit(msg)
    told = [json_lines(folder / "alerts.jsonl"), *([web.got] if hook else [])]
    verdicts = json_lines(folder / "verdicts.jsonl")
    # Not of a whole line: nobody here captures.
    report = json.loads(line.report_file.read_text())
    judged = sum(report["cameras"][_CAMERA]["judged"].values())
    expected = {verdict["alert"] for verdict in verdicts if verdict["alert"]}
    whole = [_whole(names(got)) & expected for got in told]
    return Burst(
        raised=report["alerts"],
        delivered=len(set.intersection(*whole)),
        repeated=sum(len(got) - len(names(got)) for got in told),
        unaccounted=max(
            abs(2 * alerts - count)
            for count in (answered, judged, len({one["seq"] for one in verdicts}))
        ),
        judged_s=judged_s,
        delivered_s=delivered_s,
    )


def _write(folder: Path, model: Path, ports: dict[str, int], *, hook: bool) -> Path:
    sinks: list[dict[str, object]] = [{"type": "jsonl", "path": "alerts.jsonl"}]
    if hook:
        sinks.append({"type": "webhook", "url": f"http://127.0.0.1:{ports['hook']}/hook"})
    content = {
        "version": 1,
        "name": "burst",
        "model": str(model),
        "cameras": {_CAMERA: {"source": "demo://inspect"}},
        "alert": {"k": 1, "n": 1, "sinks": sinks, "outbox": {"path": "outbox.db"}},
        "record": {"verdicts": "verdicts.jsonl"},
        "links": {
            name: f"tcp://127.0.0.1:{ports[name]}" for name in ("prepared", "scores", "telemetry")
        },
        "metrics": {"port": 0},
    }
    path = folder / "burst.yaml"
    path.write_text(json.dumps(content))
    return path


def _scored(model: Path, frames: int) -> Iterator[Scored]:
    digest = read_manifest(model).digest[:12]
    for seq in range(frames):
        origin = Origin(FrameId(_CAMERA, 1, seq), monotonic_ns(), wall_ns(), 0)
        yield Scored(origin=origin, score=1e-9 if seq % 2 else 1e9, model=digest)


def _send(address: str, model: Path, frames: int) -> int:
    """Be the infer stage; return how many verdicts came back."""
    answered = 0
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with closing(Outlet[int](context, address, name="infer", depth=_DEPTH, evict=False)) as outlet:
        scored = _scored(model, frames)
        waiting = True
        while waiting or answered < frames:
            outlet.socket.poll(20)
            while waiting and outlet.room:
                one = next(scored, None)
                waiting = one is not None
                if one is not None:
                    outlet.offer(encode_scored(one), one.origin.id.seq)
            for _, answer in outlet.exchange():
                decode_outcome(answer or b"")
                answered += 1
    context.term()
    return answered


def _waiting(line: RunningLine) -> float:
    figures = line.metrics()
    return sum(value for (name, _), value in figures.items() if name == "streamline_outbox_pending")


def _whole(events: list[tuple[str, str]]) -> set[str]:
    """Alerts of which both begin and end came."""
    begun = {one for one, kind in events if kind == "new"}
    return begun & {one for one, kind in events if kind == "end"}
