"""The endpoint, as a scraper and a probe see it."""

import json
import socket
import ssl
import struct
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection, RemoteDisconnected
from pathlib import Path
from threading import Event, Thread
from urllib.error import HTTPError, URLError

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from streamline.config import Metrics
from streamline.errors import InputError
from streamline.ledger import Ledger, Sample
from streamline.metrics.exporter import Exporter, FrameRates
from streamline.run.supervision.access import Access
from streamline.run.supervision.health import Health
from streamline.run.supervision.http import _HEAD_BYTES, Endpoint
from tests.support.certificates import make_certificate, needs_openssl
from tests.support.until import until

TOKEN = "3b9f0c5d7a1e4286"  # noqa: S105 - of these tests alone
HEALTHY = Health(healthy=True, ready=True, judged=True, stuck=(), body={})


@dataclass
class Site:
    """An endpoint and what it shows."""

    endpoint: Endpoint
    health: Health

    trusts: Path | None = None
    """Certificate that its clients trust."""

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, bytes]:
        """Ask for a path; return status, content type and body."""
        request = urllib.request.Request(self.endpoint.url + path, None, headers, method=method)  # noqa: S310 - ours
        trust = None if self.trusts is None else ssl.create_default_context(cafile=self.trusts)
        try:
            with urllib.request.urlopen(request, timeout=30, context=trust) as answer:  # noqa: S310 - ours
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


def locked(folder: Path) -> Metrics:
    """Settings with TLS and a token."""
    certificate, key = make_certificate(folder)
    (folder / "token").write_text(TOKEN)
    return Metrics(certificate_file=certificate, key_file=key, token_file=folder / "token")


@contextmanager
def served(access: Access, trusts: Path | None = None) -> Iterator[Site]:
    """Serve at any free port."""
    site: Site
    endpoint = Endpoint("127.0.0.1", 0, exporter(), lambda: site.health, access=access)
    health = Health(
        healthy=True, ready=True, judged=True, stuck=(), body={"workers": {"infer": True}}
    )
    site = Site(endpoint, health, trusts)
    yield site
    endpoint.close()


@pytest.fixture
def site() -> Iterator[Site]:
    """An endpoint for everybody."""
    with served(Access()) as site:
        yield site


@pytest.fixture
def locked_site(tmp_path: Path) -> Iterator[Site]:
    """One that speaks TLS and wants a token."""
    metrics = locked(tmp_path)
    with served(Access.of(metrics), metrics.certificate_file) as site:
        yield site


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


@needs_openssl
def test_who_has_the_token_is_answered_by_tls(locked_site: Site) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert locked_site.endpoint.url.startswith("https://127.0.0.1:")
    status, _, body = locked_site.get("/metrics", **bearer)
    assert status == 200
    families = text_string_to_metric_families(body.decode())
    assert {s.name: s.value for f in families for s in f.samples} == {"streamline_alerts_total": 2}
    assert locked_site.get("/healthz", **bearer)[0] == 200
    assert locked_site.get("/", **bearer)[0] == 404


@needs_openssl
@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/nowhere"])
def test_who_has_no_token_learns_nothing(locked_site: Site, path: str) -> None:
    needed = b"a bearer token is needed\n"
    assert locked_site.get(path)[::2] == (401, needed)
    assert locked_site.get(path, Authorization="Bearer 0000000000000000")[::2] == (401, needed)
    assert locked_site.get(path, "HEAD")[::2] == (401, b"")


@needs_openssl
def test_a_certificate_that_a_client_does_not_trust_ends_it_before_the_token_is_sent(
    locked_site: Site,
) -> None:
    locked_site.trusts = None
    with pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):
        locked_site.get("/metrics", Authorization=f"Bearer {TOKEN}")


@needs_openssl
def test_who_speaks_no_tls_or_says_nothing_is_no_news_and_holds_nobody_up(
    locked_site: Site,
) -> None:
    port = int(locked_site.endpoint.url.rpartition(":")[2])
    with (
        structlog.testing.capture_logs() as logs,
        socket.create_connection(("127.0.0.1", port)),
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
    ):
        plain.sendall(b"GET /metrics HTTP/1.1\r\nHost: line\r\n\r\n")
        assert b"streamline_" not in plain.recv(1000)
        status, *_ = locked_site.get("/metrics", Authorization=f"Bearer {TOKEN}")
        assert status == 200
    assert logs == []


Begin = Callable[[socket.socket], socket.socket]


class Tricklers:
    """Clients who send a byte now and then, of a request or a handshake that never ends.

    Parameters
    ----------
    url : str
        Of the endpoint.
    count : int
    begin : callable
        Sends the first of it; what follows is what a header or a handshake may go on with.
    """

    def __init__(self, url: str, count: int, begin: Begin) -> None:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        self._there = [begin(socket.create_connection(address, timeout=60)) for _ in range(count)]
        self._ended = Event()
        self.all_gone = Event()
        self._thread = Thread(target=self._trickle)
        self._thread.start()

    def _trickle(self) -> None:
        gone: set[socket.socket] = set()
        while not self._ended.wait(0.05):
            for one in self._there:
                try:
                    one.sendall(b"\x00")
                except OSError:
                    gone.add(one)
            if len(gone) == len(self._there):
                self.all_gone.set()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        for one in self._there:
            one.close()


def asks(client: socket.socket) -> socket.socket:
    """Send as much of a request as anybody may."""
    client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
    return client


def asks_by_tls(client: socket.socket) -> socket.socket:
    """Send it by TLS; whose certificate it is does not matter."""
    trust = ssl.create_default_context()
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE
    return asks(trust.wrap_socket(client))


def shakes_hands(client: socket.socket) -> socket.socket:
    """Begin a handshake of TLS: its first record has 16 KiB."""
    client.sendall(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03")
    return client


@pytest.mark.parametrize("more", [40, 32], ids=["more-than-served", "as-many-as-served"])
def test_whoever_asks_is_answered_beside_any_number_that_ask_for_ever(
    site: Site, more: int
) -> None:
    with closing(Tricklers(site.endpoint.url, more, asks)):
        for _ in range(3):
            assert site.get("/healthz")[0] == 200


@needs_openssl
def test_who_has_the_token_is_answered_beside_any_number_that_shake_hands_for_ever(
    locked_site: Site,
) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with closing(Tricklers(locked_site.endpoint.url, 40, shakes_hands)):
        for _ in range(3):
            assert locked_site.get("/readyz", **bearer)[0] == 200


def test_a_request_that_goes_on_and_on_is_hung_up_on() -> None:
    endpoint = Endpoint("127.0.0.1", 0, exporter(), lambda: HEALTHY, patience_s=0.3)
    with closing(endpoint), closing(Tricklers(endpoint.url, 2, asks)) as slow:
        assert slow.all_gone.wait(60)


@needs_openssl
def test_so_is_one_by_tls_and_a_handshake_too(tmp_path: Path) -> None:
    access = Access.of(locked(tmp_path))
    endpoint = Endpoint("127.0.0.1", 0, exporter(), lambda: HEALTHY, access=access, patience_s=3)
    with (
        closing(endpoint),
        closing(Tricklers(endpoint.url, 1, asks_by_tls)) as asking,
        closing(Tricklers(endpoint.url, 1, shakes_hands)) as shaking,
    ):
        assert asking.all_gone.wait(60)
        assert shaking.all_gone.wait(60)


@needs_openssl
def test_who_has_no_token_is_not_kept(locked_site: Site) -> None:
    port = int(locked_site.endpoint.url.rpartition(":")[2])
    trust = ssl.create_default_context(cafile=locked_site.trusts)
    client = HTTPSConnection("127.0.0.1", port, timeout=30, context=trust)
    with closing(client):
        client.request("GET", "/metrics")
        answer = client.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (401, "close")


@needs_openssl
def test_a_scraper_that_is_known_keeps_its_connection_whoever_comes(locked_site: Site) -> None:
    port = int(locked_site.endpoint.url.rpartition(":")[2])
    trust = ssl.create_default_context(cafile=locked_site.trusts)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with closing(HTTPSConnection("127.0.0.1", port, timeout=30, context=trust)) as scraper:
        for _ in range(2):
            scraper.request("GET", "/metrics", headers=bearer)
            assert scraper.getresponse().read()
            with closing(Tricklers(locked_site.endpoint.url, 50, shakes_hands)):
                assert locked_site.get("/healthz", **bearer)[0] == 200
            # While twice as many as are served have not gone, whoever comes is turned away.
            until(lambda: len(locked_site.endpoint._server.callers._here) == 1)
        scraper.request("GET", "/metrics", headers=bearer)
        assert scraper.getresponse().status == 200


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"GET /" + b"x" * _HEAD_BYTES, id="one-line"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: yyyyyyyyy\r\n" * 1300, id="many-lines"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"y" * _HEAD_BYTES, id="one-header"),
    ],
)
def test_a_request_longer_than_any_is_not_read_to_its_end(site: Site, request_: bytes) -> None:
    port = int(site.endpoint.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(request_)
        with suppress(ConnectionResetError):  # There was more to read.
            assert client.recv(12) in {b"", b"HTTP/1.1 431"}
    assert site.get("/metrics")[0] == 200


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
    assert answer.headers["Connection"] == "close"
    scraper.close()


def test_a_scraper_that_keeps_its_connection_finds_whoever_follows_on_the_port(site: Site) -> None:
    """A line that is reloaded has another endpoint, which knows nothing of the first one's."""
    host, _, port = site.endpoint.url.removeprefix("http://").rpartition(":")
    scraper = HTTPConnection(host, int(port), timeout=30)
    for _ in range(2):
        scraper.request("GET", "/metrics")
        answer = scraper.getresponse()
        assert (answer.status, bool(answer.read())) == (200, True)
        assert answer.headers["Connection"] is None
    site.endpoint.close()
    site.endpoint = Endpoint(host, int(port), exporter(), lambda: HEALTHY)
    with suppress(ConnectionError):  # Or else the first one's last words come before its end.
        scraper.request("GET", "/metrics")
        last = scraper.getresponse()
        assert last.read()
        assert last.headers["Connection"] == "close"
    scraper.request("GET", "/metrics")
    assert scraper.getresponse().status == 200
    scraper.close()


def test_a_connection_that_is_kept_by_tls_ends_with_the_line(locked_site: Site) -> None:
    port = int(locked_site.endpoint.url.rpartition(":")[2])
    trust = ssl.create_default_context(cafile=locked_site.trusts)
    scraper = HTTPSConnection("127.0.0.1", port, timeout=30, context=trust)
    scraper.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert scraper.getresponse().read()
    locked_site.endpoint.close()
    assert scraper.sock is not None
    scraper.sock.settimeout(8)  # Sooner than one that says nothing is let go anyhow.
    with suppress(ssl.SSLError, ConnectionError):  # The end comes with an alert of TLS, or without.
        assert scraper.sock.recv(1) == b""
    scraper.close()


def test_a_request_that_fails_is_told_once_and_one_that_broke_off_never() -> None:
    asked, gone = Event(), Event()
    bodies: list[dict[str, object]] = [{}, {"not": {"JSON"}}, {"not": {"JSON"}}]

    def health() -> Health:
        body = bodies.pop(0)
        asked.set()
        assert gone.wait(30)
        return Health(healthy=True, ready=True, judged=True, stuck=(), body=body)

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
