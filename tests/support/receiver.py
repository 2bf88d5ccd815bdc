"""A web server that takes down what is posted to it, and may hang or fail for a while."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

__all__ = ["Hook", "Posted", "names", "receiver"]

Posted = dict[str, Any]


class Hook:
    """What a receiver has got, and how it answers."""

    def __init__(self) -> None:
        self.got: list[Posted] = []
        """All that it took, in order."""

        self.status = 204
        """What it answers; it takes nothing unless that is success."""

        self.answers = Event()
        """Clear it to let requests hang; one that hangs is never answered."""

        self.answers.set()


@contextmanager
def receiver(port: int) -> Iterator[Hook]:
    """Listen at a port of this machine; what comes is JSON."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not hook.answers.is_set():
                hook.answers.wait()
                self.close_connection = True
                return  # Whoever asked has given up long since.
            if hook.status < 300:
                hook.got.append(posted)
            self.send_response(hook.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            """Who asked may have given up waiting."""

    server = Server(("127.0.0.1", port), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        hook.answers.set()
        server.shutdown()
        server.server_close()
        thread.join()


def names(events: list[Posted]) -> list[tuple[str, str]]:
    """Each event once, in the order in which it first came."""
    return list(dict.fromkeys((event["id"], event["type"]) for event in events))
