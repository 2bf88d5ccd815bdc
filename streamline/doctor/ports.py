"""Ports that a line listens on: whether they are free."""

import socket
from collections.abc import Iterator
from typing import NamedTuple

from streamline.config import Pipeline, ZmqSink
from streamline.config.fields import endpoint
from streamline.doctor.finding import Finding, fail, ok

__all__ = ["ports"]


class _Port(NamedTuple):
    key: str
    host: str
    number: int


def ports(pipeline: Pipeline, *, is_running: bool) -> Iterator[Finding]:
    """Look whether a line can listen where its file says.

    A link's address is listened on by the stage that receives: on another host it is no business
    of this one.

    Parameters
    ----------
    is_running : bool
        Whether the line runs at the moment: its ports are its own then.
    """
    for port in _wanted(pipeline):
        check = f"port {port.number}"
        where = f"{port.key} ({port.host}:{port.number})"
        if is_running:
            yield ok(check, f"{where}: not looked at, this line is running")
            continue
        if _refusal(port.host, 0):
            if port.key == "metrics.port":
                what = f"{pipeline.where('metrics.address')}: {port.host} is not this computer's"
                yield fail(check, what, "write 127.0.0.1, or 0.0.0.0 for every network")
            else:
                yield ok(check, f"{where}: is on another computer")
        elif why := _refusal(port.host, port.number):
            what = f"{pipeline.where(port.key)}: {port.host} port {port.number}: {why}"
            yield fail(check, what, f"see who has it: ss -ltnp 'sport = :{port.number}'")
        else:
            yield ok(check, f"{where}: is free")


def _wanted(pipeline: Pipeline) -> Iterator[_Port]:
    if pipeline.metrics.port:
        yield _Port("metrics.port", pipeline.metrics.address, pipeline.metrics.port)
    addresses = {
        f"links.{name}": getattr(pipeline.links, name)
        for name in ("frames", "prepared", "scores", "telemetry")
    }
    for number, sink in enumerate(pipeline.alert.sinks):
        if isinstance(sink, ZmqSink):
            addresses[f"alert.sinks.{number}.address"] = sink.address
    for key, address in addresses.items():
        if (found := endpoint(address or "")) is not None:
            yield _Port(key, "0.0.0.0" if found[0] == "*" else found[0], found[1])  # noqa: S104 - as written


def _refusal(host: str, port: int) -> str:
    """Say why a port can't be listened on; nothing if it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            # As servers do: a connection that was closed a minute ago keeps nobody out.
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
    except OSError as exc:
        return exc.strerror or str(exc)
    return ""
