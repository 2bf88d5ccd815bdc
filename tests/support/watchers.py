"""A real Prometheus and a real Alertmanager over the shipped configuration, made quick."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.line import eventually
from tests.support.ports import free_port

__all__ = ["DOCKER", "Prometheus", "require_watchers", "watching"]

DOCKER: Final = Path(__file__).resolve().parents[2] / "docker"

_PROGRAMS: Final = ("prometheus", "prometheus-alertmanager", "promtool", "amtool")

Labels = dict[str, str]


def require_watchers() -> None:
    """Skip the test where they are not installed."""
    if missing := [name for name in _PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"no {', '.join(missing)}; apt-get install prometheus prometheus-alertmanager")


@dataclass(frozen=True)
class Prometheus:
    """One that runs, asked over HTTP as Grafana does."""

    url: str

    def ask(self, path: str, **parameters: str | float) -> Any:  # noqa: ANN401 - any JSON
        """Return the data of an answer."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=20) as reply:  # noqa: S310
            return json.loads(reply.read())["data"]

    def now(self, expression: str, at_s: float | None = None) -> list[tuple[Labels, float]]:
        """Return what an instant query gives."""
        when = {} if at_s is None else {"time": at_s}
        result = self.ask("query", query=expression, **when)["result"]
        return [(one["metric"], float(one["value"][1])) for one in result]

    def over(self, expression: str, *, start_s: float, end_s: float) -> list[list[float]]:
        """Return the values of what a range query gives, at one-second steps."""
        result = self.ask("query_range", query=expression, start=start_s, end=end_s, step="1")[
            "result"
        ]
        return [[float(value) for _, value in one["values"]] for one in result]

    def scraped_s(self) -> float:
        """Wait until there are figures of the line, and return when they were taken.

        A busy computer may fail to answer a scrape: then there are none until the next one.
        """
        up, found = 'up{job="streamline"}', list[tuple[Labels, float]]()

        def are_there() -> bool:
            found[:] = self.now(f"timestamp({up}) and {up} == 1")
            return bool(found)

        eventually(are_there, "the line is scraped")
        return found[0][1]

    def one(self, expression: str, at_s: float | None = None) -> float:
        """Return the only value of an instant query."""
        ((_, value),) = self.now(expression, at_s)
        return value


@contextmanager
def watching(line_port: int, hook_port: int, folder: Path) -> Iterator[Prometheus]:
    """Watch a line as docker/ has it, with other addresses and every second.

    Alerts are as shipped but for how long they must hold: `for` is one second.
    """
    port, manager = free_port(), free_port()
    _render_all(folder, {"line:9464": line_port, "alertmanager:9093": manager, "hook": hook_port})
    commands = {
        manager: [
            "prometheus-alertmanager",
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/alertmanager",
            f"--web.listen-address=127.0.0.1:{manager}",
            "--cluster.listen-address=",
        ],
        port: [
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/prometheus",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
    }
    started = []
    try:
        for where, command in commands.items():
            with (folder / f"{command[0]}.log").open("wb") as log:
                started.append(subprocess.Popen(command, stdout=log, stderr=log))
            eventually(lambda where=where: _is_ready(where), f"{command[0]} is ready")  # type: ignore[misc]
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _is_ready(port: int) -> bool:
    """Whether queries are answered: it listens before it has read what it stored."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=20):
            return True
    except (OSError, HTTPException):
        return False


def _render_all(folder: Path, ports: Mapping[str, int]) -> None:
    """Write copies of the shipped files: other addresses, shorter times."""
    address = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    copies = {
        "prometheus/prometheus.yml": {
            r"scrape_interval: \S+": "scrape_interval: 1s",
            r"evaluation_interval: \S+": "evaluation_interval: 1s",
            r"line:9464": address["line:9464"],
            r"alertmanager:9093": address["alertmanager:9093"],
        },
        "prometheus/rules.yml": {r"\bfor: \S+": "for: 1s"},
        "alertmanager/alertmanager.yml": {
            r"group_wait: \S+": "group_wait: 1s",
            r"group_interval: \S+": "group_interval: 1s",
            r"http://\S+/alerts": f"http://{address['hook']}/alerts",
        },
    }
    for name, changes in copies.items():
        text = (DOCKER / name).read_text()
        for pattern, new in changes.items():
            text, found = re.subn(pattern, new, text)
            assert found, f"{name}: nothing like {pattern}"
        (folder / Path(name).name).write_text(text)
