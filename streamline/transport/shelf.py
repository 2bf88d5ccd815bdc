"""Pixels that stay where they are while their message travels, between processes of one host.

Through a local socket a model's input is copied four times and wakes two threads that do nothing
else.  On a shelf, a file that both ends have mapped, it is written once, where it is to be read;
the message says where.  A place is taken until the message has been answered, so nothing is ever
written over that might still be read, whoever dies in between.  Where there is no free place the
pixels travel in the message.
"""

import mmap
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from streamline.clock import wall_ns
from streamline.errors import WireError

__all__ = ["NO_SHELVES", "Place", "Shelf", "Shelves", "Spot"]

Bytes = npt.NDArray[np.uint8]

_MAGIC: Final = b"STRMSHF1"
_HEAD: Final = struct.Struct("<8s4Q")
_FIRST: Final = mmap.PAGESIZE
"""Where the pixels begin."""


class Spot(NamedTuple):
    """Names a place in a message."""

    mark: int
    """Which shelf: a camera's next one has another."""

    number: int
    """Of the place, from 0."""


class Place(NamedTuple):
    """Room for the pixels of one frame."""

    pixels: Bytes
    """Shape ``(h, w, 3)``, to be written."""

    spot: Spot | None
    """None if it is on no shelf."""


class Shelf:
    """The writing end: belongs to one thread.

    Parameters
    ----------
    path : Path, optional
        File to be made; one that is there stays with those who have mapped it.  None: there is no
        shelf, every place is memory of this process.
    places : int
        How many frames find room.
    size : (h, w)
        Of each, px.

    Raises
    ------
    OSError
        If the file can't be made: where memory is short, now rather than when it is written to.
    """

    def __init__(self, path: Path | None, *, places: int, size: tuple[int, int]) -> None:
        self._shape = (*size, 3)
        self._free: list[Place] = []
        if path is None:
            return
        mark = wall_ns()
        array = np.frombuffer(_made(path, mark, places, size), np.uint8, offset=_FIRST)
        pixels = array.reshape(places, *self._shape)
        self._free = [Place(pixels[i], Spot(mark, i)) for i in reversed(range(places))]

    def take(self) -> Place:
        """Return room for a frame, on the shelf if there is any left."""
        # The place that was used last is the one that is likely to lie in a cache.
        return self._free.pop() if self._free else Place(np.empty(self._shape, np.uint8), None)

    def give_back(self, place: Place) -> None:
        """Nobody will read this place any more."""
        if place.spot is not None:
            self._free.append(place)


class Shelves:
    """The reading end, of any number of shelves.

    Parameters
    ----------
    paths : mapping of camera name to Path
        Files of the shelves.
    """

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths
        self._known: dict[str, tuple[int, Bytes]] = {}

    def pixels(self, camera: str, spot: Spot) -> Bytes:
        """Return what lies in a place, shape ``(h, w, 3)``, read-only, until it is answered.

        Raises
        ------
        WireError
            If there is no such place.
        """
        known = self._known.get(camera)
        if (known is None or known[0] != spot.mark) and camera in self._paths:
            known = self._known[camera] = _mapped(self._paths[camera])
        if known is None or known[0] != spot.mark or spot.number >= len(known[1]):
            msg = f"camera {camera!r} has no place {spot.number} on a shelf {spot.mark} here"
            raise WireError(msg)
        pixels: Bytes = known[1][spot.number]
        return pixels


NO_SHELVES: Final = Shelves({})
"""For ends that have no memory in common."""


def _made(path: Path, mark: int, places: int, size: tuple[int, int]) -> mmap.mmap:
    """Make the file whole before anybody can see it under its name."""
    length = _FIRST + places * size[0] * size[1] * 3
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("w+b") as file:
            # A hole that can't be filled later would be the end of whoever writes there.
            os.posix_fallocate(file.fileno(), 0, length)
            file.write(_HEAD.pack(_MAGIC, mark, places, *size))
            file.flush()
            mapped = mmap.mmap(file.fileno(), length)
        partial.rename(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return mapped


def _mapped(path: Path) -> tuple[int, Bytes]:
    """Map a shelf for reading; return its mark and its places."""
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, mark, places, height, width = _HEAD.unpack_from(data)
        pixels = np.frombuffer(data, np.uint8, offset=_FIRST).reshape(places, height, width, 3)
    except (OSError, ValueError, struct.error) as exc:
        msg = f"{path} is no shelf: {exc}"
        raise WireError(msg) from exc
    if magic != _MAGIC:
        msg = f"{path} is no shelf: it begins with {magic!r}"
        raise WireError(msg)
    return mark, pixels
