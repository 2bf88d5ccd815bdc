"""The line's one HTTP endpoint: ``/metrics``, ``/healthz``, ``/readyz``."""

import json
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Event, Lock, Semaphore, Thread
from typing import Any, Final

import structlog

from streamline.errors import InputError
from streamline.metrics.exporter import Exporter
from streamline.run.supervision.access import Access
from streamline.run.supervision.health import Health

__all__ = ["Endpoint"]

_log = structlog.get_logger("streamline.run")

Client = socket.socket | tuple[bytes, socket.socket]

_CLIENTS: Final = 32
"""Most that are served at once."""

_POLL_S: Final = 0.05
"""How often it looks whether it is to close: a line's end waits for that."""


class Endpoint:
    """Serves from threads of its own until closed.

    Raises
    ------
    InputError
        If the address can't be listened on.
    """

    def __init__(
        self,
        address: str,
        port: int,
        exporter: Exporter,
        health: Callable[[], Health],
        *,
        access: Access = Access(),  # noqa: B008 - immutable
    ) -> None:
        handler = partial(_Handler, exporter, health, access)
        try:
            self._server = _Server(address, port, handler)
        except OSError as exc:
            msg = (
                f"metrics: can't listen on {address} port {port} ({exc.strerror}); "
                "set metrics.port to a free one, 0 for any"
            )
            raise InputError(msg) from exc
        self._scheme = "http" if access.tls is None else "https"
        if access.tls is not None:
            # Each client's own thread shakes hands with it: who is slow holds nobody else up.
            self._server.socket = access.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="http", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is, with the port that it got."""
        host, port = self._server.server_address[:2]
        host = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"{self._scheme}://{host}:{port}"

    def close(self) -> None:
        """Stop serving; a request that is still being answered hears that this is the end."""
        self._server.has_ended = True
        self._server.shutdown()
        self._server.server_close()
        self._server.dismiss()
        self._thread.join(timeout=2)


class _Server(ThreadingHTTPServer):
    """One thread a client, up to a limit; says nothing about those that go away."""

    daemon_threads = True
    # Daemon threads are not waited for: a client that never ends must not hold the line up.
    block_on_close = False

    def __init__(
        self, address: str, port: int, handler: Callable[..., BaseHTTPRequestHandler]
    ) -> None:
        if ":" in address:
            self.address_family = socket.AF_INET6
        self.has_ended = False
        self._told = False
        self._free = Semaphore(_CLIENTS)
        self._clients: set[socket.socket] = set()
        self._turn = Lock()
        super().__init__((address, port), handler)

    def server_bind(self) -> None:
        """Bind without looking the host's name up, which may take long and nobody needs."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Client, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Serve one more client, or turn it away where there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # No thread can be started.
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Serve a client to its end."""
        with self._turn:
            self._clients.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._turn:
                self._clients.discard(request)
            self._free.release()

    def dismiss(self) -> None:
        """Take no more requests of those that are here: whoever follows on this port has them."""
        with self._turn:
            for client in self._clients:
                with suppress(OSError):  # It has gone by itself.
                    # TLS is passed by: what is being answered is still to be encrypted.
                    socket.socket.shutdown(client, socket.SHUT_RD)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; where that fails, not again at once: it waits at the door."""
        try:
            return super().get_request()
        except OSError:
            Event().wait(_POLL_S)
            raise

    def handle_error(self, *_: object) -> None:
        """Tell of a failure once; a request that broke off is its client's business."""
        exc = sys.exception()
        if self._told or isinstance(exc, ConnectionError | TimeoutError | ssl.SSLError):
            return
        self._told = True
        _log.error("request failed; told once", exc_info=exc)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD on three paths."""

    server_version = "streamline"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 10
    server: _Server

    def __init__(
        self,
        exporter: Exporter,
        health: Callable[[], Health],
        access: Access,
        *args: Any,  # noqa: ANN401 - socketserver's
    ) -> None:
        self._exporter = exporter
        self._health = health
        self._access = access
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answer."""
        status, body, kind = self._answer()
        # Looked at after that: the counters of a line that has ended are not there any more, and a
        # page without them would tell a scraper that they are gone.
        if self.server.has_ended:
            status, body, kind = 503, b"the line has ended\n", "text/plain"
            self.close_connection = True
        self.send_response(status)
        if self.close_connection:
            self.send_header("Connection", "close")
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing: a scrape every few seconds is no event."""

    def _answer(self) -> tuple[int, bytes, str]:
        """Return status, body and its type."""
        if not self._access.admits(self.headers.get("Authorization", "")):
            return HTTPStatus.UNAUTHORIZED, b"a bearer token is needed\n", "text/plain"
        path = self.path.partition("?")[0]
        if path == "/metrics":
            return 200, *self._exporter.render(self.headers.get("Accept", ""))
        if path in {"/healthz", "/readyz"}:
            health = self._health()
            good = health.healthy if path == "/healthz" else health.ready
            body = json.dumps(health.body, indent=2).encode() + b"\n"
            return 200 if good else 503, body, "application/json"
        return 404, b"try /metrics, /healthz or /readyz\n", "text/plain"
