"""One camera's evidence on disk, within its share of the quota."""

import contextlib
import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from streamline.clock import monotonic_ns, wall_ns
from streamline.messages import PinKind

__all__ = ["RECORD", "Item", "Limits", "NoRoomError", "Store", "is_safe_name", "items_in"]

RECORD: Final = "alert.json"
"""File of an item that tells what it is, with the hashes of the others."""

_PARTIAL: Final = ".partial"
_REMOVED: Final = ".removed"
_BLOCK: Final = 4096
"""What a disk gives away at least, for a file or a folder, bytes."""

# A pin comes from another process, perhaps another host: its id must not leave the folder.
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:+-]{0,127}")


class NoRoomError(Exception):
    """What is to be kept is worth less than all that would have to go for it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """``quota`` or ``disk``."""


class Limits(NamedTuple):
    """What a camera's evidence may take."""

    max_bytes: int
    """The camera's share of the quota."""

    min_free_bytes: int = 0
    """What must stay free on the disk."""

    max_age_ns: int | None = None
    """What is older goes; None: nothing goes for its age."""


class Item(NamedTuple):
    """A frame that is stored."""

    written_ns: int
    kind: PinKind
    name: str
    """Of its folder."""

    size: int


def is_safe_name(name: str) -> bool:
    """Whether an id can be a folder's name without leaving the folder above it."""
    return _SAFE_NAME.fullmatch(name) is not None


class Store:
    """Keeps items, a folder of files each, and removes the least valuable where room is short.

    An item's folder is called by its id, one that is no alert's begin with its kind behind
    (``left-18c-7.fail``). Passes go first, then unknowns, then fails, begins of alerts last; of a
    kind the oldest; and never one that is worth more than what comes. While the disk has less
    free than its minimum, new items only take the place of old ones.

    An item appears complete or not at all, and goes the same way: what a process that died has
    left half done is cleared by the next one. A folder has one writer.

    Parameters
    ----------
    folder : Path
        The camera's own; made when it is first needed.
    limits : Limits
    on_removing : callable
        Called with each item that is about to be removed, and why: ``quota`` (the camera's share
        is used up), ``disk`` (it is almost full) or ``age``.
    """

    def __init__(
        self, folder: Path, limits: Limits, *, on_removing: Callable[[Item, str], None]
    ) -> None:
        self.folder = folder
        self._limits = limits
        self._on_removing = on_removing
        self._opened_ns = wall_ns() - monotonic_ns()
        self._items: dict[PinKind, deque[Item]] = {kind: deque() for kind in PinKind}
        self.used_bytes = 0
        """What the items take on the disk."""

    def open(self) -> None:
        """Clear what a dead process has left, and take stock of the rest."""
        if not self.folder.is_dir():
            return
        for entry in list(os.scandir(self.folder)):
            if entry.name.startswith(".") and entry.name.endswith((_PARTIAL, _REMOVED)):
                shutil.rmtree(entry.path, ignore_errors=True)
        for item in sorted(items_in(self.folder)):
            self._add(item)
        self.expire()

    def expire(self) -> None:
        """Remove what is too old, passes first."""
        if self._limits.max_age_ns is None:
            return
        # A clock that is set ahead meanwhile, perhaps for a moment, makes nothing old.
        now_ns = min(wall_ns(), self._opened_ns + monotonic_ns())
        oldest_ns = now_ns - self._limits.max_age_ns
        for items in self._items.values():
            while items and items[0].written_ns < oldest_ns:
                self._remove_oldest(items, "age")

    def holds(self, item_id: str, kind: PinKind) -> bool:
        """Whether an item is here."""
        return (self.folder / kind.item(item_id)).exists()

    def put(self, item_id: str, kind: PinKind, files: Mapping[str, bytes]) -> None:
        """Write an item, after making room for it.

        Raises
        ------
        NoRoomError
            If less valuable items do not make enough room; none was removed then.
        OSError
            If the disk fails.
        """
        size = _BLOCK + sum(_on_disk(len(data)) for data in files.values())
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_room(kind, size)
        name = kind.item(item_id)
        partial = self.folder / f".{name}{_PARTIAL}"
        partial.mkdir()
        try:
            for file, data in files.items():
                _write(partial / file, data)
            _sync(partial)
            partial.rename(self.folder / name)
            _sync(self.folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        written_ns = (self.folder / name).stat().st_mtime_ns
        self._add(Item(written_ns, kind, name, size))

    def _make_room(self, kind: PinKind, size: int) -> None:
        self.expire()
        disk = os.statvfs(self.folder)
        most, least_free = self._limits.max_bytes, self._limits.min_free_bytes
        is_short = disk.f_bavail * disk.f_frsize - size < least_free
        reason = "disk" if is_short else "quota"
        missing = self.used_bytes + size - (min(most, self.used_bytes) if is_short else most)
        victims = []
        for item in self._by_worth(kind):
            if missing <= 0:
                break
            victims.append(item)
            missing -= item.size
        if missing > 0:
            what = "the disk is almost full" if is_short else "the camera's share is used up"
            msg = f"{what}, and nothing there is worth less than this {kind}"
            raise NoRoomError(reason, msg)
        for item in victims:
            self._remove_oldest(self._items[item.kind], reason)

    def _by_worth(self, most: PinKind) -> Iterator[Item]:
        """Yield what may go for something of a kind, in the order in which it goes."""
        for kind in PinKind:
            if kind.worth <= most.worth:
                yield from self._items[kind]

    def _remove_oldest(self, items: deque[Item], reason: str) -> None:
        item = items[0]
        # Told first: what is told and then stays is found again, what goes untold looks stolen.
        self._on_removing(item, reason)
        gone = self.folder / f".{item.name}{_REMOVED}"
        # Who removed it by hand has done our work.
        with contextlib.suppress(FileNotFoundError):
            (self.folder / item.name).rename(gone)
        items.popleft()
        self.used_bytes -= item.size
        shutil.rmtree(gone, ignore_errors=True)

    def _add(self, item: Item) -> None:
        self._items[item.kind].append(item)
        self.used_bytes += item.size


def _kind(name: str) -> PinKind:
    suffix = name.rpartition(".")[2]
    return PinKind(suffix) if suffix in set(PinKind) else PinKind.BEGIN


def items_in(folder: Path) -> Iterator[Item]:
    """Yield the items of a folder; what holds no record is not ours to count or remove."""
    for entry in os.scandir(folder) if folder.is_dir() else ():
        if is_safe_name(entry.name) and entry.is_dir(follow_symlinks=False):
            sizes = {file.name: file.stat().st_size for file in os.scandir(entry.path)}
            if RECORD in sizes:
                size = _BLOCK + sum(map(_on_disk, sizes.values()))
                yield Item(entry.stat().st_mtime_ns, _kind(entry.name), entry.name, size)


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make the folder's entries survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
