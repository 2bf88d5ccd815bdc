"""All that is looked at, in an order in which one thing explains the next."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streamline.config import Pipeline, missing_files
from streamline.doctor import cameras, computer, installation, storage
from streamline.doctor.clock import ClockWatch, clock
from streamline.doctor.finding import Finding, Status, fail
from streamline.doctor.locks import locks
from streamline.doctor.ports import ports
from streamline.doctor.receivers import receivers
from streamline.errors import InputError
from streamline.machine import Machine, this_machine
from streamline.run.placement import plan
from streamline.run.runtime import Runtime

__all__ = ["Examination", "examine_computer", "examine_pipeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found."""

    machine: Machine
    findings: tuple[Finding, ...]

    @property
    def fails(self) -> int:
        """How many things can't work."""
        return sum(one.status is Status.FAIL for one in self.findings)


def examine_computer() -> Examination:
    """Look at what a line would find on this computer."""
    machine, watch = this_machine(), ClockWatch()
    places = storage.places_of_computer()
    findings = [
        *_installed(machine),
        *cameras.listed(cameras.video_devices()),
        storage.runtime(),
        *storage.writable(places),
        *storage.disks(places),
        clock(watch),
    ]
    return Examination(machine=machine, findings=tuple(findings))


def examine_pipeline(pipeline: Pipeline, *, seconds: float, only: str | None = None) -> Examination:
    """Look at this computer, and at everything that a pipeline file asks of it.

    Parameters
    ----------
    seconds : float
        How long each camera is watched, s.
    only : str, optional
        The stage that runs on this computer, of a line over several; all unless given.
    """
    machine, watch = this_machine(), ClockWatch()
    stages = {stage for worker in plan(pipeline, only) for stage in worker.stages}
    is_running = _is_running(pipeline, only or "")
    places = [*storage.places_of_computer(), *storage.places_of_line(pipeline)]
    findings = [
        *_installed(machine),
        *installation.extras(pipeline),
        *(
            fail("file", line, "see the line that it names")
            for line in missing_files(pipeline, stages)
        ),
        *(_at_the_cameras(pipeline, seconds, is_running=is_running) if "source" in stages else ()),
        *(computer.inference(pipeline) if "infer" in stages else ()),
        *(receivers(pipeline) if "alert" in stages else ()),
        *locks(pipeline),
        *ports(pipeline, is_running=is_running),
        storage.runtime(),
        *storage.writable(places),
        *storage.disks(places),
        *storage.room_in_memory(pipeline),
        clock(watch),
    ]
    return Examination(machine=machine, findings=tuple(findings))


def _at_the_cameras(pipeline: Pipeline, seconds: float, *, is_running: bool) -> Iterator[Finding]:
    """Look at what only the computer needs that reads the cameras."""
    yield from cameras.listed(cameras.video_devices())
    yield from cameras.probed(pipeline, seconds=seconds, is_running=is_running)


def _installed(machine: Machine) -> Iterator[Finding]:
    yield installation.versions(machine)
    yield computer.processor(machine)
    yield computer.memory(machine)
    yield installation.opencv(installation.installed_opencv())
    yield computer.openvino()
    yield installation.telemetry()
    yield from computer.cuda()


def _is_running(pipeline: Pipeline, part: str) -> bool:
    """Whether this line runs: somebody has its lock.  Only looked at, so that it is not held."""
    try:
        lock = os.stat(f"{Runtime.of(pipeline, part).folder}.lock")  # noqa: PTH116 - of a name, no path
    except (FileNotFoundError, InputError):  # Without a folder for its lock none can run.
        return False
    device = f"{os.major(lock.st_dev):02x}:{os.minor(lock.st_dev):02x}:{lock.st_ino}"
    held = Path("/proc/locks").read_text("ascii").splitlines()
    return any(device in line.split() for line in held)
