"""Who is not on the list gets nothing in and nothing out, and is counted."""

import json
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import zmq

from streamline.cli import main
from streamline.clock import monotonic_ns
from streamline.transport import protocol
from streamline.transport.curve import KeyPair, Lock
from streamline.transport.sockets import Context, Socket
from streamline.transport.wire import WIRE_VERSION
from tests.support.hosts import Addresses, HostLine
from tests.support.line import eventually, json_lines


def test_a_key_is_made_once_and_shown_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys" / "host.key"
    assert main(["keys", str(path)]) == 0
    made = capsys.readouterr()
    pair = KeyPair.read(path)
    assert made.out == f"{pair.public}\n"
    assert made.err.startswith(f"{path} is this host's key: keep it here")
    assert pair.secret not in made.err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert main(["keys", str(path)]) == 0
    assert capsys.readouterr() == (made.out, "")
    assert KeyPair.read(path) == pair


def for_all_to_read(path: Path) -> None:
    KeyPair.new().write(path)
    path.chmod(0o644)


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        pytest.param(lambda path: path.mkdir(), "Is a directory", id="folder"),
        pytest.param(lambda path: path.touch(0o600), "holds no key of a host", id="other-file"),
        pytest.param(
            for_all_to_read,
            "others may read this host's key; run: chmod 600",
            id="open-to-others",
        ),
    ],
)
def test_what_is_no_key_is_refused_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], prepare: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "host.key"
    prepare(path)
    before = path.stat().st_mtime_ns
    assert main(["keys", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err
    assert said.err.count("\n") == 1
    assert path.stat().st_mtime_ns == before


@pytest.fixture
def hosts() -> Iterator[Addresses]:
    """Two addresses of this machine."""
    hosts = Addresses()
    yield hosts
    hosts.close()


def frames(count: int) -> Iterator[list[bytes]]:
    """What a sender says that would be welcome: who it is, and so many messages."""
    hello = protocol.Hello(WIRE_VERSION, "preprocess-belt", "stranger", 1, count, 1, 0, 0, -1)
    yield [protocol.HELLO, protocol.write(hello)]
    for tag in range(1, count):
        head = protocol.DataHead(tag, tag - 1, monotonic_ns(), 0, protocol._shift(0, -1))
        yield [protocol.write_data_head(head), b"frame", bytes(1000)]


def stranger(
    context: Context, address: str, lock: Lock | None, count: int, *, kind: int = zmq.DEALER
) -> Socket:
    """Somebody who sends messages to a link's end."""
    socket = context.socket(kind)
    socket.linger = 0
    if lock is not None:
        lock.fit(socket)
    socket.connect(address)
    for parts in frames(count):
        with suppress(zmq.Again):  # Nobody takes it, and there is no room for more.
            socket.send_multipart(parts, zmq.NOBLOCK)
    return socket


def test_ten_thousand_frames_of_strangers_are_refused_while_a_camera_is_served(
    hosts: Addresses, short_clip: Path, demo_model: Path, tmp_path: Path, context: Context
) -> None:
    """A refused connection is what is counted: no frame of it ever leaves its sender."""
    links = hosts.links(tmp_path)
    server_key = KeyPair.read(tmp_path / "server.key").public
    path = tmp_path / "line.yaml"
    source = {"type": "video", "path": str(short_clip)}
    line = {
        "version": 1,
        "model": str(demo_model),
        "cameras": {"belt": {"source": source, "queue": {"policy": "block"}}},
        "record": {"verdicts": str(tmp_path / "verdicts.jsonl")},
        "metrics": {"port": 0},
        "links": links,
    }
    path.write_text(json.dumps(line))
    prepared, telemetry = (f"tcp://127.0.0.3:{port}" for port in (hosts.prepared, hosts.telemetry))
    with HostLine(path, tmp_path, stage="alert", host=hosts.server) as server:
        server.await_ready()

        def refused(link: str, reason: str) -> float:
            return server.metric("streamline_link_refused_total", link=link, reason=reason)

        with ExitStack() as stack:
            for _ in range(100):
                unlisted = Lock(KeyPair.new(), server_key)
                stack.callback(stranger(context, prepared, unlisted, 100).close)
            # Only the first of these is waited for: who has no key tries again and again.
            stack.callback(stranger(context, prepared, None, 100).close)
            unlisted = Lock(KeyPair.new(), server_key)
            stack.callback(stranger(context, telemetry, unlisted, 100, kind=zmq.PUSH).close)
            eventually(lambda: refused("prepared", "key") == 100, "each of them is refused")
            eventually(lambda: refused("prepared", "handshake") >= 1, "one without a key too")
            eventually(lambda: refused("telemetry", "key") == 1, "figures are refused too")
            with HostLine(path, tmp_path, stage="source", host=hosts.camera) as camera:
                assert camera.wait() == 0, camera.log
        assert refused("prepared", "key") == 100
        server.stop()
        assert server.wait() == 0, server.log
    assert "connection refused" in server.log
    assert [line["seq"] for line in json_lines(tmp_path / "verdicts.jsonl")] == list(range(60))
    assert json.loads(server.report_file.read_text())["cameras"]["belt"]["in_flight"] == 0
