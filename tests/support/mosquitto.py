"""A real MQTT broker that may go away and come back, and somebody who listens to it."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.line import eventually, whole_lines
from tests.support.ports import listens

__all__ = ["broker", "heard_events", "is_installed", "subscribe", "subscriber"]


def is_installed() -> bool:
    """Whether there can be a broker and a subscriber."""
    return shutil.which("mosquitto") is not None and shutil.which("mosquitto_sub") is not None


@contextmanager
def broker(folder: Path, port: int) -> Iterator[None]:
    """A broker that remembers who subscribed, and what they have yet to hear, over its own end."""
    settings = f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
    (folder / "broker.conf").write_text(f"{settings}persistence_location {folder}/\nuser root\n")
    start = ["mosquitto", "-c", str(folder / "broker.conf")]
    with subprocess.Popen(start, stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: listens(port), "the broker listens")
            yield
        finally:
            process.terminate()


def _subscription(port: int) -> list[str]:
    """The command of one whom the broker knows from then on, whether it is there or not."""
    command = "mosquitto_sub -h 127.0.0.1 -t plant/# -q 1 -V 5 -i reader -c -x 10000 -p"
    return [*command.split(), str(port)]


def subscribe(port: int) -> None:
    """Let the broker know the subscriber, for whom it keeps what comes from then on."""
    subprocess.run([*_subscription(port), "-E"], check=True, timeout=60)


@contextmanager
def subscriber(port: int, path: Path) -> Iterator[None]:
    """Write what it hears, and what came while it was away, as lines into a file."""
    with path.open("ab") as file, subprocess.Popen(_subscription(port), stdout=file) as process:
        try:
            yield
        finally:
            process.terminate()


def heard_events(path: Path) -> list[dict[str, Any]]:
    """Return the events among what was heard."""
    return [json.loads(one) for one in whole_lines(path) if one.startswith("{")]
