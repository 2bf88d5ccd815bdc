"""Locked links: who is on the list gets through, and nobody else is even heard."""

import stat
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_connection
from time import monotonic, sleep
from typing import Any

import pytest
import zmq
from zmq.utils import z85

from streamline.errors import InputError
from streamline.ledger import Ledger
from streamline.transport import curve
from streamline.transport.curve import Door, Doorkeeper, KeyPair, Lock
from streamline.transport.link import Inlet, Outlet
from streamline.transport.publisher import Publisher
from streamline.transport.refusals import Refusals
from streamline.transport.sockets import Context
from streamline.transport.telemetry import TelemetryInlet, TelemetryOutlet
from tests.support.documents import example
from tests.support.line import eventually
from tests.support.ports import free_port


class Host:
    """A receiving host with a doorkeeper."""

    def __init__(self, *allowed: KeyPair) -> None:
        self.keys = KeyPair.new()
        self.refused: Counter[tuple[str, str]] = Counter()
        self.context: Context = zmq.Context()
        self.keeper = Doorkeeper(self.context, [pair.public for pair in allowed], self._count)
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.inlet = Inlet(self.context, self.address, window=8, door=self.door("prepared"))
        self.inlet.admit()

    def _count(self, link: str, reason: str) -> None:
        self.refused[link, reason] += 1

    def door(self, link: str) -> Door:
        return Door(link, self.keys, self.keeper)

    def close(self) -> None:
        self.inlet.close()
        self.keeper.close()
        self.context.term()


@pytest.fixture
def friend() -> KeyPair:
    return KeyPair.new()


@pytest.fixture
def host(friend: KeyPair) -> Iterator[Host]:
    host = Host(friend)
    yield host
    host.close()


def send_to(
    host: Host, context: Context, lock: Lock, count: int, *, limit_s: float = 60
) -> tuple[list[bytes], int]:
    """Offer messages, for as long as that helps; return what was received and settled."""
    outlet: Outlet[int] = Outlet(
        context, host.address, name="source", depth=count, evict=False, lock=lock
    )
    for number in range(count):
        outlet.offer([b"%d" % number], number)
    got: list[bytes] = []
    settled = 0

    def exchange() -> bool:
        nonlocal settled
        host.inlet.exchange()
        for delivery in host.inlet.take(100):
            got.append(bytes(delivery.parts[0]))
            host.inlet.answer(delivery, b"ok")
        settled += len(outlet.exchange())
        return settled == count

    end_s = monotonic() + limit_s
    while not exchange() and monotonic() < end_s:
        sleep(0.01)
    outlet.close()
    return got, settled


def test_who_is_on_the_list_is_served(host: Host, friend: KeyPair, context: Context) -> None:
    lock = Lock(friend, host.keys.public)
    got, settled = send_to(host, context, lock, 100)
    assert got == [b"%d" % n for n in range(100)]
    assert settled == 100
    assert not host.refused


Dress = Callable[[Host, zmq.Socket[bytes]], None]


def unlisted(host: Host, socket: zmq.Socket[bytes]) -> None:
    Lock(KeyPair.new(), host.keys.public).fit(socket)


def mistaken(_host: Host, socket: zmq.Socket[bytes]) -> None:
    Lock(KeyPair.new(), KeyPair.new().public).fit(socket)


def plain(_host: Host, _socket: zmq.Socket[bytes]) -> None:
    pass


def by_password(_host: Host, socket: zmq.Socket[bytes]) -> None:
    socket.plain_username, socket.plain_password = b"admin", b"admin"


@contextmanager
def knocking(
    host: Host, context: Context, kind: int, dressed: Dress, address: str
) -> Iterator[zmq.Socket[bytes]]:
    """A socket at a door, which leaves once it was turned away.

    One that leaves before its answer comes is counted once more, as one that has shown no key.
    """
    with context.socket(kind) as socket:
        socket.linger = 0
        dressed(host, socket)
        with socket.get_monitor_socket(zmq.EVENT_DISCONNECTED) as monitor:
            socket.connect(address)
            yield socket
            eventually(lambda: bool(monitor.poll(0)), "he has his answer")
            socket.disable_monitor()


@pytest.mark.parametrize(
    ("dressed", "reason"),
    [
        pytest.param(unlisted, "key", id="key-not-on-the-list"),
        pytest.param(mistaken, "handshake", id="key-for-another-host"),
        pytest.param(plain, "handshake", id="no-key"),
        pytest.param(by_password, "handshake", id="password"),
    ],
)
def test_a_stranger_is_refused_and_counted_whatever_he_sends(
    host: Host, context: Context, dressed: Dress, reason: str
) -> None:
    for attempt in range(1, 5):
        with knocking(host, context, zmq.DEALER, dressed, host.address) as socket:
            for number in range(2500):
                with suppress(zmq.Again):  # Nobody takes it, and there is no room for more.
                    socket.send(b"frame %d" % number, zmq.NOBLOCK)
            eventually(lambda: host.refused["prepared", reason] >= attempt, "he is refused")  # noqa: B023
            host.inlet.exchange()
            assert host.inlet.take(10) == []
    assert host.inlet.peers() == {}
    assert list(host.refused) == [("prepared", reason)]


@pytest.mark.parametrize("kind", [zmq.PUSH, zmq.DEALER, zmq.SUB], ids=["right", "wrong", "deaf"])
def test_a_key_is_counted_whatever_socket_shows_it(
    host: Host, context: Context, kind: zmq.SocketType
) -> None:
    door = host.context.socket(zmq.PULL)
    host.door("telemetry").fit(door)
    port = door.bind_to_random_port("tcp://127.0.0.1")
    for attempt in range(1, 11):
        with knocking(host, context, kind, unlisted, f"tcp://127.0.0.1:{port}"):
            eventually(lambda: host.refused["telemetry", "key"] >= attempt, "it is counted")  # noqa: B023
    door.close()
    assert list(host.refused) == [("telemetry", "key")]


def test_whoever_connects_and_says_nothing_is_counted_too(host: Host) -> None:
    address, port = host.address.removeprefix("tcp://").split(":")
    create_connection((address, int(port))).close()
    eventually(lambda: host.refused["prepared", "handshake"] == 1, "he is counted")


def test_what_is_no_zeromq_is_cut_off(host: Host) -> None:
    address, port = host.address.removeprefix("tcp://").split(":")
    with create_connection((address, int(port)), timeout=60) as stranger:
        stranger.sendall(b"GET /metrics HTTP/1.1\r\nHost: line\r\n\r\n" + bytes(100))
        with suppress(ConnectionResetError):
            while stranger.recv(100):
                pass
    assert host.inlet.peers() == {}


def test_a_door_whose_keeper_is_missing_is_shut_for_everybody(
    friend: KeyPair, context: Context
) -> None:
    """ZeroMQ by itself lets every key in where nobody answers for a list."""
    host = Host(friend)
    host.keeper._authenticator.stop()
    lock = Lock(friend, host.keys.public)
    assert send_to(host, context, lock, 1, limit_s=1) == ([], 0)
    host.close()


def knock_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve, "_KNOCK_EVERY_NS", 50_000_000)


def test_who_is_put_on_the_list_later_gets_through(
    context: Context, friend: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    knock_often(monkeypatch)
    host = Host()
    lock = Lock(friend, host.keys.public)
    outlet: Outlet[int] = Outlet(
        context, host.address, name="source", depth=1, evict=False, lock=lock
    )
    outlet.offer([b"one"], 1)

    def is_refused() -> bool:
        outlet.exchange()
        return host.refused["prepared", "key"] >= 3

    eventually(is_refused, "it is refused, again too")
    host.keeper.admit(friend.public)

    def is_through() -> bool:
        outlet.exchange()
        host.inlet.exchange()
        return [bytes(one.parts[0]) for one in host.inlet.take(1)] == [b"one"]

    eventually(is_through, "it gets through")
    outlet.close()
    host.close()


def test_figures_of_a_host_that_is_put_on_the_list_later_get_through(
    host: Host, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    knock_often(monkeypatch)
    address, late = f"tcp://127.0.0.1:{free_port()}", KeyPair.new()
    inlet = TelemetryInlet(
        host.context,
        address,
        sift=lambda samples: (list(samples), None),
        refusals=Refusals("telemetry"),
        door=host.door("telemetry"),
    )
    outlet = TelemetryOutlet(context, address, "part", lock=Lock(late, host.keys.public))
    ledger = Ledger()
    ledger.counter("streamline_alerts_total", camera="left").add(3)

    def told() -> list[str]:
        outlet.send("alert", ledger.samples())
        return [worker for _, worker in inlet.latest()]

    eventually(lambda: not told() and host.refused["telemetry", "key"] >= 2, "it is refused")
    host.keeper.admit(late.public)
    eventually(lambda: told() == ["alert"], "its figures have come")
    outlet.close()
    inlet.close()


def test_alerts_are_published_to_hosts_on_the_list_alone(
    host: Host, context: Context, friend: KeyPair
) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    publisher = Publisher(host.context, address, door=host.door("alerts"))
    subscribers = []
    for who in (friend, KeyPair.new()):
        socket = context.socket(zmq.SUB)
        socket.linger = 0
        socket.subscribe(b"alert")
        Lock(who, host.keys.public).fit(socket)
        socket.connect(address)
        subscribers.append(socket)

    def heard(socket: zmq.Socket[bytes]) -> bool:
        publisher.deliver("1", b"{}")
        return bool(socket.poll(20))

    eventually(lambda: heard(subscribers[0]), "who is on the list hears of it")
    eventually(lambda: host.refused["alerts", "key"] == 1, "the other one is refused")
    assert not heard(subscribers[1])
    for socket in subscribers:
        socket.close()
    publisher.close()


def test_the_documented_subscriber_hears_alerts_by_its_key_file(
    host: Host, friend: KeyPair, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context.setsockopt(zmq.RCVTIMEO, 60_000)
    monkeypatch.setattr(zmq.Context, "instance", lambda: context)
    address, file = f"tcp://127.0.0.1:{free_port()}", tmp_path / "subscriber.key"
    friend.write(file)
    text = example("pipelines/README.md", "python", "zmq.SUB")
    for shown, typed in {
        "subscriber.key": str(file),
        "c480…6b": host.keys.public,
        "tcp://10.0.0.30:5590": address,
    }.items():
        assert text.count(shown) == 1
        text = text.replace(shown, typed)
    publisher = Publisher(host.context, address, door=host.door("alerts"))
    documented: dict[str, Any] = {}
    with ThreadPoolExecutor(1) as thread:
        reader = thread.submit(exec, text, documented)
        while not reader.done():
            publisher.deliver("1", b"{}")
            sleep(0.01)
    documented["socket"].close(linger=0)
    publisher.close()
    reader.result()
    assert (documented["topic"], documented["event"]) == (b"alert", b"{}")


def test_another_host_s_place_can_t_be_taken(friend: KeyPair, context: Context) -> None:
    """A sender that expects another key at that address says nothing there."""
    impostor = Host(friend)
    lock = Lock(friend, KeyPair.new().public)
    assert send_to(impostor, context, lock, 1, limit_s=1) == ([], 0)
    impostor.close()


def test_a_key_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "edge.key"
    pair = KeyPair.new()
    pair.write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KeyPair.read(path) == pair
    assert zmq.curve_public(z85.encode(bytes.fromhex(pair.secret))) == z85.encode(
        bytes.fromhex(pair.public)
    )
    assert pair.secret not in repr(pair)
    with pytest.raises(InputError, match=r"no key can be written there \(File exists\)"):
        KeyPair.new().write(path)
    path.chmod(0o640)
    with pytest.raises(InputError, match="run: chmod 600"):
        KeyPair.read(path)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"public": "00", "secret": "11"}', '{"public": 1, "secret": 2}', "\0\xff"],
)
def test_a_file_without_a_key_is_refused_with_the_cure(tmp_path: Path, text: str) -> None:
    path = tmp_path / "edge.key"
    path.write_bytes(text.encode("latin-1"))
    path.chmod(0o644)  # Nobody is told to shut a file that others may well read.
    with pytest.raises(InputError, match=r"holds no key of a host; make one where no file is yet"):
        KeyPair.read(path)


def test_keys_that_do_not_belong_together_are_none(tmp_path: Path) -> None:
    path = tmp_path / "edge.key"
    KeyPair(KeyPair.new().public, KeyPair.new().secret).write(path)
    with pytest.raises(InputError, match="holds no key of a host"):
        KeyPair.read(path)
    with pytest.raises(InputError, match=r"No such file.*; make one: streamline keys"):
        KeyPair.read(tmp_path / "missing")
