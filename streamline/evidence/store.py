"""One camera's evidence on disk, within its share of the quota."""

import contextlib
import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from streamline.messages import PinKind

__all__ = ["NoRoomError", "Store", "is_safe_name"]

_PARTIAL: Final = ".partial"
_REMOVED: Final = ".removed"
_RECORD: Final = "alert.json"
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


class _Item(NamedTuple):
    written_ns: int
    name: str
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
    max_bytes : int
        The camera's share of the quota.
    min_free_bytes : int
        What must stay free on the disk.
    on_removed : callable
        Called with the kind of each item that is removed for want of room.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        min_free_bytes: int,
        on_removed: Callable[[PinKind], None],
    ) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._on_removed = on_removed
        self._items: dict[PinKind, deque[_Item]] = {kind: deque() for kind in PinKind}
        self.used_bytes = 0
        """What the items take on the disk."""

    def open(self) -> None:
        """Clear what a dead process has left, and take stock of the rest."""
        if not self.folder.is_dir():
            return
        for entry in list(os.scandir(self.folder)):
            if entry.name.startswith(".") and entry.name.endswith((_PARTIAL, _REMOVED)):
                shutil.rmtree(entry.path, ignore_errors=True)
        for kind, item in sorted(_found(self.folder)):
            self._add(kind, item)

    def holds(self, item_id: str, kind: PinKind) -> bool:
        """Whether an item is here."""
        return (self.folder / _name(item_id, kind)).exists()

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
        name = _name(item_id, kind)
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
        self._add(kind, _Item(written_ns, name, size))

    def _make_room(self, kind: PinKind, size: int) -> None:
        disk = os.statvfs(self.folder)
        is_short = disk.f_bavail * disk.f_frsize - size < self._min_free_bytes
        limit = min(self._max_bytes, self.used_bytes) if is_short else self._max_bytes
        missing = self.used_bytes + size - limit
        victims = []
        for one, item in self._by_worth(kind):
            if missing <= 0:
                break
            victims.append(one)
            missing -= item.size
        if missing > 0:
            reason = "disk" if is_short else "quota"
            what = "the disk is almost full" if is_short else "the camera's share is used up"
            msg = f"{what}, and nothing there is worth less than this {kind}"
            raise NoRoomError(reason, msg)
        for one in victims:
            self._remove_oldest(one)

    def _by_worth(self, most: PinKind) -> Iterator[tuple[PinKind, _Item]]:
        """Yield what may go for something of a kind, in the order in which it goes."""
        for kind in PinKind:
            if kind.worth <= most.worth:
                yield from ((kind, item) for item in self._items[kind])

    def _remove_oldest(self, kind: PinKind) -> None:
        item = self._items[kind][0]
        gone = self.folder / f".{item.name}{_REMOVED}"
        # Who removed it by hand has done our work.
        with contextlib.suppress(FileNotFoundError):
            (self.folder / item.name).rename(gone)
        self._items[kind].popleft()
        self.used_bytes -= item.size
        shutil.rmtree(gone, ignore_errors=True)
        self._on_removed(kind)

    def _add(self, kind: PinKind, item: _Item) -> None:
        self._items[kind].append(item)
        self.used_bytes += item.size


def _name(item_id: str, kind: PinKind) -> str:
    return item_id if kind is PinKind.BEGIN else f"{item_id}.{kind}"


def _kind(name: str) -> PinKind:
    suffix = name.rpartition(".")[2]
    return PinKind(suffix) if suffix in set(PinKind) else PinKind.BEGIN


def _found(folder: Path) -> Iterator[tuple[PinKind, _Item]]:
    """Yield the items of a folder; what holds no record is not ours to count or remove."""
    for entry in os.scandir(folder):
        if is_safe_name(entry.name) and entry.is_dir(follow_symlinks=False):
            sizes = {file.name: file.stat().st_size for file in os.scandir(entry.path)}
            if _RECORD in sizes:
                size = _BLOCK + sum(map(_on_disk, sizes.values()))
                yield _kind(entry.name), _Item(entry.stat().st_mtime_ns, entry.name, size)


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
