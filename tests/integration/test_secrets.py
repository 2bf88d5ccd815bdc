"""Secrets are planted wherever a line takes them, and looked for wherever anybody can look."""

import base64
import json
import os
import ssl
import stat
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from streamline.cli import main
from streamline.transport.curve import KeyPair
from tests.support.certificates import make_certificate, needs_openssl
from tests.support.line import RunningLine, eventually, json_lines, streamline
from tests.support.ports import free_port

IN_URL, IN_QUERY = "h@hunter2/in:url#1", "hunter2-in-query"
UNDER = {
    name: f"hunter2{number}-under-any-name"
    for number, name in enumerate(("auth", "sig", "passcode", "authkey", "session", "plant", ""))
}
"""Values of a query, by a camera maker's name for them; the last one has none."""
IN_FILES = {
    "camera": "hunter2 of the camera",
    "webhook": "hunter2-of-the-webhook",
    "mqtt": "hunter2-of-the-broker",
    "token": "hunter2-of-the-endpoint",
    "audit": "6869747465723200" * 4,
}


class Planted:
    """A line whose every secret is known here, and that can reach nobody with them.

    Parameters
    ----------
    folder : Path
    model : Path
    """

    def __init__(self, folder: Path, model: Path) -> None:
        secrets, self.output = folder / "secrets", folder / "output"
        secrets.mkdir()
        for name, text in IN_FILES.items():
            (secrets / name).write_text(f"{text}\n")
        self.certificate, key = make_certificate(secrets)
        pair = KeyPair.new()
        pair.write(secrets / "host.key")
        self.path = folder / "line.yaml"
        nobody = free_port()
        query = "token=${QUERY}&${REST}"
        url = f"rtsp://inspector:${{CAMERA}}@127.0.0.1:{nobody}/live?{query}"
        by_file = {
            "type": "rtsp",
            "url": f"rtsp://127.0.0.1:{nobody}/live",
            "username": "inspector",
            "password_file": "secrets/camera",
        }
        hook = f"http://127.0.0.1:{nobody}/services/${{QUERY}}"
        line = {
            "version": 1,
            "model": str(model),
            "cameras": {
                "belt": {"source": {"type": "demo", "part": "inspect", "pace": 10, "loop": True}},
                "by_url": url,
                "by_file": {"source": by_file},
            },
            "alert": {
                "sinks": [
                    {"type": "log"},
                    {"type": "jsonl", "path": "output/alerts.jsonl"},
                    {"type": "webhook", "url": hook, "secret_file": "secrets/webhook"},
                    {
                        "type": "mqtt",
                        "host": "127.0.0.1",
                        "port": nobody,
                        "username": "line",
                        "password_file": "secrets/mqtt",
                        "timeout_s": 1,
                    },
                ],
                "outbox": {"path": "output/outbox.db"},
            },
            "record": {
                "verdicts": "output/verdicts.jsonl",
                "drops": "output/drops.jsonl",
                "evidence": "output/evidence",
                "audit": {"path": "output/audit", "key_file": "secrets/audit"},
            },
            "links": {
                "scores": f"tcp://127.0.0.1:{free_port()}",
                "keys": {
                    "own_file": "secrets/host.key",
                    "hosts": {"here": {"key": pair.public, "address": "127.0.0.1"}},
                },
            },
            "metrics": {
                "port": 0,
                "certificate_file": "secrets/certificate.pem",
                "key_file": "secrets/key.pem",
                "token_file": "secrets/token",
            },
        }
        self.path.write_text(json.dumps(line, indent=1))
        private = "".join(key.read_text().splitlines()[1:-1])
        self._secrets = [IN_URL, IN_QUERY, pair.secret, private, *IN_FILES.values()]
        self._secrets += UNDER.values()

    def seen_in(self, content: bytes) -> list[str]:
        """Secrets that a text holds, as they are or as something may have written them."""
        plain = content.replace(b"\n", b"").replace(b"\\/", b"/")
        return [
            secret
            for secret in self._secrets
            if any(form in plain for form in _forms(secret.encode()))
        ]

    def get(self, url: str) -> bytes:
        """Ask the endpoint as one who may."""
        bearer = {"Authorization": f"Bearer {IN_FILES['token']}"}
        trust = ssl.create_default_context(cafile=self.certificate)
        request = urllib.request.Request(url, headers=bearer)  # noqa: S310 - ours
        with urllib.request.urlopen(request, timeout=60, context=trust) as answer:  # noqa: S310 - ours
            content: bytes = answer.read()
            return content


def _forms(secret: bytes) -> Iterator[bytes]:
    yield secret
    yield quote(secret, safe="").encode()
    yield secret.hex().encode()
    yield base64.b64encode(secret).rstrip(b"=")[:-1]  # The last digit hangs on what follows.


def command_lines() -> bytes:
    """What `ps` shows of everybody."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:  # It has ended meanwhile.
            continue
    return b"\n".join(found)


@pytest.fixture
def planted(tmp_path: Path, strict_model: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    monkeypatch.setenv("CAMERA", IN_URL)
    monkeypatch.setenv("QUERY", IN_QUERY)
    named = [f"{name}={text}" if name else text for name, text in UNDER.items()]
    monkeypatch.setenv("REST", "&".join(named))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return Planted(tmp_path, strict_model)


def files(folder: Path) -> dict[str, bytes]:
    """All that lies in a folder, but for the secrets' own files."""
    found = {}
    for path in walked(folder):
        # What a line writes may have another name by now, or be gone.
        with suppress(FileNotFoundError, IsADirectoryError):
            if not path.is_socket() and "secrets" not in path.parts:
                found[str(path)] = path.read_bytes()
    return found


def walked(folder: Path) -> Iterator[Path]:
    """All but folders, also of a folder where some come and go."""
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names)


@needs_openssl
def test_no_secret_of_a_running_line_is_seen_anywhere(planted: Planted, tmp_path: Path) -> None:
    alerts = planted.output / "alerts.jsonl"
    with RunningLine(planted.path, planted.output) as line:
        line.await_ready()
        eventually(lambda: json_lines(alerts) != [], "an alert")
        eventually(lambda: any(planted.output.glob("evidence/*/*/alert.json")), "evidence")
        for sink in ("webhook", "mqtt"):
            failed = f'streamline_alerts_delivered_total{{outcome="failed",sink="{sink}"}} 0.0'
            eventually(
                lambda: failed not in planted.get(f"{line.url}/metrics").decode(),  # noqa: B023
                f"{sink} has failed",
            )
        said = {path: planted.get(line.url + path) for path in ("/metrics", "/healthz", "/readyz")}
        said |= {"/proc": command_lines(), **files(tmp_path)}
        sockets = [one for one in walked(tmp_path) if one.suffix == ".sock" and one.is_socket()]
        modes = {stat.S_IMODE(path.parent.stat().st_mode) for path in sockets}
        line.stop()
        assert line.wait() == 0, line.log
    said |= files(tmp_path)
    assert {where: found for where, text in said.items() if (found := planted.seen_in(text))} == {}
    kinds = {Path(where).suffix or Path(where).name for where in said}
    assert kinds >= {".txt", ".json", ".jsonl", ".db", ".ledger", ".png", "metrics"}
    assert modes == {0o700}


@needs_openssl
@pytest.mark.parametrize("command", ["check", "doctor"])
def test_no_secret_is_printed_by_commands_that_look_at_a_file(
    planted: Planted, command: str
) -> None:
    done = streamline(command, planted.path)
    assert "127.0.0.1" in done.stdout
    assert planted.seen_in((done.stdout + done.stderr).encode()) == []


@needs_openssl
@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param('"version": 1', '"version": 1, "nonsense": "${CAMERA}"', id="unknown-key"),
        pytest.param("rtsp://inspector", "rtps://inspector", id="no-such-scheme"),
        pytest.param("/live?", ":x/live?", id="no-port"),
        pytest.param("http://127", "http://user:${QUERY}@127", id="password-in-a-webhook"),
        pytest.param("secrets/webhook", "secrets", id="folder-for-a-secret"),
        pytest.param('"pace": 10', '"pace": "${QUERY}"', id="secret-for-a-number"),
    ],
)
def test_no_secret_is_in_what_is_said_of_a_wrong_file(
    planted: Planted, capsys: pytest.CaptureFixture[str], old: str, new: str
) -> None:
    planted.path.write_text(planted.path.read_text().replace(old, new))
    assert main(["check", str(planted.path)]) == 2
    said = capsys.readouterr()
    assert "line.yaml:" in said.err
    assert planted.seen_in((said.out + said.err).encode()) == []


@needs_openssl
def test_what_would_show_a_secret_is_found(planted: Planted) -> None:
    """The search itself, on what it must find."""
    for text in (
        b"rtsp://inspector:h@hunter2/in:url#1@127.0.0.1",
        b"rtsp://inspector:h%40hunter2%2Fin%3Aurl%231@127.0.0.1",
        b"Authorization: Basic " + base64.b64encode(b"hunter2-of-the-broker"),
        b'{"url": "rtsp:\\/\\/u:h@hunter2\\/in:url#1@h"}',
        IN_FILES["token"].encode().hex().encode(),
    ):
        assert planted.seen_in(text) != []
    assert planted.seen_in(b"rtsp://***@127.0.0.1") == []
    assert planted.seen_in(os.environ["CAMERA"].encode()) != []
