"""What is stored of an alert, and that nothing of it can hold up the line."""

import contextlib
import hashlib
import json
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import structlog
from PIL import Image
from typing_extensions import override

from streamline.colour import to_rgb
from streamline.evidence import EvidenceWriter, Limits, Store, overlay
from streamline.messages import (
    Colour,
    Frame,
    FrameId,
    Origin,
    Picture,
    Pin,
    PinKind,
    PixelFormat,
)
from streamline.source.video import VideoReader
from tests.support.until import until

HEAT = np.linspace(0, 4, 64, dtype=np.float16).reshape(8, 8)


def picture_of(
    pixel_format: PixelFormat, colour: Colour = Colour.BT601, *, size: tuple[int, int] = (37, 51)
) -> Picture:
    rng = np.random.default_rng(9)
    height, width = size
    half = ((height + 1) // 2, (width + 1) // 2)
    by_format: dict[PixelFormat, list[tuple[int, ...]]] = {
        PixelFormat.I420: [size, half, half],
        PixelFormat.RGB: [(height, width, 3)],
        PixelFormat.GRAY: [size],
    }
    shapes = by_format[pixel_format]
    planes = tuple(rng.integers(0, 256, shape, np.uint8) for shape in shapes)
    return Picture(format=pixel_format, planes=planes, colour=colour)


def frame_of(picture: Picture, *, camera: str = "left") -> Frame:
    origin = Origin(
        FrameId(camera, 1_700_000_000_000, 42), 123_456, 1_700_000_000_123_456_789, 7, 1.68
    )
    return Frame(origin=origin, picture=picture)


def pin(alert_id: str = "left-1", kind: PinKind = PinKind.BEGIN) -> Pin:
    record = json.dumps({"alert": alert_id, "score": 2.5})
    return Pin(kind=kind, alert_id=alert_id, score=2.5, threshold=1.5, map=HEAT, record=record)


class Told:
    """Remembers what the writer told."""

    def __init__(self) -> None:
        self.skips: list[str] = []
        self.stored: list[PinKind] = []
        self.digests: list[str] = []
        self.removed: list[PinKind] = []

    def writer(
        self, folder: Path, *, depth: int = 100, max_bytes: int = 10**9, min_free_bytes: int = 0
    ) -> EvidenceWriter:
        store = Store(
            folder / "left",
            Limits(max_bytes, min_free_bytes),
            on_removing=lambda item, _: self.removed.append(item.kind),
        )
        return EvidenceWriter(
            store,
            on_skipped=lambda _, reason: self.skips.append(reason),
            on_stored=self.keep,
            depth=depth,
        )

    def keep(self, pin: Pin, digest: str) -> None:
        self.stored.append(pin.kind)
        self.digests.append(digest)


def stored(folder: Path, frame: Frame, pinned: Pin) -> Path:
    """Store one frame and return where it lies."""
    told = Told()
    with told.writer(folder) as writer:
        assert writer.submit(frame, pinned)
    assert (told.skips, told.stored) == ([], [pinned.kind])
    place = folder / "left" / pinned.kind.item(pinned.alert_id)
    assert told.digests == [hashlib.sha256((place / "alert.json").read_bytes()).hexdigest()]
    return place


@pytest.mark.parametrize("colour", list(Colour))
@pytest.mark.parametrize("size", [(36, 52), (37, 51), (1, 1)])
def test_the_planes_of_a_yuv_frame_come_back_to_the_bit_with_their_colour(
    tmp_path: Path, colour: Colour, size: tuple[int, int]
) -> None:
    picture = picture_of(PixelFormat.I420, colour, size=size)
    place = stored(tmp_path, frame_of(picture), pin())
    back = VideoReader(place / "frame.mkv").read()
    assert back is not None
    assert back.picture.format is PixelFormat.I420
    assert back.picture.colour is colour
    assert all(
        np.array_equal(a, b) for a, b in zip(back.picture.planes, picture.planes, strict=True)
    )
    assert np.array_equal(np.asarray(Image.open(place / "frame.png")), to_rgb(picture))


@pytest.mark.parametrize("pixel_format", [PixelFormat.RGB, PixelFormat.GRAY])
def test_the_pixels_of_a_still_come_back_to_the_bit(
    tmp_path: Path, pixel_format: PixelFormat
) -> None:
    picture = picture_of(pixel_format)
    place = stored(tmp_path, frame_of(picture), pin())
    assert np.array_equal(np.asarray(Image.open(place / "frame.png")), picture.planes[0])
    assert not (place / "frame.mkv").exists()


def test_the_record_tells_the_frame_the_alert_and_the_hash_of_each_file(tmp_path: Path) -> None:
    picture = picture_of(PixelFormat.I420, Colour.BT709)
    place = stored(tmp_path, frame_of(picture), pin())
    record = json.loads((place / "alert.json").read_text())
    assert record["kind"] == "begin"
    assert record["alert"] == {"alert": "left-1", "score": 2.5}
    assert record["frame"] == {
        "camera": "left",
        "incarnation": 1_700_000_000_000,
        "seq": 42,
        "captured_ns": 123_456,
        "wall_ns": 1_700_000_000_123_456_789,
        "pts_s": 1.68,
    }
    assert record["picture"] == {
        "format": "i420",
        "colour": "bt709",
        "width": 51,
        "height": 37,
        "roi": None,
    }
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in place.iterdir()}
    del files["alert.json"]
    assert record["sha256"] == files
    assert set(files) == {"frame.png", "frame.mkv", "overlay.png"}


def test_the_overlay_is_stored_as_drawn(tmp_path: Path) -> None:
    picture = picture_of(PixelFormat.RGB, size=(120, 160))
    place = stored(tmp_path, frame_of(picture), pin())
    expected = overlay(picture, HEAT, score=2.5, threshold=1.5)
    assert np.array_equal(np.asarray(Image.open(place / "overlay.png")), expected)


def test_nothing_but_complete_folders_is_left(tmp_path: Path) -> None:
    leftover = tmp_path / "left" / ".left-0.partial"
    leftover.mkdir(parents=True)
    (leftover / "frame.png").write_bytes(b"half of it")
    stored(tmp_path, frame_of(picture_of(PixelFormat.RGB)), pin())
    assert [p.name for p in (tmp_path / "left").iterdir()] == ["left-1"]


def test_an_alert_told_twice_is_stored_once(tmp_path: Path) -> None:
    first = picture_of(PixelFormat.RGB)
    place = stored(tmp_path, frame_of(first), pin())
    stored(tmp_path, frame_of(picture_of(PixelFormat.RGB, size=(10, 10))), pin())
    assert np.array_equal(np.asarray(Image.open(place / "frame.png")), first.planes[0])


def test_what_began_no_alert_says_so_in_its_name_and_holds_its_verdict(tmp_path: Path) -> None:
    told = Told()
    frame = frame_of(picture_of(PixelFormat.GRAY))
    with told.writer(tmp_path) as writer:
        for kind in PinKind:
            writer.submit(frame, pin("left-1-7", kind))
    assert sorted(told.stored) == sorted(PinKind)
    names = {"left-1-7", "left-1-7.fail", "left-1-7.unknown", "left-1-7.pass"}
    assert {p.name for p in (tmp_path / "left").iterdir()} == names
    record = json.loads((tmp_path / "left/left-1-7.fail/alert.json").read_text())
    assert (record["kind"], record["verdict"]["score"]) == ("fail", 2.5)
    assert "alert" not in record


# ── bounds and failures ─────────────────────────────────────────────────────────────────────


def names_in(folder: Path) -> list[str]:
    return sorted(p.name for p in (folder / "left").iterdir())


def test_a_slow_disk_costs_frames_and_not_time(tmp_path: Path) -> None:
    """Before it is started, the writer is as slow as can be."""
    told = Told()
    frame = frame_of(picture_of(PixelFormat.GRAY, size=(4, 4)))
    writer = told.writer(tmp_path, depth=2)
    assert [writer.submit(frame, pin(f"a{n}")) for n in range(4)] == [True, True, False, False]
    assert told.skips == ["queue"] * 2
    writer.start()
    writer.close()
    assert names_in(tmp_path) == ["a0", "a1"]
    assert not writer.submit(frame, pin("late"))
    assert told.skips[2:] == ["closed"]


def test_while_the_disk_is_slow_the_least_valuable_frame_gives_way(tmp_path: Path) -> None:
    told = Told()
    frame = frame_of(picture_of(PixelFormat.GRAY, size=(4, 4)))
    writer = told.writer(tmp_path, depth=3)
    kinds = [PinKind.FAIL, PinKind.PASS, PinKind.FAIL, PinKind.BEGIN, PinKind.BEGIN, PinKind.FAIL]
    taken = [writer.submit(frame, pin(f"n{n}", kind)) for n, kind in enumerate(kinds)]
    assert taken == [True] * 5 + [False]
    assert told.skips == ["queue"] * 3
    writer.start()
    writer.close()
    assert names_in(tmp_path) == ["n2.fail", "n3", "n4"]
    assert told.stored == [PinKind.BEGIN, PinKind.BEGIN, PinKind.FAIL]


def test_what_the_disk_does_not_take_before_the_end_is_skipped(tmp_path: Path) -> None:
    answers = threading.Event()

    class Hanging(Store):
        @override
        def open(self) -> None:
            answers.wait(60)

    told = Told()
    store = Hanging(tmp_path, Limits(10**9), on_removing=lambda *_: None)
    writer = EvidenceWriter(
        store, on_skipped=lambda _, reason: told.skips.append(reason), on_stored=told.keep
    )
    writer.start()
    frame = frame_of(picture_of(PixelFormat.GRAY, size=(4, 4)))
    assert all(writer.submit(frame, pin(f"a{n}")) for n in range(3))
    writer.close(timeout_s=0.05)
    answers.set()
    writer.close()
    assert (told.skips, told.stored) == (["closed"] * 3, [])


def test_a_failing_disk_is_counted_each_time_logged_once_and_survived(tmp_path: Path) -> None:
    blocked = tmp_path / "evidence"
    blocked.write_text("a file where the folder should be")
    told = Told()
    frame = frame_of(picture_of(PixelFormat.GRAY, size=(4, 4)))
    with (
        structlog.testing.capture_logs() as logs,
        told.writer(blocked) as writer,
    ):
        assert [writer.submit(frame, pin(f"a{n}")) for n in range(3)] == [True] * 3
    assert told.skips == ["disk"] * 3
    assert [entry["event"] for entry in logs] == ["evidence could not be stored"]
    assert "Not a directory" in logs[0]["error"]


def test_a_full_disk_is_counted_logged_once_and_survived(tmp_path: Path) -> None:
    """A file system of a quarter of a megabyte, where root too runs out of room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("no file system may be mounted here")
    try:
        with contextlib.suppress(OSError):
            (disk / "probe").write_bytes(bytes(10**6))
            pytest.skip("the kernel does not bound the file system")
        told = Told()
        frame = frame_of(picture_of(PixelFormat.RGB, size=(60, 60)))
        with structlog.testing.capture_logs() as logs, told.writer(disk) as writer:
            assert [writer.submit(frame, pin(f"a{n}")) for n in range(3)] == [True] * 3
            until(lambda: len(told.skips) == 3)
            (disk / "probe").unlink()
            assert writer.submit(frame, pin("b"))
        assert told.skips == ["disk"] * 3
        assert len(logs) == 1
        assert names_in(disk) == ["b"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_frame_that_cannot_be_stored_does_not_stop_the_next(tmp_path: Path) -> None:
    told = Told()
    frame = frame_of(picture_of(PixelFormat.GRAY, size=(40, 40)))
    broken = replace(pin("broken"), record="{not json")
    with told.writer(tmp_path) as writer:
        assert writer.submit(frame, broken)
        assert writer.submit(frame, replace(pin("deep"), record="[" * 100_000))
        assert writer.submit(frame, pin("outside"), roi=(100, 100, 5, 5))
        assert writer.submit(frame, pin("good"))
    assert told.skips == ["error"] * 3
    assert names_in(tmp_path) == ["good"]


@pytest.mark.parametrize("alert_id", ["../up", "a/b", "", ".hidden", "x" * 200, "a\0b", ".."])
def test_an_alert_cannot_name_a_place_outside_its_folder(tmp_path: Path, alert_id: str) -> None:
    told = Told()
    with told.writer(tmp_path / "e") as writer:
        assert not writer.submit(frame_of(picture_of(PixelFormat.GRAY)), pin(alert_id))
    assert told.skips == ["name"]
    assert list(tmp_path.iterdir()) == []
