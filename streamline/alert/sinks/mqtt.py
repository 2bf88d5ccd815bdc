"""Alerts through an MQTT 5 broker, and whether the line is there."""

import json
import ssl
from threading import Event
from typing import Final, NamedTuple

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

__all__ = ["Mqtt", "MqttLogin"]

_KEEP_ALIVE_S: Final = 15
_LONGEST_S: Final = 8
"""Between two tries to connect: short, since whoever has an event to deliver waits as well."""

_AT_LEAST_ONCE: Final = 1


class MqttLogin(NamedTuple):
    """Who a client says that it is."""

    user: str
    password: str | None


class Mqtt:
    """Publish each event at quality of service 1, on ``TOPIC/alert/CAMERA``.

    ``TOPIC/availability`` is ``online`` while the line is connected and ``offline`` after it has
    ended or died: retained, so that whoever comes later knows.  The client connects by itself,
    again too.

    Parameters
    ----------
    host : str
    port : int
    topic : str
        What every topic begins with.
    login : MqttLogin, optional
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
        topic: str,
        login: MqttLogin | None = None,
        tls: ssl.SSLContext | None = None,
        timeout_s: float,
    ) -> None:
        self._where = f"{host}:{port}"
        self._topic = topic
        self._timeout_s = timeout_s
        self._connected = Event()
        self._why = "not connected yet"
        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        client.will_set(self._availability, "offline", qos=_AT_LEAST_ONCE, retain=True)
        if login is not None:
            client.username_pw_set(*login)
        if tls is not None:
            client.tls_set_context(tls)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        client.connect_timeout = timeout_s
        client.reconnect_delay_set(1, _LONGEST_S)
        client.connect_async(host, port, _KEEP_ALIVE_S)
        client.loop_start()
        self._client = client

    def deliver(self, _alert_id: str, event: bytes, /) -> None:
        """Publish one event, and wait until the broker has it."""
        if not self._connected.wait(self._timeout_s):
            msg = f"MQTT broker {self._where}: {self._why}"
            raise OSError(msg)
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "application/json"
        topic = f"{self._topic}/alert/{json.loads(event)['camera']}"
        message = self._client.publish(topic, event, _AT_LEAST_ONCE, properties=properties)
        if message.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            message.wait_for_publish(self._timeout_s)
        if not message.is_published():
            msg = f"MQTT broker {self._where} does not acknowledge within {self._timeout_s:g} s"
            raise OSError(msg)

    def close(self) -> None:
        """Say that the line is offline, and leave."""
        if self._connected.is_set():
            gone = self._client.publish(
                self._availability, "offline", qos=_AT_LEAST_ONCE, retain=True
            )
            gone.wait_for_publish(self._timeout_s)
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def _availability(self) -> str:
        return f"{self._topic}/availability"

    def _on_connect(
        self, client: Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            self._why = f"refuses the connection ({reason})"
            return
        client.publish(self._availability, "online", qos=_AT_LEAST_ONCE, retain=True)
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
        if "refuses" not in self._why:
            self._why = f"the connection was lost ({reason})"

    def _on_connect_fail(self, _client: Client, _data: object) -> None:
        self._why = "can't be reached"
