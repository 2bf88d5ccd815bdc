"""Video files: every frame once, planes without copies, camera-like pacing, clear errors."""

import gc
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from streamline.colour import to_rgb
from streamline.errors import SourceError
from streamline.messages import Colour, Picture, PixelFormat
from streamline.source import Reading
from streamline.source.video import VideoReader
from tests.support.clips import write_frames
from tests.unit.source.conftest import FRAMES, number_of


def readings(reader: VideoReader, limit: int = 10_000) -> Iterator[Reading]:
    for _ in range(limit):
        reading = reader.read()
        if reading is None:
            return
        yield reading


def test_every_frame_of_a_file_is_delivered_once_and_in_order(clip: Path) -> None:
    reader = VideoReader(clip)
    assert reader.frames == FRAMES
    assert not reader.live
    got = list(readings(reader))
    assert [number_of(r.picture) for r in got] == list(range(FRAMES))
    assert [r.pts_s for r in got] == pytest.approx([n / 25 for n in range(FRAMES)])
    assert not any(r.corrupt or r.missed or r.damaged_unseen for r in got)
    assert reader.read() is None
    reader.close()


def test_no_frame_of_a_real_clip_is_lost(shared_dir: Path) -> None:
    path = shared_dir / "data" / "video" / "bottle-detection.mp4"
    reader = VideoReader(path)
    count = sum(not r.corrupt for r in readings(reader))
    assert count == reader.frames == 1189


def test_planes_equal_what_the_decoder_copies_out(clip: Path) -> None:
    with av.open(str(clip)) as container:
        expected = [frame.to_ndarray() for frame in container.decode(video=0)]
    for stacked, reading in zip(expected, readings(VideoReader(clip)), strict=True):
        got = np.concatenate([plane.ravel() for plane in reading.picture.planes])
        assert np.array_equal(got, stacked.ravel())


def test_a_frame_keeps_its_content_after_the_file_is_closed_and_read_on(clip: Path) -> None:
    reader = VideoReader(clip)
    kept = [r.picture for r in readings(reader)]
    copies = [[plane.copy() for plane in picture.planes] for picture in kept]
    reader.close()
    del reader
    gc.collect()
    list(readings(VideoReader(clip)))  # another decoder, eager for memory
    for picture, copied in zip(kept, copies, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(picture.planes, copied, strict=True))


def test_planes_cannot_be_written_to(clip: Path) -> None:
    reading = VideoReader(clip).read()
    assert reading is not None
    for plane in reading.picture.planes:
        with pytest.raises(ValueError, match="read-only"):
            plane[0, 0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            plane.flags.writeable = True


def test_unpaced_frames_are_stamped_after_they_were_read(clip: Path) -> None:
    reader = VideoReader(clip)
    for _ in range(5):
        before_ns = time.monotonic_ns()
        reading = reader.read()
        assert reading is not None
        assert before_ns <= reading.captured_ns <= time.monotonic_ns()
        assert abs(time.time_ns() - reading.wall_ns) < 60e9


def test_a_looped_file_starts_over_for_ever(clip: Path) -> None:
    reader = VideoReader(clip, loop=True)
    assert reader.frames is None
    numbers = [number_of(r.picture) for r in readings(reader, limit=150)]
    assert numbers == [n % FRAMES for n in range(150)]
    reader.close()


# ── pacing ──────────────────────────────────────────────────────────────────────────────────


def assert_is_a_camera(got: list[Reading], rate: float, frames: int) -> None:
    """Check law 10: each due frame is captured at its time, or missed."""
    numbers = np.cumsum([1 + r.missed for r in got]) - 1
    assert [number_of(r.picture) for r in got] == [n % FRAMES for n in numbers]
    due_ns = [got[0].captured_ns + n * 1e9 / rate for n in numbers]
    assert [r.captured_ns for r in got] == pytest.approx(due_ns, abs=2, rel=0)
    assert sum(1 + r.missed for r in got) == frames


def test_a_punctual_reader_of_a_paced_file_gets_frames_no_earlier_than_due(clip: Path) -> None:
    reader = VideoReader(clip, pace=100)
    assert reader.live
    got = []
    for reading in readings(reader):
        assert time.monotonic_ns() >= reading.captured_ns
        got.append(reading)
    assert_is_a_camera(got, 100, FRAMES)


def test_what_was_due_while_nobody_read_is_missed_and_its_content_skipped(clip: Path) -> None:
    reader = VideoReader(clip, pace=200)
    got = []
    for reading in readings(reader):
        got.append(reading)
        if len(got) in {3, 6}:
            time.sleep(0.05)  # ten periods
    assert sum(r.missed for r in got) >= 18
    assert_is_a_camera(got, 200, FRAMES)


def test_a_reader_too_late_for_the_whole_rest_still_accounts_for_it(clip: Path) -> None:
    reader = VideoReader(clip, pace=1000)
    first = reader.read()
    time.sleep(0.2)
    rest = list(readings(reader))
    assert first is not None
    assert number_of(rest[-1].picture) == FRAMES - 1
    assert_is_a_camera([first, *rest], 1000, FRAMES)


def test_native_pace_is_the_files_own_rate_also_across_a_loop(tmp_path: Path, clip: Path) -> None:
    with av.open(str(clip)) as source:
        fast = write_frames(source.decode(video=0), tmp_path / "fast.mkv", "ffv1", rate=500)
    got = list(readings(VideoReader(fast, pace="native", loop=True), limit=100))
    assert_is_a_camera(got, 500, sum(1 + r.missed for r in got))


def test_interrupting_ends_the_wait_for_a_frame_due_in_minutes(clip: Path) -> None:
    reader = VideoReader(clip, pace=0.001)
    assert reader.read() is not None
    waiting = threading.Thread(target=reader.read)
    waiting.start()
    reader.interrupt()
    waiting.join(20)
    assert not waiting.is_alive()
    assert reader.read() is None


# ── colours ─────────────────────────────────────────────────────────────────────────────────

PATCHES = np.array(
    [[200, 30, 30], [30, 200, 30], [30, 30, 200], [220, 220, 40], [128, 128, 128], [245, 245, 245]],
    np.uint8,
)


def patches(width: int = 96) -> npt.NDArray[np.uint8]:
    return np.repeat(np.repeat(PATCHES[np.newaxis], 48, axis=0), width // len(PATCHES), axis=1)


def write_still(path: Path, codec: str, pixel_format: str, matrix: int, extent: int) -> None:
    """Write the patches as a video of one kind of pixels, made by swscale and tagged so."""
    rgb = av.VideoFrame.from_ndarray(patches(), format="rgb24")
    frame = rgb.reformat(format=pixel_format, dst_colorspace=matrix, dst_color_range=extent)
    frame.colorspace, frame.color_range = matrix, extent
    options = {"qp": "0"} if codec == "libx264" else {"qmin": "1", "qmax": "2"}
    write_frames([frame], path, codec, options=options)


BT709, BT601 = 1, 5
LIMITED, FULL = 1, 2


@pytest.mark.parametrize(
    ("codec", "pixel_format", "matrix", "extent", "colour"),
    [
        ("libx264", "yuv420p", BT601, LIMITED, Colour.BT601),
        ("libx264", "yuvj420p", BT601, FULL, Colour.BT601_FULL),
        ("libx264", "yuv420p", BT709, LIMITED, Colour.BT709),
        ("libx264", "yuvj420p", BT709, FULL, Colour.BT709_FULL),
        ("libx264", "yuv444p", BT601, LIMITED, Colour.BT601),
        ("libx264", "yuv422p", BT709, LIMITED, Colour.BT709),
        ("libx264", "yuv420p10le", BT601, LIMITED, Colour.BT601),
        ("mjpeg", "yuvj422p", BT601, FULL, Colour.BT601_FULL),
    ],
)
def test_colours_are_the_same_whatever_the_camera_encodes(
    tmp_path: Path, codec: str, pixel_format: str, matrix: int, extent: int, colour: Colour
) -> None:
    path = tmp_path / "still.mkv"
    write_still(path, codec, pixel_format, matrix, extent)
    reading = VideoReader(path).read()
    assert reading is not None
    assert reading.picture.format is PixelFormat.I420
    assert reading.picture.colour is colour
    assert_patches(to_rgb(reading.picture))


@pytest.mark.parametrize(("codec", "pixel_format"), [("ffv1", "bgr0"), ("libx264rgb", "rgb24")])
def test_rgb_videos_stay_rgb(tmp_path: Path, codec: str, pixel_format: str) -> None:
    path = tmp_path / "still.mkv"
    frame = av.VideoFrame.from_ndarray(patches(), format="rgb24").reformat(format=pixel_format)
    write_frames([frame], path, codec, options={"qp": "0"} if codec == "libx264rgb" else None)
    reading = VideoReader(path).read()
    assert reading is not None
    assert reading.picture.format is PixelFormat.RGB
    assert np.array_equal(to_rgb(reading.picture), patches())


def test_grey_videos_stay_grey(tmp_path: Path) -> None:
    grey = np.tile(np.arange(96, dtype=np.uint8) * 2, (48, 1))
    frame = av.VideoFrame.from_ndarray(grey, format="gray")
    reading = VideoReader(write_frames([frame], tmp_path / "grey.mkv", "ffv1")).read()
    assert reading is not None
    assert reading.picture.format is PixelFormat.GRAY
    assert np.array_equal(reading.picture.planes[0], grey)


def assert_patches(rgb: npt.NDArray[np.uint8]) -> None:
    centres = rgb[24, 8::16].astype(int)
    assert np.abs(centres - PATCHES).max() <= 4


def test_odd_sizes_and_padded_rows_are_viewed_right(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    planes = [rng.integers(16, 235, shape, np.uint8) for shape in [(37, 51), (19, 26), (19, 26)]]
    frame = av.VideoFrame(51, 37, "yuv420p")
    for target, samples in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(memoryview(target), np.uint8).reshape(-1, target.line_size)
        rows[: samples.shape[0], : samples.shape[1]] = samples
    path = write_frames([frame], tmp_path / "odd.mkv", "ffv1")
    reading = VideoReader(path).read()
    assert reading is not None
    picture: Picture = reading.picture
    assert (picture.height, picture.width) == (37, 51)
    assert all(np.array_equal(a, b) for a, b in zip(picture.planes, planes, strict=True))


# ── damage ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def damaged(tmp_path: Path, clip: Path) -> Path:
    """The clip with a few bytes of its 26th packet changed."""
    with av.open(str(clip)) as container:
        packets = [p for p in container.demux(video=0) if p.pos is not None]
    data = bytearray(clip.read_bytes())
    hurt = packets[25]
    for offset in range(12, min(60, hurt.size)):
        data[(hurt.pos or 0) + offset] ^= 0xA5
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    return path


def test_frames_predicted_from_a_damaged_one_are_corrupt_until_the_next_key_frame(
    damaged: Path,
) -> None:
    # The damaged one's group of pictures is 20 to 39.
    got = {round((r.pts_s or 0) * 25): r for r in readings(VideoReader(damaged))}
    flagged = {number for number, reading in got.items() if reading.corrupt}
    assert flagged
    assert flagged <= set(range(25, 40))
    assert set(range(30, 40)) <= flagged
    assert len(got) + sum(r.damaged_unseen for r in got.values()) == FRAMES


def test_damage_is_counted_also_where_a_late_reader_skips_it(damaged: Path) -> None:
    late = VideoReader(damaged, pace=1000)
    got = [late.read()]
    time.sleep(0.2)
    got += readings(late)
    counts = [
        sum(r.corrupt + r.damaged_unseen for r in some if r is not None)
        for some in (got, readings(VideoReader(damaged)))
    ]
    assert counts[0] == counts[1] > 10


# ── errors ──────────────────────────────────────────────────────────────────────────────────


def refused(path: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        VideoReader(path)
    assert str(path) in str(caught.value)
    return caught.value


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    error = refused(tmp_path / "absent.mp4")
    assert error.reason == "missing"
    assert "there is no file" in str(error)


def test_a_folder_is_not_a_video(tmp_path: Path) -> None:
    assert "is a folder, not a video" in str(refused(tmp_path))


@pytest.mark.parametrize(
    "content", [pytest.param(b"", id="empty"), pytest.param(b"hello\n" * 500, id="text")]
)
def test_a_file_that_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "not-a-video.mp4"
    path.write_bytes(content)
    error = refused(path)
    assert error.reason == "format"
    assert "can't be read as a video" in str(error)


def test_a_video_cut_off_before_its_index_is_refused(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip.read_bytes()[:2000])
    assert refused(path).reason == "format"


def test_a_sound_file_is_refused_as_without_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(b"\0" * 16000)
    assert "there is no video in it" in str(refused(path))
