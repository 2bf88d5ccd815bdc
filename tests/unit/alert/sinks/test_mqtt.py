"""A real broker: acknowledged events, and an availability that is right whatever dies."""

import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
from structlog.testing import capture_logs

from streamline.alert.sinks import RejectedError
from streamline.alert.sinks.mqtt import Mqtt, MqttIdentity, lasting_client_id
from tests.support.certificates import make_certificate, needs_openssl
from tests.support.line import eventually
from tests.support.links import Cable
from tests.support.ports import free_port, listens
from tests.support.until import until

EVENT = b'{"camera":"left","type":"new"}'

pytestmark = pytest.mark.skipif(
    not (shutil.which("mosquitto") and shutil.which("mosquitto_sub")), reason="no mosquitto here"
)


@contextmanager
def broker(
    folder: Path, port: int, settings: str = "allow_anonymous true"
) -> Iterator[subprocess.Popen[bytes]]:
    """A broker that keeps what is retained in *folder*; its process."""
    (folder / "broker.conf").write_text(
        f"listener {port} 127.0.0.1\n{settings}\npersistence true\n"
        f"persistence_location {folder}/\nuser root\n"
    )
    arguments = ["mosquitto", "-c", str(folder / "broker.conf")]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as it:
        try:
            eventually(lambda: listens(port), "the broker listens")
            yield it
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
    known: dict[str, object] = {
        "identity": MqttIdentity("line1"),
        "topic": "line1",
        "timeout_s": 20,
        **settings,
    }
    return Mqtt("127.0.0.1", port, **known)  # type: ignore[arg-type]


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
        "import sys\n"
        "from streamline.alert.sinks.mqtt import Mqtt, MqttIdentity\n"
        "whose = MqttIdentity('line1')\n"
        "Mqtt('127.0.0.1', int(sys.argv[1]), identity=whose, topic='line1', timeout_s=20)\n"
        "sys.stdin.read()"
    )
    with broker(tmp_path, port), subscriber(port) as hearing:
        arguments = [sys.executable, "-c", code, str(port)]
        with subprocess.Popen(arguments, stdin=subprocess.PIPE) as process:
            assert hearing.hears() == ("line1/availability", b"online")
            process.send_signal(signal.SIGKILL)
            assert hearing.hears() == ("line1/availability", b"offline")


def test_a_broker_that_is_away_is_an_error_until_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    one = sink(port, timeout_s=0.3)
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
        wrong = sink(port, timeout_s=1, identity=MqttIdentity("a", "line", "wrong"))

        def is_refused() -> bool:
            with pytest.raises(OSError, match="MQTT broker") as caught:
                wrong.deliver("a", EVENT)
            assert "wrong" not in str(caught.value)
            return "refuses the connection" in str(caught.value)

        eventually(is_refused, "it is refused")
        wrong.close()
        right = sink(port, identity=MqttIdentity("a", "line", "right"))
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
        stranger = sink(port, timeout_s=0.5, tls=ssl.create_default_context())
        with pytest.raises(OSError, match="MQTT broker"):
            stranger.deliver("a", EVENT)
        stranger.close()


def test_an_alert_that_the_broker_may_not_take_is_owed_until_it_may(tmp_path: Path) -> None:
    port, rights = free_port(), tmp_path / "rights"
    rights.write_text("topic read #\ntopic write line1/availability\n")
    with broker(tmp_path, port, f"allow_anonymous true\nacl_file {rights}") as process:
        one = sink(port)
        for _ in range(2):
            with pytest.raises(
                OSError, match=r"refuses an alert on line1/alert/left \(Not authorized\)$"
            ):
                one.deliver("a", EVENT)
        rights.write_text("topic readwrite #\n")
        process.send_signal(signal.SIGHUP)
        with subscriber(port) as hearing:
            assert hearing.hears() == ("line1/availability", b"online")
            eventually(lambda: delivered(one), "it is delivered")
            assert hearing.hears() == ("line1/alert/left", EVENT)
        one.close()


def test_a_broker_that_may_not_take_whether_the_line_is_there_takes_alerts(tmp_path: Path) -> None:
    port, rights = free_port(), tmp_path / "rights"
    rights.write_text("topic write line1/alert/#\n")
    with (
        broker(tmp_path, port, f"allow_anonymous true\nacl_file {rights}"),
        capture_logs() as logs,
    ):
        one = sink(port)
        one.deliver("a", EVENT)
        one.close()
    where = f"MQTT broker 127.0.0.1:{port}"
    assert [(line["event"], line["why"]) for line in logs] == [
        (
            "line can't be shown as online",
            f"{where}: refuses line1/availability (Not authorized)",
        )
    ]


@contextmanager
def answering(*codes: int) -> Iterator[int]:
    """A broker that answers alerts with reason codes in turn, all else with success; its port."""
    answers = iter(codes)

    def serve(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                talk(server.accept()[0])

    def talk(end: socket.socket) -> None:
        with suppress(ConnectionError), end, end.makefile("rb") as stream:
            while head := stream.read(1):
                body = stream.read(stream.read(1)[0])  # Below 128 bytes its size is one.
                if head[0] >> 4 == CONNECT:
                    end.sendall(bytes([CONNACK << 4, 3, 0, 0, 0]))
                elif head[0] >> 4 == PUBLISH:
                    topic, number = split(body)
                    end.sendall(
                        bytes([PUBACK << 4, 3, *number, next(answers) if b"alert" in topic else 0])
                    )

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(30)


CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4


def split(publish: bytes) -> tuple[bytes, bytes]:
    """Topic and packet identifier."""
    end = 2 + int.from_bytes(publish[:2])
    return publish[2:end], publish[end : end + 2]


@pytest.mark.parametrize(
    ("code", "error", "why"),
    [
        pytest.param(0x97, OSError, "Quota exceeded", id="a-quota-is-mended"),
        pytest.param(0x90, OSError, "Topic name invalid", id="a-topic-is-mended"),
        pytest.param(0x99, RejectedError, "Payload format invalid", id="the-event-never-is"),
    ],
)
def test_why_a_broker_refuses_an_alert_says_whether_it_is_still_owed(
    code: int, error: type[Exception], why: str
) -> None:
    with answering(code) as port:
        one = sink(port)
        with pytest.raises(error, match=rf"refuses an alert on line1/alert/left \({why}\)$"):
            one.deliver("a", EVENT)
        one.close()


def test_an_alert_that_nobody_subscribed_to_is_taken() -> None:
    no_matching_subscribers = 0x10
    with answering(no_matching_subscribers) as port:
        one = sink(port)
        one.deliver("a", EVENT)
        one.close()


def test_an_alert_whose_number_was_that_of_the_line_s_presence_is_owed_too() -> None:
    """Numbers come again after 65,535 messages."""
    quota_exceeded, most = 0x97, 65535
    with answering(0, quota_exceeded) as port:
        one = sink(port)
        one.deliver("a", EVENT)
        one._client._last_mid = most
        with pytest.raises(OSError, match="Quota exceeded"):
            one.deliver("b", EVENT)
        one.close()


def test_an_answer_that_means_nothing_is_an_error_and_the_next_one_counts() -> None:
    unknown = 0xFF
    with answering(unknown, 0) as port:
        one = sink(port, timeout_s=5)
        until(one._connected.is_set)
        with pytest.raises(OSError, match=r"can't be dealt with \(KeyError\(255\)\)$"):
            one.deliver("a", EVENT)
        one.deliver("a", EVENT)
        one.close()


def test_a_host_that_is_none_is_told() -> None:
    one = Mqtt("a..b", 1883, identity=MqttIdentity("a"), topic="line1", timeout_s=0.3)

    def is_told() -> bool:
        with pytest.raises(OSError, match=r"^MQTT broker a\.\.b:1883: ") as caught:
            one.deliver("a", EVENT)
        return "can't be dealt with (UnicodeError" in str(caught.value)

    eventually(is_told, "it is told")
    one.close()


@contextmanager
def states(port: int, path: Path) -> Iterator[Callable[[], list[str]]]:
    """Write what is said of the line's presence into a file; what that is by now, in order."""
    listen = ["mosquitto_sub", "-p", str(port), "-t", "line1/availability", "-q", "1", "-V", "5"]
    with path.open("wb") as file, subprocess.Popen(listen, stdout=file) as listener:
        try:
            yield lambda: path.read_text().split()
        finally:
            listener.terminate()


def test_a_connection_that_the_broker_alone_holds_for_alive_ends_before_the_next_begins(
    tmp_path: Path,
) -> None:
    """Its last will must not come later: the line would be offline for ever."""
    port = free_port()
    with (
        broker(tmp_path, port),
        states(port, tmp_path / "heard") as told,
        ThreadPoolExecutor(1) as pool,
        closing(Cable(("127.0.0.1", port))) as cable,
    ):

        def carried(task: Callable[..., None], *arguments: object) -> None:
            """Have something done that needs the cable."""
            done = pool.submit(task, *arguments)
            until(done.done, step=cable.carry)
            done.result()

        one = sink(int(cable.address.rpartition(":")[2]))
        until(lambda: "online" in told(), step=cable.carry)
        # The broker's answer has come, too: without it the line would say that once more.
        carried(one.deliver, "a", EVENT)
        cable.cut_at_the_sender()
        until(lambda: told().count("online") == 2, step=cable.carry)
        cable.let_go()
        carried(one.deliver, "a", EVENT)
        with subscriber(port) as later:
            assert later.hears() == ("line1/availability", b"online")
        assert told() == ["online", "offline", "online"]
        carried(one.close)


def test_a_client_s_name_lasts_and_is_of_one_sink_of_one_line(tmp_path: Path) -> None:
    kept = tmp_path / "state" / "line1.outbox.id"
    name = lasting_client_id(kept, "mqtt")
    assert name == lasting_client_id(kept, "mqtt")
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]
    assert kept.stat().st_mode & 0o777 == 0o600
    assert name.isalnum()
    assert len(name) == 23
    # The same path on another volume, too, is another line's.
    (tmp_path / "state").rename(tmp_path / "elsewhere")
    others = [lasting_client_id(kept, "mqtt"), lasting_client_id(kept, "mqtt2")]
    assert len({name, *others}) == 3


@pytest.mark.parametrize("holds", ["", "no number"])
def test_a_client_s_name_is_of_one_run_where_none_can_be_kept(tmp_path: Path, holds: str) -> None:
    kept = tmp_path / "line1.outbox.id"
    kept.write_text(holds)
    with capture_logs() as logs:
        assert lasting_client_id(kept, "mqtt") != lasting_client_id(kept, "mqtt")
    assert [line["event"] for line in logs] == ["MQTT client's name is of this run only"] * 2
