"""Video files made for a test, with a known number of frames."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["annex_b", "damage", "encode", "encode_images", "repeat", "write_frames"]

Bytes = npt.NDArray[np.uint8]

# Every reader must be able to tell the frames apart, so quality is high; without B-frames and
# look-ahead the frames leave in the order they were given.
_OPTIONS = {"crf": "12", "preset": "veryfast", "tune": "zerolatency"}


def encode(
    frames: Iterable[Bytes], path: Path, *, rate: Fraction | int = 25, key_every: int = 25
) -> Path:
    """Write RGB frames of shape (h, w, 3), h and w even, as an H.264 file."""
    options = {**_OPTIONS, "g": str(key_every)}
    coded = (_yuv(pixels) for pixels in frames)
    return write_frames(coded, path, "libx264", rate=rate, options=options)


def write_frames(
    frames: Iterable[av.VideoFrame],
    path: Path,
    codec: str,
    *,
    rate: Fraction | int = 25,
    options: dict[str, str] | None = None,
) -> Path:
    """Write frames of one size and format, with their colours' tags, by any encoder."""
    with av.open(str(path), "w") as container:
        stream = cast(
            "av.VideoStream", container.add_stream(codec, rate=rate, options=options or {})
        )
        for number, frame in enumerate(frames):
            if number == 0:
                stream.width, stream.height = frame.width, frame.height
                stream.pix_fmt = frame.format.name
                stream.codec_context.colorspace = frame.colorspace
                stream.codec_context.color_range = frame.color_range
            frame.pts, frame.time_base = number, Fraction(1) / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def encode_images(
    images: Iterable[Path], path: Path, *, rate: int, hold: int, size: tuple[int, int]
) -> Path:
    """Show each image for *hold* frames at *size* (w, h); each begins with a key frame."""
    return encode(_held(images, hold, size), path, rate=rate, key_every=hold)


def repeat(video: Path, path: Path, *, seconds: float, slower: int = 1) -> Path:
    """Write a video again and again into one file, without encoding, for at least *seconds*.

    At *slower* 5 it is played at a fifth of its pace.
    """
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        packets = [p for p in source.demux(stream) if p.dts is not None]
        span = slower * stream.frames / (stream.average_rate or 1) / (stream.time_base or 1)
        copy = target.add_stream_from_template(stream)
        for turn in range(int(seconds / float(span * (stream.time_base or 1))) + 1):
            for packet in packets:
                moved = _copy_of(packet, bytes(packet), copy, offset=round(turn * span))
                moved.pts = round(turn * span) + slower * (packet.pts or 0)
                moved.dts = round(turn * span) + slower * (packet.dts or 0)
                target.mux(moved)
    return path


def damage(video: Path, path: Path, *, every: int) -> Path:
    """Copy a video, with bytes flipped in the middle of one of so many predicted frames."""
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for number, packet in enumerate(p for p in source.demux(stream) if p.dts is not None):
            data = bytearray(bytes(packet))
            if number % every == every - 1 and not packet.is_keyframe:
                middle = slice(len(data) // 2, len(data) // 2 + 8)
                data[middle] = bytes(byte ^ 0xFF for byte in data[middle])
            target.mux(_copy_of(packet, bytes(data), copy, offset=0))
    return path


def annex_b(videos: Iterable[Path], path: Path) -> Path:
    """Join H.264 videos, also of different sizes, to one byte stream as cameras send it."""
    with path.open("wb") as file:
        for video in videos:
            with av.open(str(video)) as source:
                stream = source.streams.video[0]
                filters = av.bitstream.BitStreamFilterContext("h264_mp4toannexb", stream)
                for packet in source.demux(stream):
                    for plain in filters.filter(None if packet.dts is None else packet):
                        file.write(bytes(plain))
    return path


def _yuv(pixels: Bytes) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")


def _copy_of(
    packet: "av.Packet[av.VideoStream]", data: bytes, stream: av.VideoStream, *, offset: int
) -> av.Packet:  # type: ignore[type-arg]
    """Make a packet of other data and a later time, for another stream."""
    copy = av.Packet(data)
    copy.time_base = packet.time_base
    copy.pts = None if packet.pts is None else packet.pts + offset
    copy.dts = None if packet.dts is None else packet.dts + offset
    copy.is_keyframe = packet.is_keyframe
    copy.stream = stream
    return copy


def _held(images: Iterable[Path], hold: int, size: tuple[int, int]) -> Iterator[Bytes]:
    for image in images:
        with Image.open(image) as still:
            pixels = np.asarray(still.convert("RGB").resize(size, Image.Resampling.BOX))
        for _ in range(hold):
            yield pixels
