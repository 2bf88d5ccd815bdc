"""Signed requests to a real server: what counts as delivered, and what does not."""

import hashlib
import hmac
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from streamline.alert.sinks import RejectedError, Webhook
from streamline.config import read_secret
from tests.support.certificates import make_certificate, needs_openssl
from tests.support.documents import example
from tests.support.ports import refusing_port

Request = tuple[str, Message, bytes]
Answer = Callable[[BaseHTTPRequestHandler], None]


def with_status(status: int) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        if 300 <= status < 400:
            handler.send_header("Location", "/elsewhere")
        handler.end_headers()

    return answer


@contextmanager
def server(
    answer: Answer, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[int, list[Request]]]:
    """A web server that answers so; its port, and the requests that it got."""
    got: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, self.headers, body))
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        # Its end waits for those who answer: one who goes on would write into another test.
        daemon_threads = False

        def handle_error(self, *_: object) -> None:
            """Who asked may have given up waiting."""

    serving = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        serving.socket = tls.wrap_socket(serving.socket, server_side=True)
    thread = Thread(target=serving.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield serving.server_address[1], got
    finally:
        serving.shutdown()
        serving.server_close()
        thread.join()


def hook(port: int, *, secret: bytes | None = None, timeout_s: float = 30) -> Webhook:
    return Webhook(f"http://127.0.0.1:{port}/a?x=1", secret=secret, timeout_s=timeout_s, tls=None)


def test_an_event_is_posted_and_can_be_checked_by_whoever_has_the_secret() -> None:
    with server(with_status(204)) as (port, got):
        hook(port, secret=b"key").deliver("left-1-7", b'{"type":"new"}')
    ((path, headers, body),) = got
    assert (path, body) == ("/a?x=1", b'{"type":"new"}')
    assert headers["Content-Type"] == "application/json"
    assert headers["Streamline-Alert"] == "left-1-7"
    signed = headers["Streamline-Timestamp"].encode() + b"." + body
    expected = hmac.digest(b"key", signed, hashlib.sha256).hex()
    assert headers["Streamline-Signature"] == f"sha256={expected}"


def test_the_documented_check_tells_the_line_s_requests_from_others(tmp_path: Path) -> None:
    documented: dict[str, Callable[..., bool]] = {}
    exec(example("pipelines/README.md", "python", "hmac"), documented)  # noqa: S102 - it is ours
    is_genuine = documented["is_genuine"]
    ours, other = tmp_path / "ours.key", tmp_path / "other.key"
    ours.write_text(" Schlüssel \n")
    other.write_text("Schlussel\n")
    with server(with_status(204)) as (port, got):
        hook(port, secret=read_secret(ours).encode()).deliver("left-1-7", b'{"type":"new"}')
    ((_, headers, body),) = got
    assert is_genuine(headers, body, ours)
    assert not is_genuine(headers, body, other)
    assert not is_genuine(headers, body + b" ", ours)
    headers.replace_header("Streamline-Timestamp", "1700000000")
    assert not is_genuine(headers, body, ours)


def test_without_a_secret_nothing_is_signed() -> None:
    with server(with_status(200)) as (port, got):
        hook(port).deliver("a", b"{}")
    assert "Streamline-Signature" not in got[0][1]


@pytest.mark.parametrize("status", [301, 401, 404, 429, 500, 503])
def test_an_answer_that_others_can_mend_is_a_failure_to_be_repeated(status: int) -> None:
    with (
        server(with_status(status)) as (port, got),
        pytest.raises(OSError, match=f"answers with status {status}"),
    ):
        hook(port).deliver("a", b"{}")
    assert len(got) == 1, "no redirect is followed"


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_refusal_of_the_event_itself_is_told_apart(status: int) -> None:
    with server(with_status(status)) as (port, _), pytest.raises(RejectedError, match=str(status)):
        hook(port).deliver("a", b"{}")


def test_a_server_that_hangs_or_drips_is_given_up_in_time() -> None:
    def hang(_: BaseHTTPRequestHandler) -> None:
        end.wait(60)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not end.wait(0.05):
            handler.wfile.write(b"X-Drop: 1\r\n")

    for answer in (hang, drip):
        end = Event()
        with server(answer) as (port, _):
            try:
                with pytest.raises(OSError, match=r"timed out|does not answer within 0\.5 s"):
                    hook(port, timeout_s=0.5).deliver("a", b"{}")
            finally:
                end.set()


def test_what_is_no_web_server_is_an_os_error_without_the_password() -> None:
    def babble(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"+OK POP3 ready\r\n")

    with server(babble) as (port, _):
        sink = Webhook(f"http://me:hunter2@127.0.0.1:{port}/", secret=None, timeout_s=30, tls=None)
        with pytest.raises(OSError, match="does not answer in HTTP") as caught:
            sink.deliver("a", b"{}")
    assert "hunter2" not in str(caught.value)


def test_no_server_is_an_os_error() -> None:
    with refusing_port() as port, pytest.raises(ConnectionRefusedError):
        hook(port).deliver("a", b"{}")


@needs_openssl
def test_a_certificate_is_checked(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, key)
    with server(with_status(200), ours) as (port, got):
        url = f"https://127.0.0.1:{port}/"
        with pytest.raises(ssl.SSLCertVerificationError):
            Webhook(url, secret=None, timeout_s=30, tls=ssl.create_default_context()).deliver(
                "a", b"{}"
            )
        trusting = ssl.create_default_context(cafile=str(certificate))
        Webhook(url, secret=None, timeout_s=30, tls=trusting).deliver("a", b"{}")
    assert len(got) == 1
