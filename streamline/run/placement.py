"""Which stages run in which worker: read off the links of the pipeline file."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from streamline.config import Pipeline
from streamline.metrics.catalogue import STAGES

__all__ = ["ALERTS", "InferShare", "WorkerPlan", "infer_shares", "plan"]

ALERTS: Final = "alerts"
"""The door of those who subscribe to alerts, beside those of the links."""

_DOORS: Final = {
    "source": (),
    "preprocess": ("frames",),
    "infer": ("prepared",),
    "alert": ("scores", ALERTS),
}


class InferShare(NamedTuple):
    """One infer stage: where its models run, and whose frames come to it."""

    name: str
    """``infer``, or ``infer-1`` … where there are several."""

    number: int
    """From 0 on."""

    device: str
    cameras: tuple[str, ...]
    """In the order of the file."""


def infer_shares(pipeline: Pipeline) -> list[InferShare]:
    """Share the cameras out among the devices: as many to each, those of one model together.

    Frames of one model make larger batches, and its head is wanted on fewer devices. Devices that
    are more than the cameras get none, and have no stage.
    """
    models = list(dict.fromkeys(camera.model.path for camera in pipeline.cameras.values()))
    names = sorted(pipeline.cameras, key=lambda one: models.index(pipeline.cameras[one].model.path))
    devices = pipeline.infer.all_devices[: len(names)]
    ends = [len(names) * (number + 1) // len(devices) for number in range(len(devices))]
    shares = []
    for number, (device, first, end) in enumerate(zip(devices, [0, *ends], ends, strict=False)):
        mine = frozenset(names[first:end])
        shares.append(
            InferShare(
                name="infer" if len(devices) == 1 else f"infer-{number + 1}",
                number=number,
                device=device,
                cameras=tuple(name for name in pipeline.cameras if name in mine),
            )
        )
    return shares


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """One worker of the line: a process, or all of the line in one."""

    name: str
    stages: tuple[str, ...]
    """In order of travel."""

    cameras: tuple[str, ...]
    """Whose frames its stages handle, the alert stage's apart: that one's are all."""

    share: InferShare | None = None
    """What its infer stage has; None without one."""

    @property
    def is_whole_line(self) -> bool:
        """Whether it has every stage: it is no process of its own then."""
        return len(self.stages) == len(STAGES)

    @property
    def doors(self) -> tuple[str, ...]:
        """Links that end here, and where subscribers come."""
        return tuple(door for stage in self.stages for door in _DOORS[stage])

    @property
    def serves_cameras_only(self) -> bool:
        """Whether other cameras can do without it: it has the source of all that it handles."""
        return "source" in self.stages and "infer" not in self.stages


def plan(pipeline: Pipeline, only: str | None = None) -> list[WorkerPlan]:
    """Place the stages: `inproc` glues two of them into one worker, other links separate them.

    Sources get a worker for each `Pipeline.cameras_per_process` cameras, in the file's order, as
    long as nothing is glued to all of them.

    Parameters
    ----------
    pipeline : Pipeline
    only : str, optional
        Name of a stage: leave out the workers that don't contain it.

    Returns
    -------
    list of WorkerPlan
        Downstream first, the order in which they are started.
    """
    workers = [
        worker
        for stages in reversed(list(_glued(pipeline)))
        for worker in _workers(pipeline, stages)
    ]
    return [worker for worker in workers if only is None or only in worker.stages]


def _glued(pipeline: Pipeline) -> Iterator[tuple[str, ...]]:
    """Yield the runs of stages that share a worker."""
    links = pipeline.links
    run = [STAGES[0]]
    for stage, link in zip(STAGES[1:], (links.frames, links.prepared, links.scores), strict=True):
        if link != "inproc":
            yield tuple(run)
            run = []
        run.append(stage)
    yield tuple(run)


def _workers(pipeline: Pipeline, stages: tuple[str, ...]) -> Iterator[WorkerPlan]:
    names = tuple(pipeline.cameras)
    if "infer" in stages:
        yield from _inferring(stages, infer_shares(pipeline), names)
        return
    if "source" not in stages:
        yield WorkerPlan(name="-".join(stages), stages=stages, cameras=names)
        return
    size = pipeline.cameras_per_process
    for number, first in enumerate(range(0, len(names), size), start=1):
        cameras = names[first : first + size]
        name = f"camera-{cameras[0]}" if size == 1 else f"cameras-{number}"
        yield WorkerPlan(name=name, stages=stages, cameras=cameras)


def _inferring(
    stages: tuple[str, ...], shares: list[InferShare], names: tuple[str, ...]
) -> Iterator[WorkerPlan]:
    """Yield a worker for each infer stage; stages that are glued to one are its only one."""
    if len(shares) == 1:
        yield WorkerPlan(name="-".join(stages), stages=stages, cameras=names, share=shares[0])
        return
    for share in shares:
        yield WorkerPlan(name=share.name, stages=stages, cameras=share.cameras, share=share)
