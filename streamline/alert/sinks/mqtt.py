"""Alerts through an MQTT 5 broker, and whether the line is there."""

import json
import os
import secrets
import ssl
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Final, NamedTuple

import structlog
from paho.mqtt.client import Client, MQTTMessageInfo, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from typing_extensions import override

from streamline.alert.sinks.protocol import RejectedError

__all__ = ["Mqtt", "MqttIdentity", "lasting_client_id"]

_log = structlog.get_logger("streamline.alert")

_KEEP_ALIVE_S: Final = 15
_LONGEST_S: Final = 8
"""Between two tries to connect: short, since whoever has an event to deliver waits as well."""

_AT_LEAST_ONCE: Final = 1

_PAYLOAD_FORMAT_INVALID: Final = 0x99
"""What a broker says of the event itself; other refusals are mended where it is configured."""

_LINE_ID_BYTES: Final = 16


def lasting_client_id(kept: Path, sink: str) -> str:
    """Name a client the same at every start, and as no other line's is named.

    It has 23 letters and digits, which every broker takes.  Containers may share their host's
    name and have paths alike, so what tells lines apart is a random number.

    Parameters
    ----------
    kept : Path
        File of that number, made when absent; where it can't be, the name is of this run only.
    sink : str
        Name of the line's sink.
    """
    try:
        number = _kept_number(kept)
    except (OSError, ValueError) as exc:
        number = secrets.token_hex(_LINE_ID_BYTES)
        _log.warning("MQTT client's name is of this run only", file=str(kept), why=str(exc))
    mark = sha256(f"{number}\0{sink}".encode()).hexdigest()
    return f"streamline{mark[:13]}"


def _kept_number(path: Path) -> str:
    """Read a file's number, made when absent: whole at once, and once, whoever else makes it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.") as made:
            made.write(secrets.token_hex(_LINE_ID_BYTES))
            made.flush()
            os.fsync(made.fileno())
            with suppress(FileExistsError):
                os.link(made.name, path)
    with path.open("rb") as file:
        number = file.read(2 * _LINE_ID_BYTES + 1).decode("ascii").strip()
    if len(bytes.fromhex(number)) != _LINE_ID_BYTES:
        msg = "it holds no number of this program's"
        raise ValueError(msg)
    return number


class MqttIdentity(NamedTuple):
    """Who a client says that it is."""

    client_id: str
    """What no other client of the broker is called."""

    user: str | None = None
    password: str | None = None


class _Client(Client):
    """One that says so when it has ended by itself."""

    failure: str | None = None

    @override
    def loop_forever(
        self, timeout: float = 1.0, retry_first_connection: bool = False
    ) -> MQTTErrorCode:
        """Look after the connection, in a thread of paho's."""
        try:
            return super().loop_forever(timeout, retry_first_connection)
        except Exception as exc:  # noqa: BLE001 - a broker may say anything, an address be none
            self.failure = f"can't be dealt with ({exc!r})"
            return MQTTErrorCode.MQTT_ERR_UNKNOWN


class Mqtt:
    """Publish each event at quality of service 1, on ``TOPIC/alert/CAMERA``.

    ``TOPIC/availability`` is ``online`` while the line is connected and ``offline`` after it has
    ended or died: retained, so that whoever comes later knows.  The client connects by itself,
    again too, under a name that lasts: a connection that only one side knows to be dead is then
    ended by the broker before the next one begins, and its last will does not come after that.

    Parameters
    ----------
    host : str
    port : int
    identity : MqttIdentity
    topic : str
        What every topic begins with.
    tls : ssl.SSLContext, optional
        Plain unless given.
    timeout_s : float
        For the broker's acknowledgement, s.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        identity: MqttIdentity,
        topic: str,
        tls: ssl.SSLContext | None = None,
        timeout_s: float,
    ) -> None:
        self._host, self._port = host, port
        self._identity = identity
        self._topic = topic
        self._tls = tls
        self._timeout_s = timeout_s
        self._connected = Event()
        self._why = ""
        self._refusals: dict[int, ReasonCode] = {}
        self._online = 0
        self._begin()

    def _begin(self) -> None:
        """Let a client look for the broker from now on."""
        client = _Client(CallbackAPIVersion.VERSION2, self._identity.client_id, protocol=MQTTv5)
        client.will_set(self._availability, "offline", qos=_AT_LEAST_ONCE, retain=True)
        client.username_pw_set(self._identity.user, self._identity.password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        client.on_publish = self._on_publish
        client.connect_timeout = self._timeout_s
        client.reconnect_delay_set(1, _LONGEST_S)
        client.connect_async(self._host, self._port, _KEEP_ALIVE_S)
        self._client = client
        client.loop_start()

    def deliver(self, _alert_id: str, event: bytes, /) -> None:
        """Publish one event, and wait until the broker has taken it."""
        if self._client.failure is not None:
            self._leave()
            self._begin()
        if not self._connected.wait(self._timeout_s):
            raise self._error(self._client.failure or self._why or "not connected yet")
        self._refusals.clear()  # Of events that nobody waits for any more.
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "application/json"
        topic = f"{self._topic}/alert/{json.loads(event)['camera']}"
        message = self._client.publish(topic, event, _AT_LEAST_ONCE, properties=properties)
        refusal = self._answer(message)
        if refusal is not None:
            why = f"refuses an alert on {topic} ({refusal})"
            if refusal.value == _PAYLOAD_FORMAT_INVALID:
                raise RejectedError(str(self._error(why)))
            raise self._error(why)

    def close(self) -> None:
        """Say that the line is offline, and leave."""
        if self._connected.is_set():
            with suppress(OSError):
                self._answer(self._say("offline"))
        self._leave()

    def _leave(self) -> None:
        self._connected.clear()
        self._client.disconnect()
        self._client.loop_stop()

    def _answer(self, message: MQTTMessageInfo) -> ReasonCode | None:
        """Wait for the broker's answer to a message; return why it refuses it, if it does.

        To paho a message that was refused is as published as any other.
        """
        if message.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._error(self._why or "the connection was lost")
        message.wait_for_publish(self._timeout_s)
        if not message.is_published():
            late = f"does not acknowledge within {self._timeout_s:g} s"
            raise self._error(self._client.failure or late)
        return self._refusals.pop(message.mid, None)

    def _error(self, what: str) -> OSError:
        return OSError(f"MQTT broker {self._host}:{self._port}: {what}")

    def _say(self, state: str) -> MQTTMessageInfo:
        return self._client.publish(self._availability, state, _AT_LEAST_ONCE, retain=True)

    @property
    def _availability(self) -> str:
        return f"{self._topic}/availability"

    def _on_connect(
        self,
        _client: Client,
        _data: object,
        _flags: object,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        if reason.is_failure:
            self._miss(f"refuses the connection ({reason})")
            return
        self._why = ""
        self._online = self._say("online").mid
        self._connected.set()

    def _on_disconnect(
        self,
        _client: Client,
        _data: object,
        _flags: object,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        self._connected.clear()
        self._why = self._why or f"the connection was lost ({reason})"

    def _on_connect_fail(self, _client: Client, _data: object) -> None:
        trust = ", or its certificate is not trusted" if self._tls is not None else ""
        self._miss(f"can't be reached{trust}")

    def _miss(self, why: str) -> None:
        """Say why there is no connection, once: no alert may come for days that would."""
        if why != self._why:
            _log.warning("alerts can't be published for now", why=str(self._error(why)))
        self._why = why

    def _on_publish(
        self, _client: Client, _data: object, mid: int, reason: ReasonCode, _properties: object
    ) -> None:
        if mid == self._online:
            self._online = 0  # An alert may be given the same number later.
            if reason.is_failure:
                what = f"refuses {self._availability} ({reason})"
                _log.error("line can't be shown as online", why=str(self._error(what)))
        elif reason.is_failure:
            self._refusals[mid] = reason
