"""Two hosts on this machine, with a cable between them that can be pulled out."""

import ctypes
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread
from typing import TypeVar

from streamline.transport.curve import KeyPair
from tests.support.line import RunningLine
from tests.support.links import Cable
from tests.support.ports import free_port

__all__ = ["Addresses", "Host", "HostLine", "Namespaces", "TwoHosts"]

_T = TypeVar("_T")
_CLONE_NEWNET = 0x40000000


class Host(ABC):
    """Where a part of a line runs.

    Parameters
    ----------
    role : str
        What it is; a pipeline file has it as ``${HOST}``.
    server : str
        Address at which this host finds the server; a pipeline file has it as ``${SERVER}``.
    ahead_s : int
        By how much its monotonic clock is ahead of this test's.
    """

    def __init__(self, role: str, server: str, *, ahead_s: int = 0) -> None:
        self.role = role
        self.server = server
        self.ahead_s = ahead_s

    @property
    def within(self) -> list[str]:
        """Command that runs another on this host."""
        return ["env", f"SERVER={self.server}", f"HOST={self.role}"]

    @abstractmethod
    def call(self, function: Callable[[], _T]) -> _T:
        """Call a function that uses this host's network."""


class TwoHosts(ABC):
    """A camera's host and a server, which reach each other by a cable."""

    camera: Host
    server: Host
    prepared: int
    telemetry: int
    """Ports on which the server listens."""

    def links(self, folder: Path) -> dict[str, object]:
        """Links of a line whose infer and alert stages are on the server; makes both their keys."""
        keys: dict[str, dict[str, str]] = {}
        for host in (self.camera, self.server):
            pair = KeyPair.new()
            pair.write(folder / f"{host.role}.key")
            keys[host.role] = {"key": pair.public}
        keys["server"]["address"] = "${SERVER}"
        return {
            "prepared": f"tcp://${{SERVER}}:{self.prepared}",
            "scores": "inproc",
            "telemetry": f"tcp://${{SERVER}}:{self.telemetry}",
            "keys": {"own_file": f"{folder}/${{HOST}}.key", "hosts": keys},
        }

    @abstractmethod
    def cut(self) -> None:
        """Pull the cable out: nothing passes any more, and nobody is told."""

    @abstractmethod
    def mend(self) -> None:
        """Put it back."""

    @abstractmethod
    def close(self) -> None:
        """Remove both hosts."""


class HostLine(RunningLine):
    """A part of a line on a host."""

    def __init__(self, pipeline: Path, folder: Path, *, stage: str, host: Host) -> None:
        super().__init__(pipeline, folder, stage=stage, within=host.within)
        self._host = host

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of one HTTP request from the host itself."""
        return self._host.call(lambda: super(HostLine, self).get(path))


# --- network namespaces -----------------------------------------------------------------------


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=20)


class _Namespace(Host):
    """A network namespace, and a time namespace where its clock is ahead."""

    def __init__(self, mark: str, role: str, server: str, *, ahead_s: int = 0) -> None:
        super().__init__(role, server, ahead_s=ahead_s)
        self.name = f"sl-{mark}-{role}"

    @property
    def within(self) -> list[str]:
        """Command that runs another on this host."""
        enter = ["ip", "netns", "exec", self.name, *super().within]
        shift = ["--monotonic", str(self.ahead_s), "--boottime", str(self.ahead_s)]
        return [*enter, "unshare", "-T", *shift, "-f", "--kill-child"] if self.ahead_s else enter

    def call(self, function: Callable[[], _T]) -> _T:
        """Call a function in a thread that uses this host's network."""

        def work() -> _T:
            descriptor = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(descriptor)
            return function()

        # What it raises is the caller's to hear.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(work).result()


class Namespaces(TwoHosts):
    """Networks and clocks of their own; CalledProcessError where that is not permitted."""

    camera: _Namespace
    server: _Namespace
    prepared = 5701
    telemetry = 5703

    def __init__(self) -> None:
        mark = f"{os.getpid() % 100000}"
        addresses = ("10.213.77.1", "10.213.77.2")
        self.camera = _Namespace(mark, "camera", addresses[1], ahead_s=1000)
        self.server = _Namespace(mark, "server", addresses[1])
        try:
            self._make(f"sl{mark}", addresses)
        except BaseException:
            self.close()
            raise

    def _make(self, cable: str, addresses: tuple[str, str]) -> None:
        for host in (self.camera, self.server):
            _run("ip", "netns", "add", host.name)
            _run("ip", "-n", host.name, "link", "set", "lo", "up")
        first = ("ip", "link", "add", f"{cable}a", "netns", self.camera.name, "type", "veth")
        _run(*first, "peer", "name", f"{cable}b", "netns", self.server.name)
        ends = zip((self.camera, self.server), "ab", addresses, strict=True)
        for host, end, address in ends:
            on = ("ip", "-n", host.name)
            _run(*on, "link", "set", f"{cable}{end}", "name", "eth0")
            _run(*on, "addr", "add", f"{address}/24", "dev", "eth0")
            _run(*on, "link", "set", "eth0", "up")
        _run(*self.camera.within, "true")

    def cut(self) -> None:
        """Pull the cable out at the camera's host."""
        _run("ip", "-n", self.camera.name, "link", "set", "eth0", "down")

    def mend(self) -> None:
        """Put it back."""
        _run("ip", "-n", self.camera.name, "link", "set", "eth0", "up")

    def close(self) -> None:
        """Remove both hosts."""
        for host in (self.camera, self.server):
            subprocess.run(["ip", "netns", "del", host.name], check=False, capture_output=True)


# --- addresses --------------------------------------------------------------------------------


class _Address(Host):
    """This host, by another address."""

    def call(self, function: Callable[[], _T]) -> _T:
        """Call it here: every address of this host is reached from everywhere on it."""
        return function()


class Addresses(TwoHosts):
    """One host by two of its own addresses, which every machine lets us have, and one clock.

    The camera's host finds the server where a cable begins, which ends where the server listens.
    """

    def __init__(self) -> None:
        near, far = "127.0.0.2", "127.0.0.3"
        self.camera, self.server = _Address("camera", near), _Address("server", far)
        self.prepared, self.telemetry = free_port(far), free_port(far)
        ports = (self.prepared, self.telemetry)
        self._cables = [Cable((far, port), at=(near, port)) for port in ports]
        self._ended = Event()
        self._carrier = Thread(target=self._carry)
        self._carrier.start()

    def cut(self) -> None:
        """Carry nothing; connections stay, and what is on its way stays on its way."""
        for cable in self._cables:
            cable.forward = cable.back = False

    def mend(self) -> None:
        """Carry on."""
        for cable in self._cables:
            cable.forward = cable.back = True

    def close(self) -> None:
        """Remove the cables."""
        self._ended.set()
        self._carrier.join()
        for cable in self._cables:
            cable.close()

    def _carry(self) -> None:
        while not self._ended.is_set():
            for cable in self._cables:
                cable.carry()
