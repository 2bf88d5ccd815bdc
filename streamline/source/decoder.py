"""Packets to frames with PyAV, one at a time, with what is known of their damage."""

from collections import deque
from typing import NamedTuple

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from streamline.clock import monotonic_ns
from streamline.errors import SourceError

__all__ = ["Decoded", "Decoder"]

# Streams with intra refresh have no key frames; by then every part of the picture is renewed.
_HEALED_AFTER_FRAMES = 300


class Decoded(NamedTuple):
    """One frame out of the decoder."""

    frame: av.VideoFrame
    corrupt: bool
    undecodable: int
    """Packets since the last frame that gave an error instead of a frame."""

    @property
    def pts_s(self) -> float | None:
        """Presentation time, s; None if the stream doesn't say."""
        # PyAV's stubs leave out that a frame without a time stamp has no time.
        time_s: float | None = self.frame.time
        return time_s


class Decoder:
    """Takes the first video stream of an open container apart into frames.

    One thread decodes: with two, a 640 x 360 stream takes the same time and half again as much
    CPU, and frame threads would hold every frame of a camera back by one period.

    A decoder flags a damaged frame only where it saw the damage itself, while every frame
    predicted from it is as wrong. So frames are corrupt from the first damage to the next key
    frame.

    Parameters
    ----------
    container : av.container.InputContainer
        Open; it stays the caller's to close.

    Raises
    ------
    SourceError
        If there is no video stream, or no decoder for it.
    """

    def __init__(self, container: InputContainer) -> None:
        self.stream = _video_stream(container)
        self._packets = container.demux(self.stream)
        self._ready: deque[Decoded] = deque()
        self._damaged = False
        self._since_damage = 0
        self._undecodable = 0

    @property
    def codec(self) -> str:
        """How pictures are compressed, as FFmpeg names it."""
        return self.stream.codec_context.name

    def next(self, *, deadline_ns: int | None = None) -> Decoded | None:
        """Decode until there is a frame; None at the end of the stream.

        Raises
        ------
        TimeoutError
            If packets went on coming without a frame until *deadline_ns*.
        av.FFmpegError
            If the container can't be read on; the caller knows how to say that.
        """
        while not self._ready:
            if deadline_ns is not None and monotonic_ns() > deadline_ns:
                raise TimeoutError
            packet = next(self._packets, None)
            if packet is None:
                return None
            self._decode(packet)
        return self._ready.popleft()

    def _decode(self, packet: "av.Packet[VideoStream]") -> None:
        try:
            frames = packet.decode()
        except av.FFmpegError:
            self._undecodable += 1
            self._damaged = True
            return
        for frame in frames:
            self._ready.append(Decoded(frame, self._is_corrupt(frame), self._undecodable))
            self._undecodable = 0

    def _is_corrupt(self, frame: av.VideoFrame) -> bool:
        self._since_damage += 1
        if frame.is_corrupt:
            self._damaged, self._since_damage = True, 0
        elif frame.key_frame or self._since_damage > _HEALED_AFTER_FRAMES:
            self._damaged = False
        return self._damaged


def _video_stream(container: InputContainer) -> VideoStream:
    if not container.streams.video:
        msg = "there is no video in it"
        raise SourceError(msg, reason="format")
    stream = container.streams.video[0]
    # PyAV's stubs leave out that there may be no decoder.
    if getattr(stream, "codec_context", None) is None:
        msg = "FFmpeg has no decoder for its video"
        raise SourceError(msg, reason="format")
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    return stream
