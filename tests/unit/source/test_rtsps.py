"""Whom a camera's stream over TLS is taken from."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from streamline.errors import SourceError
from streamline.source.rtsp import RtspReader
from tests.support.certificates import make_certificate, needs_openssl


@contextmanager
def server(certificate: Path, key: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Take one connection down as far as its first words; the port, and what was said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    heard: list[bytes] = []

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            try:
                with context.wrap_socket(client, server_side=True) as secured:
                    heard.append(secured.recv(100))
            except (ssl.SSLError, ConnectionError):
                heard.append(b"")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], heard
        finally:
            thread.join(60)


def says(port: int, ca_file: Path | None) -> str:
    """What is said when the stream can't be had."""
    url = f"rtsps://inspector:hunter2@127.0.0.1:{port}/live"
    with pytest.raises(SourceError) as caught:
        RtspReader(url, label="camera", ca_file=ca_file, open_timeout_s=30)
    assert "hunter2" not in str(caught.value)
    return str(caught.value)


@needs_openssl
def test_a_camera_that_is_known_is_asked_for_its_stream(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    with server(certificate, key) as (port, heard):
        says(port, certificate)
    assert heard[0].startswith(b"OPTIONS rtsps://127.0.0.1:")


@needs_openssl
@pytest.mark.parametrize("wrong", ["another-authority", "another-host"])
def test_a_camera_that_is_not_known_is_told_nothing(tmp_path: Path, wrong: str) -> None:
    here = "127.0.0.1" if wrong == "another-authority" else "127.0.0.9"
    certificate, key = make_certificate(tmp_path / "camera", address=here)
    if wrong == "another-authority":
        trusted, _ = make_certificate(tmp_path / "other")
    else:
        trusted = certificate
    with server(certificate, key) as (port, heard):
        told = says(port, trusted)
    assert heard == [b""]
    assert told == (
        "camera: it does not speak TLS, or shows no certificate of ca_file's for that host"
    )
