"""Who is told of alerts over the network: whether anybody answers there."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from streamline.config import MqttSink, Pipeline, WebhookSink
from streamline.doctor.finding import Finding, ok, warn

__all__ = ["receivers"]

_TIMEOUT_S: Final = 5.0
_WEB_PORTS: Final = {"http": 80, "https": 443}


class _Receiver(NamedTuple):
    name: str
    host: str
    port: int


def receivers(pipeline: Pipeline) -> Iterator[Finding]:
    """Look whether brokers, web servers and the controller can be connected to.

    Nothing is sent. One that is away is no fault: alerts wait for it.
    """
    wanted = list(_wanted(pipeline))
    with ThreadPoolExecutor(max(1, len(wanted))) as pool:
        for receiver, why in zip(wanted, pool.map(_refusal, wanted), strict=True):
            where = f"{receiver.host} port {receiver.port}"
            if why:
                remedy = "see that it runs, and what lies between: alerts wait until it answers"
                yield warn(receiver.name, f"{where} can't be connected to: {why}", remedy)
            else:
                yield ok(receiver.name, f"{where} answers")


def _wanted(pipeline: Pipeline) -> Iterator[_Receiver]:
    for name, sink in pipeline.alert.by_name.items():
        if isinstance(sink, MqttSink):
            port = sink.port or (8883 if sink.tls else 1883)
            yield _Receiver(f"sink {name}", sink.host, port)
        elif isinstance(sink, WebhookSink):
            url = urlsplit(sink.url.get_secret_value())
            port = url.port or _WEB_PORTS[url.scheme.lower()]
            yield _Receiver(f"sink {name}", url.hostname or "", port)
    if (plc := pipeline.alert.plc) is not None:
        yield _Receiver("controller", plc.host, plc.port)


def _refusal(receiver: _Receiver) -> str:
    """Say why nobody can be connected to; nothing if somebody can."""
    try:
        socket.create_connection((receiver.host, receiver.port), timeout=_TIMEOUT_S).close()
    except OSError as exc:
        return exc.strerror or str(exc)
    return ""
