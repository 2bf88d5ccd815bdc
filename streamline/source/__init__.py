"""Cameras and files, behind one protocol: open, read until the end, close."""

from streamline.backoff import Backoff
from streamline.config import (
    AnySource,
    DemoSource,
    ImagesSource,
    RtspSource,
    UsbSource,
    VideoSource,
)
from streamline.errors import InputError, SourceError
from streamline.source.base import Reading, Source
from streamline.source.images import ImagesReader, image_paths, read_image
from streamline.source.rtsp import RtspReader
from streamline.source.size import ExpectedSize
from streamline.source.stamps import StampWatch
from streamline.source.usb import UsbReader
from streamline.source.video import VideoReader

__all__ = [
    "Backoff",
    "ExpectedSize",
    "Reading",
    "Source",
    "StampWatch",
    "image_paths",
    "open_source",
    "read_image",
]


def open_source(config: AnySource) -> Source:
    """Open a source and wait for its first frame, which the first read returns.

    Parameters
    ----------
    config : AnySource
        One source of the pipeline file.

    Raises
    ------
    SourceError
        If no frame can be had from it; `SourceError.reason` says why.
    """
    match config:
        case RtspSource():
            return _open_rtsp(config)
        case UsbSource():
            return UsbReader(
                config.device,
                width=config.width,
                height=config.height,
                fps=config.fps,
                fourcc=config.fourcc,
            )
        case VideoSource():
            return VideoReader(config.path, pace=config.pace, loop=config.loop)
        case ImagesSource():
            return ImagesReader(config.path, pace=config.pace, hold=config.hold, loop=config.loop)
        case DemoSource():
            return _open_demo(config)


def _open_rtsp(config: RtspSource) -> RtspReader:
    try:
        url = config.real_url()
    except InputError as exc:
        msg = f"{config.label}: {exc}"
        raise SourceError(msg, reason="auth") from exc
    return RtspReader(
        url,
        label=config.label,
        transport=config.transport,
        ca_file=config.ca_file,
        open_timeout_s=config.open_timeout_s,
        read_timeout_s=config.read_timeout_s,
    )


def _open_demo(config: DemoSource) -> VideoReader:
    from streamline.source.synthetic import rendered_clip  # noqa: PLC0415 - only the demo pays

    clip = rendered_clip(config.part, config.seed)
    return VideoReader(clip, pace=config.pace, loop=config.loop)
