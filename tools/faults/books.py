"""What a line that has ended comes to: every frame accounted for, every alert delivered."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from streamline.audit.chain import Seal
from streamline.audit.verify import verify_run
from tests.support.line import eventually, json_lines
from tests.support.receiver import Posted
from tools.faults.order import disorder, firsts
from tools.faults.rig import Rig

__all__ = ["Books", "close_books", "ends_missing"]

_KINDS: Final = ("verdicts", "drops")


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Figures of a whole run, however often it was taken over."""

    captured: int
    judged: int
    unknown: int
    """Of those judged."""

    dropped: int
    unaccounted: int
    """Frames captured that are neither, by camera, added up."""

    alerts_raised: int
    alerts_delivered: int
    """Alerts whose begin every sink has got, counted once each."""

    repeated: int
    """Events that a sink got more than once: what de-duplication is for."""

    lines_lost: int
    """Lines of the logs that no disk took, as the line itself counts them."""

    restarts: int
    broken: tuple[str, ...]
    """What should hold and does not, each in a sentence."""


def close_books(rig: Rig) -> Books:
    """Let a rig's line end in good order, and hold all that it says and did against each other."""
    eventually(rig.is_told, "no alert waits any more", limit_s=150)
    lost = {kind: rig.lines_lost(kind) for kind in _KINDS}
    restarts = rig.restarts
    rig.line.stop()
    status = rig.line.wait()
    report: dict[str, Any] = json.loads(rig.line.report_file.read_text())
    cameras = report["cameras"].values()
    told = _told(rig)
    begun = {name: _of_kind(got, "new") for name, got in told.items()}
    broken = [
        *_of_end(rig, status),
        *_of_logs(rig, report, lost),
        *_of_alerts(rig, report, begun, lost),
        *_of_ends(told),
        *_of_what_was_published(rig, begun["jsonl"]),
        *disorder({**told, "zmq": rig.heard}),
        *_of_record(rig),
    ]
    return Books(
        captured=sum(one["captured"] for one in cameras),
        judged=sum(sum(one["judged"].values()) for one in cameras),
        unknown=sum(one["judged"]["unknown"] for one in cameras),
        dropped=sum(sum(one["dropped"].values()) for one in cameras),
        unaccounted=sum(abs(_unaccounted(one)) for one in cameras),
        alerts_raised=report["alerts"],
        alerts_delivered=len(set.intersection(*begun.values())),
        repeated=sum(len(got) - len(firsts(got)) for got in told.values()),
        lines_lost=sum(lost.values()),
        restarts=restarts,
        broken=tuple(broken),
    )


def _told(rig: Rig) -> dict[str, list[Posted]]:
    """Return what each sink has got that promises to bring it."""
    told = {
        "jsonl": json_lines(rig.kept / "alerts.jsonl"),
        "webhook": rig.hook.got,
    }
    if "command" in rig.sinks:
        told["command"] = json_lines(rig.given)
    wanted = len(firsts(told["jsonl"]))
    broker = rig.broker
    if broker is not None:
        told["mqtt"] = _heard(wanted, lambda: broker.heard)
    published = _heard(wanted, lambda: rig.heard)
    if not rig.judges_killed:
        told["zmq"] = published
    return told


def _of_what_was_published(rig: Rig, begun: set[str]) -> Iterator[str]:
    """Hold what came to a subscriber who was always there against what another sink was told.

    What is on its way from a stage that is killed is lost: hardly more than an event each time.
    """
    missing = len(begun - _of_kind(rig.heard, "new"))
    if missing > rig.judges_killed:
        yield f"{missing} alerts never came to a subscriber by ZeroMQ"


def _heard(events: int, heard: Callable[[], list[Posted]]) -> list[Posted]:
    """Return what came to one who listens, and whom the last of it may reach only now."""
    with suppress(AssertionError):  # What it has not heard by then it never got.
        eventually(lambda: len(firsts(heard())) >= events, "all is heard")
    return heard()


def _unaccounted(camera: dict[str, Any]) -> int:
    known = sum(camera["judged"].values()) + sum(camera["dropped"].values())
    return int(camera["captured"] - known)


def _of_end(rig: Rig, status: int) -> Iterator[str]:
    if status:
        yield f"the line ended with exit status {status}"
    if (rig.kept / "outbox.db").exists():
        yield "something waits in the outbox"
    if "Traceback" in rig.line.log:
        yield "there is a traceback in the log"


def _of_logs(rig: Rig, report: dict[str, Any], lost: dict[str, int]) -> Iterator[str]:
    """Hold the verdict and the drop log against the counts, frame by frame."""
    logged = {kind: Counter(map(_id, json_lines(rig.kept / f"{kind}.jsonl"))) for kind in _KINDS}
    both = logged["verdicts"] + logged["drops"]
    if twice := sum(count - 1 for count in both.values()):
        yield f"{twice} frames are logged twice"
    for kind, key in zip(_KINDS, ("judged", "dropped"), strict=True):
        counted = sum(sum(one[key].values()) for one in report["cameras"].values())
        written = logged[kind].total()
        if counted != written + lost[kind]:
            yield f"{counted} frames {key}: {written} are logged, {lost[kind]} lines are lost"
    for name, camera in report["cameras"].items():
        if camera["in_flight"] or _unaccounted(camera):
            yield f"{name}: the accounting does not close: {camera}"


def _id(line: dict[str, Any]) -> tuple[str, int, int]:
    return line["camera"], line["incarnation"], line["seq"]


def _of_alerts(
    rig: Rig, report: dict[str, Any], begun: dict[str, set[str]], lost: dict[str, int]
) -> Iterator[str]:
    """Hold what sinks got against what was raised."""
    for name, got in begun.items():
        if len(got) != report["alerts"]:
            yield f"{report['alerts']} alerts were raised, and {name} got {len(got)}"
    raised = {one["alert"] for one in json_lines(rig.kept / "verdicts.jsonl") if one["alert"]}
    for name, got in begun.items():
        if missing := raised - got:
            yield f"{name} never got {len(missing)} alerts that verdicts name"
        if not lost["verdicts"] and (more := got - raised):
            yield f"{name} got {len(more)} alerts that no verdict names"


def _of_kind(events: list[Posted], kind: str) -> set[str]:
    return {event["id"] for event in events if event["type"] == kind}


def _of_ends(told: Mapping[str, list[Posted]]) -> Iterator[str]:
    for name, got in told.items():
        if missing := ends_missing(got):
            yield f"{name} never got the end of {missing} alerts"


def ends_missing(events: list[Posted]) -> int:
    """Count the alerts whose end never came; the latest one of each camera may be on still."""
    began = {
        event["id"]: (event["camera"], event["incarnation"], event["seq"])
        for event in events
        if event["type"] == "new"
    }
    latest: dict[str, tuple[str, int, int]] = {}
    for frame in began.values():
        latest[frame[0]] = max(frame, latest.get(frame[0], frame))
    on = {began[one] for one in began.keys() - _of_kind(events, "end")}
    return len(on - set(latest.values()))


def _of_record(rig: Rig) -> Iterator[str]:
    """Verify the audit record: one run, whoever was killed in it."""
    runs = sorted((rig.kept / "runs").iterdir())
    if len(runs) != 1:
        yield f"the record is of {len(runs)} runs"
    for run in runs:
        yield from (f"record: {fault}" for fault in verify_run(run, Seal()).faults)
