"""Two hosts on this machine: network namespaces with a cable between them, and clocks apart."""

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import TypeVar

from tests.support.line import RunningLine

__all__ = ["Host", "HostLine", "TwoHosts"]

_T = TypeVar("_T")
_CLONE_NEWNET = 0x40000000


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=20)


class Host:
    """A network namespace, and a monotonic clock that is ahead by some seconds."""

    def __init__(self, name: str, address: str, *, ahead_s: int = 0) -> None:
        self.name = name
        self.address = address
        self._ahead_s = ahead_s

    @property
    def within(self) -> list[str]:
        """Command that runs another on this host."""
        enter = ["ip", "netns", "exec", self.name]
        shift = ["--monotonic", str(self._ahead_s), "--boottime", str(self._ahead_s)]
        return [*enter, "unshare", "-T", *shift, "-f", "--kill-child"] if self._ahead_s else enter

    def call(self, function: Callable[[], _T]) -> _T:
        """Call a function in a thread that uses this host's network."""
        results: list[_T] = []

        def work() -> None:
            descriptor = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(descriptor)
            results.append(function())

        thread = Thread(target=work)
        thread.start()
        thread.join()
        return results[0]


class TwoHosts:
    """Two hosts with a cable between them; CalledProcessError where that is not permitted."""

    def __init__(self) -> None:
        mark = f"{os.getpid() % 100000}"
        self.camera = Host(f"sl-{mark}-a", "10.213.77.1", ahead_s=1000)
        self.server = Host(f"sl-{mark}-b", "10.213.77.2")
        try:
            self._make(f"sl{mark}")
        except BaseException:
            self.close()
            raise

    def _make(self, cable: str) -> None:
        for host in (self.camera, self.server):
            _run("ip", "netns", "add", host.name)
            _run("ip", "-n", host.name, "link", "set", "lo", "up")
        first = ("ip", "link", "add", f"{cable}a", "netns", self.camera.name, "type", "veth")
        _run(*first, "peer", "name", f"{cable}b", "netns", self.server.name)
        for host, end in ((self.camera, "a"), (self.server, "b")):
            on = ("ip", "-n", host.name)
            _run(*on, "link", "set", f"{cable}{end}", "name", "eth0")
            _run(*on, "addr", "add", f"{host.address}/24", "dev", "eth0")
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


class HostLine(RunningLine):
    """A part of a line on a host."""

    def __init__(self, pipeline: Path, folder: Path, *, stage: str, host: Host) -> None:
        super().__init__(pipeline, folder, stage=stage, within=host.within)
        self._host = host

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of one HTTP request from the host itself."""
        return self._host.call(lambda: super(HostLine, self).get(path))
