"""Alerts as signed HTTP requests."""

import hashlib
import hmac
import socket
import ssl
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Event, Timer
from typing import Final
from urllib.parse import SplitResult, urlsplit

from streamline import __version__
from streamline.alert.sinks.protocol import RejectedError
from streamline.clock import wall_ns
from streamline.redact import only_host

__all__ = ["Webhook", "signature"]

_REFUSED: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
"""What a receiver says of the event itself; other refusals are mended where it is configured."""


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """Sign a request: HMAC-SHA-256 of the time stamp, a full stop and the body.

    Examples
    --------
    >>> signature(b"key", "1700000000", b"{}")[:20]
    'sha256=9d713ed406bb7'
    """
    mac = hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={mac.hexdigest()}"


class Webhook:
    """POST each event as JSON; any 2xx is delivery.

    Parameters
    ----------
    url : str
        http or https.
    secret : bytes, optional
        What requests are signed with.
    timeout_s : float
        To connect in, and then to be answered in, s.
    tls : ssl.SSLContext, optional
        Whom to trust, for https.
    """

    def __init__(
        self,
        url: str,
        *,
        secret: bytes | None,
        timeout_s: float,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._url: SplitResult = urlsplit(url)
        self._shown = only_host(url)
        self._secret = secret
        self._timeout_s = timeout_s
        self._tls = tls

    def deliver(self, alert_id: str, event: bytes, /) -> None:
        """Send one event over a connection of its own."""
        connection = self._connection()
        try:
            connection.connect()
            status = self._ask(connection, alert_id, event)
        except HTTPException as exc:
            msg = f"{self._shown} does not answer in HTTP ({type(exc).__name__})"
            raise OSError(msg) from exc
        finally:
            connection.close()
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            msg = f"{self._shown} answers with status {status}"
            raise RejectedError(msg) if status in _REFUSED else OSError(msg)

    def _ask(self, connection: HTTPConnection, alert_id: str, event: bytes) -> int:
        """Return the status of the answer; a time-out of the whole, not of each byte of it."""
        path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        late = Event()
        limit = Timer(self._timeout_s, _cut_off, (connection.sock, late))
        limit.start()
        try:
            connection.request("POST", path, event, self._headers(alert_id, event))
            return connection.getresponse().status
        finally:
            limit.cancel()
            if late.is_set():
                msg = f"{self._shown} does not answer within {self._timeout_s:g} s"
                raise TimeoutError(msg)

    def close(self) -> None:
        """Nothing is held."""

    def _connection(self) -> HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            return HTTPSConnection(host, port, timeout=self._timeout_s, context=self._tls)
        return HTTPConnection(host, port, timeout=self._timeout_s)

    def _headers(self, alert_id: str, event: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"streamline/{__version__}",
            "Streamline-Alert": alert_id,
        }
        if self._secret is not None:
            stamp = str(wall_ns() // 1_000_000_000)
            headers["Streamline-Timestamp"] = stamp
            headers["Streamline-Signature"] = signature(self._secret, stamp, event)
        return headers


def _cut_off(sock: socket.socket, late: Event) -> None:
    late.set()
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
