"""Folders and disks: whether what a line writes finds permission and room."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from streamline.caches import cache_folder
from streamline.config import JsonlSink, Pipeline
from streamline.doctor.finding import Finding, fail, ok, warn
from streamline.errors import InputError, StreamlineError
from streamline.run.models import read_manifests
from streamline.run.places import passed_over, private_base, state_base
from streamline.run.room import shared_memory_bytes
from streamline.run.runtime import outbox_path

__all__ = [
    "Writing",
    "disks",
    "places_of_computer",
    "places_of_line",
    "room_in_memory",
    "runtime",
    "writable",
]


_LEAST_GB: Final = 0.05
"""A disk with less than this free is full, 10⁹ bytes."""


class Writing(NamedTuple):
    """A folder that something is written into; it need not exist yet."""

    what: str
    folder: Path
    takes_gb: float = 0.0
    """At most, 10⁹ bytes; 0: little, or as much as the operator lets it."""

    keeps_free_gb: float = 0.0
    """Nothing more is written while less than this is free, 10⁹ bytes."""


def places_of_computer() -> list[Writing]:
    """Return where every line writes, whatever its file says."""
    found = [Writing("state", state_base()), Writing("cache", cache_folder(""))]
    with suppress(InputError):  # `runtime` tells of it.
        found.append(Writing("runtime", private_base()))
    return found


def places_of_line(pipeline: Pipeline) -> list[Writing]:
    """Return where a line writes, by its file."""
    record = pipeline.record
    found = [Writing("alert.outbox", outbox_path(pipeline).parent)]
    found += [
        Writing(f"record.{key}", file.parent)
        for key, file in (("verdicts", record.verdicts), ("drops", record.drops))
        if file is not None
    ]
    if (kept := record.evidence) is not None:
        found.append(Writing("record.evidence", kept.path, kept.max_gb, kept.min_free_gb))
    if (audit := record.audit) is not None:
        found.append(Writing("record.audit", audit.path, audit.max_gb))
    found += [
        Writing(f"alert.sinks.{number}", sink.path.parent)
        for number, sink in enumerate(pipeline.alert.sinks)
        if isinstance(sink, JsonlSink)
    ]
    found += [Writing("model", path.parent) for path in _to_be_learnt(pipeline)]
    return list(dict.fromkeys(found))


def _to_be_learnt(pipeline: Pipeline) -> Iterator[Path]:
    for camera in pipeline.cameras.values():
        if camera.model.learn is not None and not camera.model.path.exists():
            yield camera.model.path


def writable(places: list[Writing]) -> Iterator[Finding]:
    """Look whether this user may write into folders, or make them."""
    good = []
    for place in places:
        there = _existing(place.folder)
        if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
            good.append(f"{place.what} {place.folder}")
            continue
        yield fail(
            "permission",
            f"{place.what}: {place.folder}: this user may not write into {there}",
            f"sudo chown {_user()} {there}, or name another folder",
        )
    if good:
        yield ok("permission", f"may be written: {', '.join(good)}")


def disks(places: list[Writing]) -> Iterator[Finding]:
    """Look whether there is room on each disk for what may be written to it."""
    by_disk: dict[int, list[Writing]] = {}
    for place in places:
        by_disk.setdefault(_existing(place.folder).stat().st_dev, []).append(place)
    for together in by_disk.values():
        yield _disk(together)


def _disk(together: list[Writing]) -> Finding:
    """Judge one disk by all that is written to it."""
    there = _existing(together[0].folder)
    free_gb = shutil.disk_usage(there).free / 1e9
    takes_gb = sum(place.takes_gb for place in together)
    keeps_gb = max(place.keeps_free_gb for place in together)
    what = f"{free_gb:.1f} GB free at {there}, for {', '.join(place.what for place in together)}"
    if free_gb < max(keeps_gb, _LEAST_GB):
        remedy = "make room, or name folders on another disk"
        return fail("disk", f"{what}: too little to write anything", remedy)
    if free_gb < takes_gb + keeps_gb:
        what += f", which may take {takes_gb:g} GB less what they have stored already"
        return warn("disk", what, "make room, or lower max_gb")
    return ok("disk", what)


def runtime() -> Finding:
    """Look whether there is a folder for sockets and counters that is safe from other users."""
    try:
        base = private_base()
    except InputError as exc:
        what, _, remedy = str(exc).rpartition("; ")
        return fail("runtime", what, remedy)
    if (unsafe := passed_over()) is not None:
        return warn(
            "runtime",
            f"{unsafe} is another user's, or any user may write there: {base} is taken",
            "set XDG_RUNTIME_DIR to a folder of this user (mode 0700), or to nothing",
        )
    return ok("runtime", f"sockets and counters go to {base}")


def room_in_memory(pipeline: Pipeline) -> Iterator[Finding]:
    """Look whether a line's counters and pixels find room in shared memory."""
    with suppress(InputError):  # `runtime` tells of it.
        yield _room_in_memory(pipeline, private_base())


def _room_in_memory(pipeline: Pipeline, base: Path) -> Finding:
    free_mb = shutil.disk_usage(base).free / 1e6
    try:
        sizes = {
            name: (one.input.height, one.input.width)
            for name, one in read_manifests(pipeline).items()
        }
    except StreamlineError:
        return ok(
            "shared memory", f"{free_mb:.0f} MB free at {base}; what it needs hangs on models"
        )
    needs_mb = shared_memory_bytes(pipeline, sizes) / 1e6
    what = f"{free_mb:.0f} MB free at {base}, the line needs {needs_mb:.1f}"
    if free_mb < needs_mb:
        remedy = f"mount it larger; in a container: shm_size: {needs_mb * 2:.0f}m"
        return fail("shared memory", what, remedy)
    return ok("shared memory", what)


def _existing(folder: Path) -> Path:
    """Return the folder, or that above it which is there."""
    return next(one for one in (folder, *folder.absolute().parents) if one.exists())


def _user() -> str:
    return os.environ.get("USER") or str(os.getuid())
