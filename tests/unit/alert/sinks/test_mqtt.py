"""A real broker: acknowledged events, and an availability that is right whatever dies."""

import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamline.alert.sinks.mqtt import Mqtt, MqttLogin
from tests.support.certificates import make_certificate, needs_openssl
from tests.support.line import eventually
from tests.support.ports import free_port, listens

EVENT = b'{"camera":"left","type":"new"}'

pytestmark = pytest.mark.skipif(
    not (shutil.which("mosquitto") and shutil.which("mosquitto_sub")), reason="no mosquitto here"
)


@contextmanager
def broker(folder: Path, port: int, settings: str = "allow_anonymous true") -> Iterator[None]:
    """A broker that keeps what is retained in *folder*."""
    (folder / "broker.conf").write_text(
        f"listener {port} 127.0.0.1\n{settings}\npersistence true\n"
        f"persistence_location {folder}/\nuser root\n"
    )
    arguments = ["mosquitto", "-c", str(folder / "broker.conf")]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as it:
        try:
            eventually(lambda: listens(port), "the broker listens")
            yield
        finally:
            it.terminate()


class Subscriber:
    """Hears everything below a topic."""

    def __init__(self, port: int, topic: str = "line1/#") -> None:
        self._process = subprocess.Popen(
            ["mosquitto_sub", "-p", str(port), "-t", topic, "-q", "1", "-V", "5", "-v"],
            stdout=subprocess.PIPE,
        )

    def hears(self) -> tuple[str, bytes]:
        """The next message: topic and payload."""
        assert self._process.stdout is not None
        topic, _, payload = self._process.stdout.readline().partition(b" ")
        return topic.decode(), payload.rstrip(b"\n")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def subscriber(port: int) -> Iterator[Subscriber]:
    one = Subscriber(port)
    try:
        yield one
    finally:
        one.close()


def sink(port: int, **settings: object) -> Mqtt:
    return Mqtt("127.0.0.1", port, topic="line1", timeout_s=20, **settings)  # type: ignore[arg-type]


def test_events_come_in_order_and_availability_follows_the_line(tmp_path: Path) -> None:
    port = free_port()
    with broker(tmp_path, port), subscriber(port) as hearing:
        one = sink(port)
        assert hearing.hears() == ("line1/availability", b"online")
        for n in range(3):
            one.deliver("a", b'{"camera":"left","n":%d}' % n)
            assert hearing.hears() == ("line1/alert/left", b'{"camera":"left","n":%d}' % n)
        one.close()
        assert hearing.hears() == ("line1/availability", b"offline")
        with subscriber(port) as later:
            assert later.hears() == ("line1/availability", b"offline")


def test_a_line_that_dies_is_offline_by_its_last_will(tmp_path: Path) -> None:
    port = free_port()
    code = (
        "import sys; from streamline.alert.sinks.mqtt import Mqtt\n"
        "Mqtt('127.0.0.1', int(sys.argv[1]), topic='line1', timeout_s=20); sys.stdin.read()"
    )
    with broker(tmp_path, port), subscriber(port) as hearing:
        arguments = [sys.executable, "-c", code, str(port)]
        with subprocess.Popen(arguments, stdin=subprocess.PIPE) as process:
            assert hearing.hears() == ("line1/availability", b"online")
            process.send_signal(signal.SIGKILL)
            assert hearing.hears() == ("line1/availability", b"offline")


def test_a_broker_that_is_away_is_an_error_until_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    one = Mqtt("127.0.0.1", port, topic="line1", timeout_s=0.3)
    with pytest.raises(OSError, match=r"can't be reached|not connected yet"):
        one.deliver("a", EVENT)
    with broker(tmp_path, port):
        eventually(lambda: delivered(one), "it is delivered")
    with pytest.raises(OSError, match=rf"MQTT broker 127\.0\.0\.1:{port}"):
        one.deliver("a", EVENT)
    with broker(tmp_path, port), subscriber(port) as hearing:
        assert hearing.hears()[0].startswith("line1/")
        eventually(lambda: delivered(one), "it is delivered again")
    one.close()


def delivered(one: Mqtt) -> bool:
    try:
        one.deliver("a", EVENT)
    except OSError:
        return False
    return True


def test_a_wrong_password_is_told_apart(tmp_path: Path) -> None:
    port = free_port()
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "line", "right"], check=True)
    with broker(tmp_path, port, f"allow_anonymous false\npassword_file {passwords}"):
        wrong = Mqtt("127.0.0.1", port, topic="x", timeout_s=1, login=MqttLogin("line", "wrong"))
        with pytest.raises(OSError, match="refuses the connection") as caught:
            wrong.deliver("a", EVENT)
        assert "wrong" not in str(caught.value)
        wrong.close()
        right = sink(port, login=MqttLogin("line", "right"))
        right.deliver("a", EVENT)
        right.close()


# paho leaves a socket to the garbage collector whose handshake failed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@needs_openssl
def test_an_encrypted_connection_to_a_broker_that_is_known(tmp_path: Path) -> None:
    port = free_port()
    certificate, key = make_certificate(tmp_path)
    settings = f"allow_anonymous true\ncertfile {certificate}\nkeyfile {key}"
    with broker(tmp_path, port, settings):
        known = sink(port, tls=ssl.create_default_context(cafile=str(certificate)))
        known.deliver("a", EVENT)
        known.close()
        stranger = Mqtt(
            "127.0.0.1", port, topic="x", timeout_s=0.5, tls=ssl.create_default_context()
        )
        with pytest.raises(OSError, match="MQTT broker"):
            stranger.deliver("a", EVENT)
        stranger.close()
