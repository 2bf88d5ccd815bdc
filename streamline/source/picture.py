"""Decoded frames as pictures, without copying a sample where the format allows it."""

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace

from streamline.errors import SourceError
from streamline.messages import Colour, Picture, PixelFormat

__all__ = ["picture_of"]

_PLANAR_420 = frozenset({"yuv420p", "yuvj420p"})


def picture_of(frame: av.VideoFrame) -> Picture:
    """View a decoded frame as a picture.

    YUV 4:2:0 is taken as it is, whatever its range and matrix (`Picture.colour` names them).
    Other YUV formats are brought to 4:2:0 in their own range, grey ones to 8-bit grey, and RGB
    ones to 8-bit RGB. Rotation metadata is ignored: the model sees what the sensor saw.

    Parameters
    ----------
    frame : av.VideoFrame
        As decoded; the picture's planes keep it alive.

    Raises
    ------
    SourceError
        If the rows are stored bottom-up, which no view can express safely.
    """
    target, pixel_format = _target(frame)
    plain = frame
    if frame.format.name != target:
        plain = frame.reformat(
            format=target, src_color_range=frame.color_range, dst_color_range=_kept_range(frame)
        )
    channels = 3 if pixel_format is PixelFormat.RGB else 1
    planes = tuple(_view(plane, channels) for plane in plain.planes)
    return Picture(format=pixel_format, planes=planes, colour=_colour(frame))


def _target(frame: av.VideoFrame) -> tuple[str, PixelFormat]:
    """FFmpeg's name of the format to view the frame in, and ours."""
    pixels = frame.format
    if pixels.name in _PLANAR_420:
        return pixels.name, PixelFormat.I420
    if pixels.is_rgb or pixels.has_palette:
        return "rgb24", PixelFormat.RGB
    if len(pixels.components) < 3:  # PyAV's is_chroma is false for 4:4:4's chroma
        return "gray", PixelFormat.GRAY
    return "yuv420p", PixelFormat.I420


def _is_full_range(frame: av.VideoFrame) -> bool:
    return frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG


def _kept_range(frame: av.VideoFrame) -> int:
    """Range to reformat into: the frame's own, since only sub-sampling is to change."""
    if frame.format.is_rgb or _is_full_range(frame):
        return int(ColorRange.JPEG)
    return int(ColorRange.MPEG)


def _colour(frame: av.VideoFrame) -> Colour:
    """Matrix and range; a stream that doesn't say is BT.601, as OpenCV and swscale have it."""
    if frame.colorspace == Colorspace.ITU709:
        return Colour.BT709_FULL if _is_full_range(frame) else Colour.BT709
    return Colour.BT601_FULL if _is_full_range(frame) else Colour.BT601


def _view(plane: av.video.plane.VideoPlane, channels: int) -> npt.NDArray[np.uint8]:
    """Read-only array over a plane's samples; it keeps plane and frame alive."""
    if plane.line_size < 0:
        msg = "the decoder stores its rows bottom-up; convert the video to another codec"
        raise SourceError(msg, reason="format")
    samples = np.frombuffer(memoryview(plane).toreadonly(), np.uint8)
    rows = samples.reshape(-1, plane.line_size)[: plane.height, : plane.width * channels]
    if channels == 1:
        return rows
    # Splitting the last axis of padded rows is still a view.
    return rows.reshape(plane.height, plane.width, channels)
