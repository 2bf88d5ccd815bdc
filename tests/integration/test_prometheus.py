"""A line watched by a real Prometheus and a real Alertmanager, configured as shipped."""

import json
import math
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from streamline.ledger import LedgerView
from streamline.metrics.catalogue import LATENCY_BUCKETS, LATENCY_RING
from streamline.transport.curve import KeyPair
from tests.support.bench import write_bench
from tests.support.clips import encode, repeat
from tests.support.line import RunningLine, eventually
from tests.support.modbus import controller
from tests.support.ports import free_port
from tests.support.receiver import Posted, receiver
from tests.support.rtsp_server import RtspServer
from tests.support.watchers import DOCKER, Prometheus, require_watchers, watching

Series = frozenset[tuple[str, str]]


@dataclass
class Watched:
    """What the tests of this file share."""

    line: RunningLine
    prometheus: Prometheus
    server: RtspServer
    told: list[Posted]
    scores_port: int
    ledger: Path
    began_s: float
    series: set[tuple[str, Series]]
    """All that the line exported at first."""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, demo_model: Path) -> Iterator[Watched]:
    """Two rendered cameras and one by RTSP, judged, recorded, told of and watched."""
    require_watchers()
    folder = tmp_path_factory.mktemp("watched")
    ramp = (np.full((96, 128, 3), 30 + 5 * n, np.uint8) for n in range(20))
    clip = encode(ramp, folder / "ramp.mp4", rate=10)
    ports = {name: free_port() for name in ("metrics", "hook", "plc", "scores")}
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        run = folder / "run"
        run.mkdir(mode=0o700)
        patch.setenv("XDG_RUNTIME_DIR", str(run))
        server = stack.enter_context(RtspServer(repeat(clip, folder / "long.mp4", seconds=300)))
        told = stack.enter_context(receiver(ports["hook"])).got
        stack.enter_context(controller(ports["plc"]))
        pipeline = write_line(folder, demo_model, server.url, ports)
        line = stack.enter_context(RunningLine(pipeline, folder))
        line.await_ready()
        eventually(lambda: has_rates(line), "every frame rate is shown")
        yield Watched(
            line=line,
            prometheus=stack.enter_context(watching(ports["metrics"], ports["hook"], folder)),
            server=server,
            told=told,
            scores_port=ports["scores"],
            ledger=next(run.glob("line-*/alert.ledger")),
            began_s=time.time(),  # noqa: TID251 - Prometheus' clock
            series=set(line.metrics()),
        )


def has_rates(line: RunningLine) -> bool:
    """Whether all stages have their rates: they are the last series to appear."""
    found: dict[str, set[Series]] = {}
    for name, labels in line.metrics():
        found.setdefault(name, set()).add(labels)
    return found.get("streamline_fps") == found["streamline_stage_left_total"]


def write_line(folder: Path, model: Path, url: str, ports: dict[str, int]) -> Path:
    demo = {"type": "demo", "part": "inspect", "pace": 10, "loop": True}
    # On a busy computer it is down only once it is killed.
    gate = {"type": "rtsp", "url": url, "open_timeout_s": 20, "read_timeout_s": 20}
    keys = KeyPair.new()
    keys.write(folder / "own.key")
    content: dict[str, Any] = {
        "version": 1,
        "name": "line",
        "model": str(model),
        "cameras": {
            "left": {"source": demo, "deadline_ms": 5000},
            "right": {"source": {**demo, "seed": 1}},
            "gate": {"source": gate},
        },
        "alert": {
            "sinks": [{"type": "jsonl", "path": "alerts.jsonl"}],
            "outbox": {"path": "outbox.db"},
            "plc": {"host": "127.0.0.1", "port": ports["plc"]},
        },
        "record": {"evidence": "evidence", "audit": "audit"},
        "links": {
            "scores": f"tcp://127.0.0.1:{ports['scores']}",
            "keys": {
                "own_file": "own.key",
                "hosts": {"here": {"key": keys.public, "address": "127.0.0.1"}},
            },
        },
        "metrics": {
            "port": ports["metrics"],
            "bench": str(write_bench(folder / "bench.json")),
        },
    }
    path = folder / "line.yaml"
    path.write_text(json.dumps(content))
    return path


def dashboards() -> dict[str, Any]:
    return {
        path.stem: json.loads(path.read_text())
        for path in (DOCKER / "grafana/dashboards").glob("*.json")
    }


def panel_queries(dashboard: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Title and query of every panel."""
    panels = [p for row in dashboard["panels"] for p in (row, *row.get("panels", ()))]
    return [(p["title"], target) for p in panels for target in p.get("targets", ())]


def as_asked(expression: str, instance: str) -> str:
    """A dashboard's query as Grafana sends it."""
    values = {"$instance": instance, "$camera": "left", "$__rate_interval": "20s"}
    for name, value in values.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


@pytest.mark.timeout(360)
@pytest.mark.parametrize("camera", ["left", "right"])
def test_the_frame_rate_that_prometheus_computes_is_the_lines_own_to_2_percent(
    watched: Watched, camera: str
) -> None:
    """Both are means over ten seconds, and of those the mean over the same fifteen.

    The edges of their windows are up to a second apart, which matters while a busy computer
    stutters: then a steadier stretch is waited for.
    """
    prometheus = watched.prometheus
    own = f'streamline_fps{{camera="{camera}",stage="alert"}}'
    theirs = (
        f'sum without (verdict) (rate(streamline_frames_judged_total{{camera="{camera}"}}[10s]))'
    )
    enough = f"count_over_time({own}[40s])"
    eventually(lambda: bool(prometheus.now(f"{enough} >= 28")), "half a minute of scrapes")

    def agree() -> bool:
        means = (f"avg_over_time({own}[15s])", f"avg_over_time(({theirs})[15s:1s])")
        found = [value for mean in means for _, value in prometheus.now(mean)]
        return len(found) == 2 and found[0] > 1 and found[1] == pytest.approx(found[0], rel=0.02)

    eventually(agree, "the frame rates agree", limit_s=200)


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("camera", ["left", "right", "gate"])
def test_latency_quantiles_lie_in_the_bucket_of_the_exact_ones(
    watched: Watched, camera: str, q: float
) -> None:
    prometheus = watched.prometheus
    now_s = prometheus.scraped_s()
    buckets = f'streamline_latency_seconds_bucket{{camera="{camera}"}}'
    count = round(prometheus.one(f'streamline_latency_seconds_count{{camera="{camera}"}}', now_s))
    estimate = prometheus.one(f"histogram_quantile({q}, {buckets})", now_s)
    view = LedgerView(watched.ledger)
    (ring,) = [
        sample.values
        for sample in view.samples(rings=True)
        if sample.name == LATENCY_RING and sample.labels["camera"] == camera
    ]
    view.close()
    assert 20 < count <= len(ring)
    exact = np.sort(ring[:count])[math.ceil(q * count) - 1]
    bounds = (0.0, *LATENCY_BUCKETS)
    upper = int(np.searchsorted(bounds, exact))
    assert bounds[upper - 1] <= estimate <= bounds[upper], (exact, estimate)


def test_a_camera_that_is_killed_raises_its_alert_which_reaches_the_webhook(
    watched: Watched,
) -> None:
    def heard(status: str) -> list[Posted]:
        return [
            alert
            for post in watched.told
            for alert in post["alerts"]
            if alert["labels"]["alertname"] == "StreamlineCameraDown" and alert["status"] == status
        ]

    assert not heard("firing")
    watched.server.stop()
    eventually(lambda: bool(heard("firing")), "the webhook hears of the camera")
    assert {alert["labels"]["camera"] for alert in heard("firing")} == {"gate"}
    alert = heard("firing")[-1]
    assert re.fullmatch(r"Camera gate of \S+ is down: \w+", alert["annotations"]["summary"])
    assert {"meaning", "action"} <= alert["annotations"].keys()


def test_every_query_of_every_dashboard_returns_data(watched: Watched) -> None:
    """After the camera was killed: the list of alerts has something to show."""
    prometheus = watched.prometheus
    ((target, _),) = prometheus.now('up{job="streamline"}')
    asked = [
        (name, title, as_asked(one["expr"], target["instance"]), bool(one.get("instant")))
        for name, dashboard in dashboards().items()
        for title, one in panel_queries(dashboard)
    ]
    assert len(asked) > 50

    def are_answered() -> bool:
        now_s = prometheus.scraped_s()
        asked[:] = [one for one in asked if not has_data(watched, one[2], now_s, instant=one[3])]
        return not asked

    # There is nothing to show while a scrape has failed and the next is to come.
    with suppress(AssertionError):
        eventually(are_answered, "every panel has data", limit_s=30)
    assert not asked


def has_data(watched: Watched, expression: str, now_s: float, *, instant: bool) -> bool:
    """Whether a panel has something to show."""
    if instant:
        values = [[value] for _, value in watched.prometheus.now(expression)]
    else:
        values = watched.prometheus.over(expression, start_s=watched.began_s, end_s=now_s)
    return any(math.isfinite(value) for one in values for value in one)


def test_every_series_of_rules_and_dashboards_exists(watched: Watched) -> None:
    rules = json.dumps(watched.prometheus.ask("rules"))
    text = rules + json.dumps(dashboards())
    names = set(re.findall(r"\b(?:camera:)?streamline_[a-z_0-9]+(?::[a-z_0-9]+)?", text))
    names -= {"streamline_camera"}
    assert len(names) > 40
    eventually(
        lambda: names <= set(watched.prometheus.ask("label/__name__/values")), "all are there"
    )


def test_promtool_has_no_complaints_about_a_running_line(watched: Watched) -> None:
    status, page = watched.line.get("/metrics")
    assert status == 200
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=page,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nothing_that_comes_from_outside_makes_a_series(
    watched: Watched, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    """Verdicts, alerts, a dead camera, odd requests, a stranger: the label sets are the file's."""
    for path in ("/metrics?camera=other", "/other", "/readyz?stage=x"):
        watched.line.get(path)
    request = urllib.request.Request(  # noqa: S310
        watched.line.url + "/metrics", headers={"User-Agent": "other", "Accept": "*/*"}
    )
    with urllib.request.urlopen(request, timeout=20) as reply:  # noqa: S310
        assert reply.status == 200
    with context.socket(zmq.DEALER) as stranger:
        stranger.linger = 1000
        stranger.connect(f"tcp://127.0.0.1:{watched.scores_port}")
        for _ in range(20):
            stranger.send_multipart([b"other", b"camera", b"\xff" * 100])
        refused = "sum(streamline_link_refused_total) > 0"
        eventually(lambda: bool(watched.prometheus.now(refused)), "the stranger is refused")
    assert set(watched.line.metrics()) == watched.series
    now_s = watched.prometheus.scraped_s()
    cameras = {labels["camera"] for labels, _ in watched.prometheus.now("{camera!=''}", now_s)}
    assert cameras == {"left", "right", "gate"}
    held = watched.prometheus.one('count({job="streamline",__name__=~"streamline_.+"})', now_s)
    # A histogram's bucket is a series to Prometheus and to the parser alike.
    assert held == len(watched.series)
