"""Pixels on a shelf are those that were put there, until their message has been answered."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamline.clock import SAME_CLOCK
from streamline.errors import WireError
from streamline.messages import FrameId, Origin, Prepared
from streamline.transport.shelf import Place, Shelf, Shelves, Spot
from streamline.transport.wire import decode_prepared, encode_prepared

SIZE = (6, 4)


def found(shelves: Shelves, place: Place) -> int:
    """The grey that lies in a place."""
    assert place.spot is not None
    return int(shelves.pixels("left", place.spot)[0, 0, 0])


@given(steps=st.lists(st.booleans(), max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_nothing_is_written_over_what_was_not_given_back(tmp_path: Path, steps: list[bool]) -> None:
    path = tmp_path / "left.shelf"
    shelf, shelves = Shelf(path, places=3, size=SIZE), Shelves({"left": path})
    taken: dict[int, Place] = {}
    for grey, takes in enumerate(steps):
        if takes:
            taken[grey] = shelf.take()
            taken[grey].pixels[:] = grey
        elif taken:
            shelf.give_back(taken.pop(next(iter(taken))))
        on_shelf = {grey: one for grey, one in taken.items() if one.spot is not None}
        assert len(on_shelf) <= 3
        assert {grey: found(shelves, one) for grey, one in on_shelf.items()} == {
            grey: grey for grey in on_shelf
        }
        assert all((one.pixels == grey).all() for grey, one in taken.items())


def test_a_message_about_pixels_on_a_shelf_is_small_and_brings_them(tmp_path: Path) -> None:
    path = tmp_path / "left.shelf"
    place = Shelf(path, places=1, size=SIZE).take()
    place.pixels[:] = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    prepared = Prepared(origin=Origin(FrameId("left", 1, 2), 3, 4, 5), pixels=place.pixels)
    parts = [bytes(part) for part in encode_prepared(prepared, place.spot)]
    assert sum(map(len, parts)) < 100
    received = decode_prepared(parts, SAME_CLOCK, Shelves({"left": path}))
    assert received.pixels is not None
    assert np.array_equal(received.pixels, place.pixels)
    assert not received.pixels.flags.writeable


def test_where_no_place_is_free_pixels_have_memory_of_their_own(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "left.shelf", places=1, size=SIZE)
    first, second = shelf.take(), shelf.take()
    assert (first.spot is None, second.spot is None) == (False, True)
    assert not np.shares_memory(first.pixels, second.pixels)
    shelf.give_back(second)
    shelf.give_back(first)
    assert shelf.take().spot == first.spot
    assert Shelf(None, places=0, size=SIZE).take().spot is None


def test_a_reader_goes_over_to_a_successors_shelf_and_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "left.shelf"
    old = Shelf(path, places=1, size=SIZE).take()
    old.pixels[:] = 1
    shelves = Shelves({"left": path})
    assert old.spot is not None
    kept = shelves.pixels("left", old.spot)
    new = Shelf(path, places=2, size=SIZE).take()
    new.pixels[:] = 2
    assert found(shelves, new) == 2
    assert (kept == 1).all()
    with pytest.raises(WireError, match="camera 'left' has no place 0 on a shelf"):
        shelves.pixels("left", old.spot)


@pytest.mark.parametrize("content", [None, b"", b"short", b"X" * 5000])
def test_what_is_no_shelf_is_a_message_that_cannot_be_read(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "left.shelf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WireError, match=r"left\.shelf is no shelf: "):
        Shelves({"left": path}).pixels("left", Spot(1, 0))


@pytest.mark.parametrize("camera", ["right", "../left", ""])
def test_only_shelves_of_known_cameras_are_looked_for(tmp_path: Path, camera: str) -> None:
    path = tmp_path / "left.shelf"
    place = Shelf(path, places=1, size=SIZE).take()
    assert place.spot is not None
    with pytest.raises(WireError, match="has no place"):
        Shelves({"left": path}).pixels(camera, place.spot)
    with pytest.raises(WireError, match="has no place 7 on"):
        Shelves({"left": path}).pixels("left", place.spot._replace(number=7))


def test_pixels_of_another_shape_than_their_message_says_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "left.shelf"
    place = Shelf(path, places=1, size=SIZE).take()
    origin = Origin(FrameId("left", 1, 2), 3, 4, 5)
    other = Prepared(origin=origin, pixels=np.zeros((2, 2, 3), np.uint8))
    parts = encode_prepared(other, place.spot)
    with pytest.raises(WireError, match=r"not \(2, 2, 3\)"):
        decode_prepared(parts, SAME_CLOCK, Shelves({"left": path}))
    with pytest.raises(WireError, match="has no place"):
        decode_prepared(parts, SAME_CLOCK)


def test_a_shelf_for_which_there_is_no_memory_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        Shelf(tmp_path / "left.shelf", places=1, size=SIZE)
    assert not list(tmp_path.iterdir())
