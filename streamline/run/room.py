"""How much shared memory a line takes: pixels on their way between its processes, and counters."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from streamline.alert.outbox_file import SPARE_BYTES
from streamline.config import Camera, Pipeline
from streamline.errors import InputError

__all__ = ["require_room", "shared_memory_bytes", "shelf_places"]

_BATCHES_LIVE: Final = 1
_BATCHES_OF_FILES: Final = 6
"""Full batches of a camera's frames that find room where both ends can see them; what is beyond
that, on machines that work on more of them side by side, travels by message."""

_LEDGERS_BYTES: Final = 1_500_000
"""Counters of a camera's workers; 0.7 MB were measured, 1.1 MB with evidence."""


_ALERTS_BYTES: Final = SPARE_BYTES + 1_000_000
"""Alerts that wait while no disk takes them, and what SQLite needs beside them."""


def shelf_places(camera: Camera, pipeline: Pipeline) -> int:
    """Return how many prepared frames of a camera may be on their way at once."""
    batches = _BATCHES_LIVE if camera.live else _BATCHES_OF_FILES
    return camera.queue.depth + batches * pipeline.infer.batch.max


def shared_memory_bytes(pipeline: Pipeline, sizes: Mapping[str, tuple[int, int]]) -> int:
    """Return what a line takes of ``/dev/shm``, or wherever its private folder is, B.

    Parameters
    ----------
    sizes : mapping of camera name to (h, w)
        Input size of each camera's model, px.
    """
    shelves = 0
    if pipeline.links.prepared == "ipc":
        for name, camera in pipeline.cameras.items():
            height, width = sizes[name]
            shelves += shelf_places(camera, pipeline) * height * width * 3
    alerts = _ALERTS_BYTES if pipeline.alert.sinks else 0
    return shelves + alerts + _LEDGERS_BYTES * len(pipeline.cameras)


def require_room(folder: Path, pipeline: Pipeline, sizes: Mapping[str, tuple[int, int]]) -> None:
    """Check that a line's folder can hold what it will: memory that ends later ends its workers.

    Parameters
    ----------
    folder : Path
        Holds what a line before has left, which is gone on with.
    sizes : mapping of camera name to (h, w)
        Input size of each camera's model, px.

    Raises
    ------
    InputError
        If it can't.
    """
    held = sum(entry.stat().st_blocks * 512 for entry in folder.iterdir())
    has, needs = shutil.disk_usage(folder).free + held, shared_memory_bytes(pipeline, sizes)
    if has < needs:
        msg = (
            f"{folder.parent} has {has / 1e6:.0f} MB for this line, which needs {needs / 1e6:.0f} "
            f"MB of shared memory; mount it larger (of a container: shm_size: {needs / 5e5:.0f}m)"
        )
        raise InputError(msg)
