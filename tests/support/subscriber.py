"""Somebody who subscribes to alerts by ZeroMQ, and stays."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, Final

import zmq

__all__ = ["subscribed"]

_LOOK_MS: Final = 50


@contextmanager
def subscribed(port: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the list of all events that are published at a port of this machine, in order.

    Whoever publishes may come, go and come back.
    """
    heard: list[dict[str, Any]] = []
    ended = Event()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def listen() -> None:
        with context.socket(zmq.SUB) as socket:
            socket.rcvhwm = 0
            socket.reconnect_ivl = 20
            socket.subscribe(b"alert")
            socket.connect(f"tcp://127.0.0.1:{port}")
            while not ended.is_set():
                while socket.poll(_LOOK_MS):
                    _, event = socket.recv_multipart()
                    heard.append(json.loads(event))

    thread = Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        ended.set()
        thread.join()
        context.term()
