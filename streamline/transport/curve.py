"""Locks on links between hosts: CurveZMQ, with a list of who may take part.

Every host has a key pair of its own.  Both ends of a link prove that they have theirs, and all that
is said is encrypted; whoever is not on the list is refused before a message of his is read.
"""

import json
import os
import stat
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Final, Self

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from streamline.clock import monotonic_ns
from streamline.errors import InputError
from streamline.transport.sockets import Context, Socket, readable

__all__ = ["REFUSALS", "Door", "Doorkeeper", "KeyPair", "Knocker", "Lock"]

REFUSALS: Final = ("key", "handshake")
"""Why a connection is refused: its key is not on the list; it has shown no valid key at all."""

_KEY_BYTES: Final = 32

_KNOCK_EVERY_NS: Final = 5_000_000_000
"""How often a locked door is tried that nobody opens."""

_HANDSHAKE_MS: Final = 5000
"""Who has not shown a key by then is refused."""

_LOOK_EVERY_MS: Final = 100
"""How soon a new door is looked after, and an end is noticed."""

_FAILED: Final = int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
"""Not the event of a key that is not on the list: ZeroMQ leaves it out where a socket of the wrong
type showed that key, and where the peer had left before the answer."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """What a host proves who it is by; texts are hexadecimal, of 64 digits."""

    public: str
    secret: str = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """Make one."""
        public, secret = zmq.curve_keypair()
        return cls(z85.decode(public).hex(), z85.decode(secret).hex())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` has written.

        Raises
        ------
        InputError
            If the file can't be read, holds no pair of keys, or others may read it.
        """
        make = f"make one: streamline keys {path}"
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                text = file.read(4096)
        except OSError as exc:
            msg = f"{path}: no key of this host can be read there ({exc.strerror}); {make}"
            raise InputError(msg) from exc
        pair = cls._pair_in(text)
        if pair is None:
            msg = (
                f"{path}: holds no key of a host; make one where no file is yet: "
                "streamline keys FILE"
            )
            raise InputError(msg)
        if stat.S_IMODE(mode) & 0o077:
            msg = f"{path}: others may read this host's key; run: chmod 600 {path}"
            raise InputError(msg)
        return pair

    @classmethod
    def _pair_in(cls, text: bytes) -> Self | None:
        try:
            found = json.loads(text)
            pair = cls(found["public"], found["secret"])
            whole = zmq.curve_public(_z85(pair.secret)) == _z85(pair.public)
        except (ValueError, KeyError, TypeError, zmq.ZMQError):
            return None
        return pair if whole else None

    def write(self, path: Path) -> None:
        """Write it to a new file that only its owner may read.

        Raises
        ------
        InputError
            If there is a file already, or none can be made.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as exc:
            msg = f"{path}: no key can be written there ({exc.strerror}); give another path"
            raise InputError(msg) from exc
        with os.fdopen(descriptor, "w") as file:
            json.dump({"public": self.public, "secret": self.secret}, file)
            file.write("\n")


@dataclass(frozen=True, slots=True)
class Lock:
    """What the end of a link that connects needs.

    Parameters
    ----------
    own : KeyPair
    server : str
        Public key of the host that listens.
    """

    own: KeyPair
    server: str

    def fit(self, socket: Socket) -> None:
        """Put it on a socket, before that connects."""
        socket.curve_publickey = _z85(self.own.public)
        socket.curve_secretkey = _z85(self.own.secret)
        socket.curve_serverkey = _z85(self.server)


class Knocker:
    """Connects a locked socket anew while nobody opens.

    ZeroMQ takes a refusal for final, though the list may have been mended meanwhile.
    """

    def __init__(self, socket: Socket, address: str) -> None:
        self._socket = socket
        self._address = address
        self._knocked_ns = monotonic_ns()

    def knock_if_due(self) -> None:
        """Try again, now and then; called when nobody takes a message."""
        now_ns = monotonic_ns()
        if now_ns - self._knocked_ns < _KNOCK_EVERY_NS:
            return
        self._knocked_ns = now_ns
        with suppress(zmq.ZMQError):
            self._socket.disconnect(self._address)
        self._socket.connect(self._address)


@dataclass(frozen=True, slots=True)
class Door:
    """What the end of a link that listens needs.

    Parameters
    ----------
    link : str
        Names it to the doorkeeper.
    own : KeyPair
    keeper : Doorkeeper
    """

    link: str
    own: KeyPair
    keeper: "Doorkeeper"

    def fit(self, socket: Socket) -> None:
        """Put it on a socket, before that binds."""
        socket.curve_publickey = _z85(self.own.public)
        socket.curve_secretkey = _z85(self.own.secret)
        socket.curve_server = True
        socket.zap_domain = self.link.encode()
        # Without this, a door whose keeper is missing would stand open for every key.
        socket.zap_enforce_domain = True
        socket.handshake_ivl = _HANDSHAKE_MS
        self.keeper.watch(self.link, socket)


class Doorkeeper:
    """Lets in who is on the list, at every door of a context, and tells of everybody else.

    Parameters
    ----------
    context : zmq.Context
        One that has no other doorkeeper.
    allowed : collection of str
        Public keys.
    on_refused : callable
        Called with the link and one of `REFUSALS` for each connection that was refused, in one
        thread for each of them.
    """

    def __init__(
        self, context: Context, allowed: Collection[str], on_refused: Callable[[str, str], None]
    ) -> None:
        self._context = context
        self._allowed = set(map(_z85, allowed))
        self._on_refused = on_refused
        self._numbers = count()
        self._bells: SimpleQueue[tuple[str, str]] = SimpleQueue()
        self._ended = Event()
        self._authenticator = ThreadAuthenticator(context)
        self._authenticator.start()
        self._thread = Thread(target=self._listen, name="doorkeeper", daemon=True)
        self._thread.start()

    def watch(self, link: str, socket: Socket) -> None:
        """Look after a door; called in the thread that has the socket."""
        self._authenticator.configure_curve_callback(link, self)
        bell = f"inproc://bell-{next(self._numbers)}"
        socket.monitor(bell, _FAILED)
        self._bells.put((link, bell))

    def admit(self, public: str) -> None:
        """Put a key on the list."""
        self._allowed.add(_z85(public))

    def callback(self, domain: str, key: bytes) -> bool:
        """Say whether a key may pass; called by the authenticator, with the link for a domain."""
        welcome = key in self._allowed
        if not welcome:
            self._on_refused(domain, "key")
        return welcome

    def close(self) -> None:
        """Leave, once the sockets are closed, having told of all that was refused."""
        self._ended.set()
        self._thread.join()
        self._authenticator.stop()

    def _listen(self) -> None:
        links: dict[Socket, str] = {}
        poller = zmq.Poller()
        while True:
            ended = self._ended.is_set()
            while not self._bells.empty():
                link, bell = self._bells.get()
                socket = self._context.socket(zmq.PAIR)
                socket.linger = 0
                socket.connect(bell)
                poller.register(socket, zmq.POLLIN)
                links[socket] = link
            for socket, _ in poller.poll(_LOOK_EVERY_MS):
                while readable(socket):
                    recv_monitor_message(socket)
                    self._on_refused(links[socket], "handshake")
            if ended:
                break
        for socket in links:
            socket.close()


def _z85(text: str) -> bytes:
    """Write a key as ZeroMQ has it."""
    key = bytes.fromhex(text)
    if len(key) != _KEY_BYTES:
        msg = f"a key has {_KEY_BYTES} bytes, not {len(key)}"
        raise ValueError(msg)
    return bytes(z85.encode(key))
