"""The endpoint, as a scraper and a probe see it."""

import json
import socket
import struct
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected
from threading import Event
from urllib.error import HTTPError

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from streamline.errors import InputError
from streamline.ledger import Ledger, Sample
from streamline.metrics.exporter import Exporter, FrameRates
from streamline.run.supervision.health import Health
from streamline.run.supervision.http import Endpoint

HEALTHY = Health(healthy=True, ready=True, body={})


@dataclass
class Site:
    """An endpoint and what it shows."""

    endpoint: Endpoint
    health: Health

    def get(self, path: str, method: str = "GET") -> tuple[int, str, bytes]:
        """Ask for a path; return status, content type and body."""
        request = urllib.request.Request(self.endpoint.url + path, method=method)  # noqa: S310 - ours
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - ours
                assert isinstance(answer, HTTPResponse)
                return answer.status, answer.headers["Content-Type"], answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read()


def exporter() -> Exporter:
    """An exporter of one counter."""
    ledger = Ledger()
    ledger.counter("streamline_alerts_total", camera="left").add(2)
    return Exporter(ledger.samples, FrameRates(), {})


@pytest.fixture
def site() -> Iterator[Site]:
    """An endpoint at any free port."""
    site: Site
    endpoint = Endpoint("127.0.0.1", 0, exporter(), lambda: site.health)
    site = Site(endpoint, Health(healthy=True, ready=True, body={"workers": {"infer": True}}))
    yield site
    endpoint.close()


def test_metrics_are_served_as_prometheus_reads_them(site: Site) -> None:
    status, kind, body = site.get("/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=")
    families = text_string_to_metric_families(body.decode())
    assert {s.name: s.value for f in families for s in f.samples} == {"streamline_alerts_total": 2}


def test_a_query_does_not_matter(site: Site) -> None:
    assert site.get("/metrics?name[]=streamline_alerts_total")[0] == 200


@pytest.mark.parametrize("ready", [True, False], ids=["ready", "not-ready"])
@pytest.mark.parametrize("healthy", [True, False], ids=["healthy", "ill"])
def test_probes_are_answered_by_status_and_told_why(
    site: Site,
    healthy: bool,  # noqa: FBT001 - a table
    ready: bool,  # noqa: FBT001 - a table
) -> None:
    site.health = site.health._replace(healthy=healthy, ready=ready)
    for path, good in (("/healthz", healthy), ("/readyz", ready)):
        status, kind, body = site.get(path)
        assert status == (200 if good else 503)
        assert kind == "application/json"
        assert json.loads(body) == {"workers": {"infer": True}}


def test_other_paths_are_not_found_and_the_right_ones_named(site: Site) -> None:
    for path in ("/", "/metricsx", "/healthz/", "/../metrics"):
        status, _, body = site.get(path)
        assert (status, body) == (404, b"try /metrics, /healthz or /readyz\n")


def test_head_is_get_without_a_body(site: Site) -> None:
    for path, status in (("/metrics", 200), ("/healthz", 200), ("/", 404)):
        assert site.get(path, "HEAD")[::2] == (status, b"")


def test_nothing_can_be_changed_from_outside(site: Site) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert site.get("/metrics", method)[0] == 501


def test_a_port_in_use_is_refused_with_the_cure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        sentence = (
            rf"^metrics: can't listen on 127\.0\.0\.1 port {port} \(Address already in use\); "
            r"set metrics\.port to a free one, 0 for any$"
        )
        with pytest.raises(InputError, match=sentence):
            Endpoint("127.0.0.1", port, exporter(), lambda: HEALTHY)


def test_an_address_of_another_host_is_refused() -> None:
    with pytest.raises(InputError, match=r"metrics: can't listen on 192\.0\.2\.1 port 0 \("):
        Endpoint("192.0.2.1", 0, exporter(), lambda: HEALTHY)


def test_closing_gives_the_port_back_even_while_a_client_hangs(site: Site) -> None:
    port = int(site.endpoint.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as idle:
        idle.sendall(b"GET /metrics HTTP/1.1\r\n")
        first = Endpoint("127.0.0.1", 0, exporter(), lambda: site.health)
        used = int(first.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", used)) as hanging:
            hanging.sendall(b"GET /metrics HTTP/1.1\r\n")
            first.close()
        again = Endpoint("127.0.0.1", used, exporter(), lambda: site.health)
        again.close()


def test_a_scrape_that_the_end_overtakes_gets_no_page_without_counters() -> None:
    asked, closed = Event(), Event()

    def samples() -> list[Sample]:
        asked.set()
        assert closed.wait(30)
        return []

    endpoint = Endpoint("127.0.0.1", 0, Exporter(samples, FrameRates(), {}), lambda: HEALTHY)
    host, _, port = endpoint.url.removeprefix("http://").rpartition(":")
    scraper = HTTPConnection(host, int(port), timeout=30)
    scraper.request("GET", "/metrics")
    assert asked.wait(30)
    endpoint.close()
    closed.set()
    answer = scraper.getresponse()
    assert (answer.status, answer.read()) == (503, b"the line has ended\n")
    scraper.close()


def test_a_request_that_fails_is_told_once_and_one_that_broke_off_never() -> None:
    asked, gone = Event(), Event()
    bodies: list[dict[str, object]] = [{}, {"not": {"JSON"}}, {"not": {"JSON"}}]

    def health() -> Health:
        body = bodies.pop(0)
        asked.set()
        assert gone.wait(30)
        return Health(healthy=True, ready=True, body=body)

    with structlog.testing.capture_logs() as logs:
        endpoint = Endpoint("127.0.0.1", 0, exporter(), health)
        port = int(endpoint.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert asked.wait(30)
            # Closing then resets the connection.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.set()
        for _ in range(2):
            again = HTTPConnection("127.0.0.1", port, timeout=30)
            again.request("GET", "/healthz")
            with pytest.raises(RemoteDisconnected):
                again.getresponse()
            again.close()
        endpoint.close()
    (told,) = logs
    assert told["event"] == "request failed; told once"
    assert isinstance(told["exc_info"], TypeError)
