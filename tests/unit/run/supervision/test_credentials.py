"""Files that are spoilt under a running line: found before it is drained for them."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streamline.config import Pipeline, load
from streamline.run.supervision.herald import Herald
from streamline.run.supervision.line import Renewal
from streamline.run.supervision.manager import ServiceManager
from tests.support.certificates import make_certificate, needs_openssl
from tests.support.models import save_tiny_model

pytestmark = needs_openssl

TOKEN = 8 * "0123abcd"


@pytest.fixture
def line(tmp_path: Path) -> Path:
    """A line with a certificate, a token, an authority and a key; its file."""
    save_tiny_model(tmp_path / "m")
    certificate, key = make_certificate(tmp_path / "made")
    for name, content in (
        ("http.pem", certificate.read_text()),
        ("http.key", key.read_text()),
        ("ca.pem", certificate.read_text()),
        ("token", TOKEN),
        ("audit.key", TOKEN),
    ):
        (tmp_path / name).write_text(content)
    path = tmp_path / "line.yaml"
    path.write_text(
        "version: 1\nmodel: m\ncameras: {left: demo://inspect}\n"
        "metrics: {certificate_file: http.pem, key_file: http.key, token_file: token}\n"
        "record: {evidence: kept, audit: {path: runs, key_file: audit.key}}\n"
        "alert: {sinks: [{type: webhook, url: https://localhost/x, ca_file: ca.pem}]}\n"
    )
    return path


def renewed(line: Path) -> tuple[Pipeline | None, str]:
    """Let the line that runs read its file again; return what it goes on with, or why not."""
    herald = Herald(ServiceManager())
    with capture_logs() as logs:
        found = Renewal(herald, load(line), lambda: load(line))()
    return found, next((str(one["why"]) for one in logs if "why" in one), "")


def test_a_line_whose_files_are_in_order_goes_on_with_them(line: Path) -> None:
    found, why = renewed(line)
    assert why == ""
    assert found is not None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("http.pem", "no certificate and its private key"),
        ("http.key", "no certificate and its private key"),
        ("token", "holds no token"),
        ("ca.pem", "holds no certificates"),
        ("audit.key", "shorter than 16 bytes"),
    ],
)
def test_a_file_that_was_spoilt_ends_no_line(line: Path, name: str, words: str) -> None:
    (line.parent / name).write_text("bad\n")
    found, why = renewed(line)
    assert found is None
    assert words in why
    assert name in why
