"""Network cameras over RTSP."""

import errno
import socket
import threading
from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

import av
from av.container import InputContainer

from streamline.clock import monotonic_ns, wall_ns
from streamline.errors import SourceError, SourceLostError
from streamline.source.base import Reading
from streamline.source.decoder import Decoded, Decoder
from streamline.source.picture import picture_of

__all__ = ["RtspReader"]


class _Reason(NamedTuple):
    """What an error of FFmpeg means to the operator."""

    name: str
    sentence: str


_REFUSED: Final = _Reason(
    "refused", "nothing listens there; check address and port, and that the camera is on"
)
_AUTH: Final = _Reason("auth", "it refuses the user name or password")
_MISSING: Final = _Reason("missing", "it has no stream of that path")
_UNREACHABLE: Final = _Reason(
    "unreachable", "there is no way to its address; check the network and that the camera is on"
)
_TIMEOUT: Final = _Reason("timeout", "it did not answer in time")
_STALL: Final = _Reason("stalled", "it is connected but sends no frame")
_ENDED: Final = _Reason("ended", "it closed the stream")
_FORMAT: Final = _Reason("format", "it gives no valid answer, or no video that FFmpeg can decode")
_CERTIFICATE: Final = _Reason(
    "error", "it does not speak TLS, or shows no certificate of ca_file's for that host"
)

_BY_ERROR: Final[tuple[tuple[type[BaseException], _Reason], ...]] = (
    (av.error.ConnectionRefusedError, _REFUSED),
    (av.error.HTTPUnauthorizedError, _AUTH),
    (av.error.HTTPForbiddenError, _AUTH),
    (av.error.HTTPNotFoundError, _MISSING),
    (av.error.ExitError, _TIMEOUT),  # PyAV's time-out interrupts FFmpeg
    (TimeoutError, _TIMEOUT),
    (av.error.EOFError, _ENDED),
    (ConnectionError, _ENDED),
    (av.error.InvalidDataError, _FORMAT),
)

_OPTIONS: Final = {
    "allowed_media_types": "video",
    # What is read to guess the frame rate is delivered late, in one burst; nobody needs it.
    "fpsprobesize": "0",
}


class RtspReader:
    """Reads a camera's video stream.

    Frames are stamped when they have arrived and are decoded; `Reading.pts_s` is the camera's
    own time. Messages hold *label*, never the URL, since FFmpeg's own would show the password.

    Parameters
    ----------
    url : str
        ``rtsp://`` or ``rtsps://``, credentials and all.
    label : str
        How messages name the camera.
    transport : {"tcp", "udp"}
        How the media travel.
    ca_file : Path, optional
        Certificates to trust, PEM: one of them has to vouch for the server, by the name in the URL.
    open_timeout_s : float
        The server must answer within this time, s, and a first frame must come within it or,
        FFmpeg being interrupted only in single steps, at most the same time later.
        Resolving a host name is bounded by the system's resolver alone.
    read_timeout_s : float
        A read that has no frame after this time fails, s.

    Raises
    ------
    SourceError
        If no frame could be had; `SourceError.reason` says why.
    """

    live = True
    frames = None

    def __init__(
        self,
        url: str,
        *,
        label: str,
        transport: Literal["tcp", "udp"] = "tcp",
        ca_file: Path | None = None,
        open_timeout_s: float = 10.0,
        read_timeout_s: float = 5.0,
    ) -> None:
        self._label = label
        self._read_timeout_s = read_timeout_s
        self._interrupted = threading.Event()
        deadline_ns = monotonic_ns() + round(open_timeout_s * 1e9)
        _resolve(url, label)
        options = {**_OPTIONS, "rtsp_transport": transport}
        if ca_file is not None:  # By itself FFmpeg trusts everybody.
            options |= {"tls_verify": "1", "ca_file": str(ca_file)}
        self._container = _connect(url, label, options, (open_timeout_s, read_timeout_s))
        try:
            self._decoder = Decoder(self._container)
            self._first: Reading | None = _reading(self._decode(deadline_ns))
        except SourceError as exc:
            self._container.close()
            msg = f"{label}: {exc}"
            raise SourceError(msg, reason=exc.reason) from None

    @property
    def codec(self) -> str:
        """See `streamline.source.Source.codec`."""
        return self._decoder.codec

    def read(self) -> Reading | None:
        """See `streamline.source.Source.read`."""
        if self._interrupted.is_set():
            return None
        first, self._first = self._first, None
        if first is not None:
            return first
        try:
            decoded = self._decode(monotonic_ns() + round(self._read_timeout_s * 1e9))
        except SourceError as exc:
            if self._interrupted.is_set():
                return None
            msg = f"{self._label}: {exc}"
            raise SourceLostError(msg, reason=exc.reason) from None
        return _reading(decoded)

    def interrupt(self) -> None:
        """See `streamline.source.Source.interrupt`."""
        self._interrupted.set()

    def close(self) -> None:
        """Leave the stream; does not wait for the camera's answer."""
        self._container.close()

    def _decode(self, deadline_ns: int) -> Decoded:
        reason = _ENDED
        try:
            decoded = self._decoder.next(deadline_ns=deadline_ns)
            if decoded is not None:
                return decoded
        except (av.FFmpegError, TimeoutError) as exc:
            reason = _reason(exc, _STALL)
        # Outside the handler: as its context, FFmpeg's error would carry the URL along.
        raise SourceError(reason.sentence, reason=reason.name)


def _resolve(url: str, label: str) -> None:
    """Look the host up: FFmpeg reports an unknown one as a mere input/output error."""
    host = urlsplit(url).hostname or ""
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as exc:  # Not every text can be a host's name.
        why = getattr(exc, "strerror", None) or str(exc)
        msg = f"{label}: the host name {host!r} can't be resolved ({why}); check it, and the DNS"
        raise SourceError(msg, reason="dns") from exc


def _connect(
    url: str, label: str, options: dict[str, str], timeouts_s: tuple[float, float]
) -> InputContainer:
    started_ns = monotonic_ns()
    try:
        return av.open(url, mode="r", options=options, timeout=timeouts_s)
    except (av.FFmpegError, OSError) as exc:
        reason = _reason(exc, _TIMEOUT)
        if "ca_file" in options and exc.errno == errno.EIO:
            reason = _CERTIFICATE
    if reason is _FORMAT and monotonic_ns() - started_ns >= timeouts_s[0] * 1e9:
        reason = _TIMEOUT  # interrupted while it waits for an answer, FFmpeg calls that invalid
    # Outside the handler: as its context, FFmpeg's error would carry the URL along.
    msg = f"{label}: {reason.sentence}"
    raise SourceError(msg, reason=reason.name)


def _reason(exc: BaseException, timeout: _Reason) -> _Reason:
    """Translate an error of FFmpeg, with *timeout* for silence."""
    if isinstance(exc, OSError) and exc.errno in {errno.EHOSTUNREACH, errno.ENETUNREACH}:
        return _UNREACHABLE
    for kind, reason in _BY_ERROR:
        if isinstance(exc, kind):
            return timeout if reason is _TIMEOUT else reason
    return _Reason("error", f"FFmpeg says: {getattr(exc, 'strerror', None) or type(exc).__name__}")


def _reading(decoded: Decoded) -> Reading:
    return Reading(
        picture=picture_of(decoded.frame),
        captured_ns=monotonic_ns(),
        wall_ns=wall_ns(),
        pts_s=decoded.pts_s,
        corrupt=decoded.corrupt,
        damaged_unseen=decoded.undecodable,
    )
