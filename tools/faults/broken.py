"""A disk that turns read-only for good, under a line that is reloaded and killed on it."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.line import RunningLine, eventually
from tests.support.receiver import names
from tools.faults.rig import Rig

__all__ = ["Broken", "break_disk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """What became of it."""

    judged: int
    unaccounted: int
    """Frames captured that were neither judged nor counted as dropped."""

    raised: int
    delivered: int
    """Alerts whose begin came to the sink that needs no disk, counted once each."""

    meanwhile: int
    """Of those, alerts that began on the broken disk."""

    lines_lost: int
    """Lines of the logs that the disk did not take, as the line itself counts them."""

    faults: tuple[str, ...]
    """What else should hold and does not, each in a sentence."""

    @property
    def wrong(self) -> Iterator[str]:
        """Everything that should hold and does not."""
        yield from self.faults
        if self.unaccounted:
            yield f"{self.unaccounted} frames are unaccounted"
        if self.delivered != self.raised:
            yield f"{self.raised} alerts were raised, and {self.delivered} delivered"


def break_disk(rig: Rig) -> Broken:
    """Break a rig's disk, reload the line and kill it, part and whole; mend it after its end.

    Parameters
    ----------
    rig : Rig
        With a disk that breaks; its web server is the sink that needs none.
    """
    disk = rig.breaking
    if disk is None:
        msg = "this rig has no disk that breaks"
        raise ValueError(msg)
    eventually(lambda: rig.raised > 1 and rig.is_told(), "alerts are delivered")
    before = rig.raised
    disk.fail()
    eventually(lambda: rig.lines_lost() > 0 and not rig.is_durable(), "the loss is stated")
    os.kill(rig.line.pid, signal.SIGHUP)
    eventually(lambda: rig.line.metric("streamline_reload_refused") == 1, "the line stays as it is")
    restarts = rig.restarts
    rig.processes()["alert"].kill()
    eventually(lambda: rig.restarts > restarts and rig.are_up(), "alert is restarted")
    _await_alerts(rig)
    rig.kill_line()
    rig.start()
    _await_alerts(rig)
    lost = rig.lines_lost()
    rig.line.stop()
    status = rig.line.wait()
    report: dict[str, Any] = json.loads(rig.line.report_file.read_text())
    cameras = report["cameras"].values()
    judged = sum(sum(one["judged"].values()) for one in cameras)
    dropped = sum(sum(one["dropped"].values()) for one in cameras)
    faults = [f"the line ended with exit status {status}"] if status else []
    if "Traceback" in rig.line.log:
        faults.append("there is a traceback in the log")
    delivered = {one for one, kind in names(rig.hook.got) if kind == "new"}
    disk.unmount()
    disk.mount()
    faults += _after(rig)
    return Broken(
        judged=judged,
        unaccounted=abs(sum(one["captured"] for one in cameras) - judged - dropped),
        raised=report["alerts"],
        delivered=len(delivered),
        meanwhile=report["alerts"] - before,
        lines_lost=lost,
        faults=tuple(faults),
    )


def _await_alerts(rig: Rig) -> None:
    """Wait until the line judges, and has alerts delivered that begin from now on."""
    held = rig.raised
    rig.await_verdicts(2)
    eventually(lambda: rig.raised > held + 1, "alerts begin on the broken disk")
    waiting = "streamline_outbox_pending"
    eventually(lambda: rig.counters.total(waiting, sink="webhook") == 0, "they are delivered")


def _after(rig: Rig) -> Iterator[str]:
    """Start the line on the mended disk, and tell what is not as it should be."""
    told = len(rig.hook.got)
    with RunningLine(rig.pipeline, rig.folder / "after") as line:
        line.await_ready()
        eventually(lambda: len(rig.hook.got) > told, "alerts are delivered again")
        eventually(lambda: line.metric("streamline_outbox_durable") == 1, "alerts are stored again")
        line.stop()
        if status := line.wait():
            yield f"the line ended with exit status {status} on the mended disk"
        if not line.report()["alerts"]:
            yield "no alert was raised on the mended disk"
