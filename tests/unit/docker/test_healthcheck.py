"""The images' health check, run as the engine runs it, against the line's real endpoint."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamline.config import Metrics
from streamline.metrics.exporter import Exporter, FrameRates
from streamline.run.supervision.access import Access
from streamline.run.supervision.health import Health
from streamline.run.supervision.http import Endpoint
from tests.support.certificates import make_certificate, needs_openssl
from tests.support.ports import refusing_port
from tests.support.watchers import DOCKER

TOKEN = "3b9f0c5d7a1e4286"  # noqa: S105 - of these tests alone


def checked(url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, DOCKER / "healthcheck.py"],
        env={**os.environ, "STREAMLINE_URL": url, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@contextmanager
def endpoint(access: Access, *, ready: bool) -> Iterator[str]:
    body = {"cameras": {"left": {"state": "down"}}}
    health = Health(healthy=True, ready=ready, judged=ready, stuck=(), body=body)
    exporter = Exporter(list, FrameRates(), {})
    served = Endpoint("127.0.0.1", 0, exporter, lambda: health, access=access)
    yield served.url
    served.close()


@pytest.mark.parametrize("ready", [True, False], ids=["judges", "does-not"])
def test_a_line_is_healthy_while_it_judges_and_else_it_says_why(*, ready: bool) -> None:
    with endpoint(Access(), ready=ready) as url:
        done = checked(url)
    assert done.returncode == (0 if ready else 1)
    assert ('"state": "down"' in done.stdout) is not ready
    assert not done.stderr


def test_a_line_that_is_not_there_is_not_healthy() -> None:
    with refusing_port() as port:
        done = checked(f"http://127.0.0.1:{port}")
    assert done.returncode == 1
    assert "refused" in done.stdout
    assert not done.stderr


@needs_openssl
def test_an_endpoint_by_tls_and_token_is_asked_with_both(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    metrics = Metrics(certificate_file=certificate, key_file=key, token_file=tmp_path / "token")
    with endpoint(Access.of(metrics), ready=True) as url:
        assert checked(url, STREAMLINE_TOKEN_FILE=str(tmp_path / "token")).returncode == 0
        without = checked(url)
    assert without.returncode == 1
    assert "401" in without.stdout
