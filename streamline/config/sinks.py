"""Who is told of alerts, and where what they are told waits for them."""

import re
from typing import Annotated, Final, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from streamline.config.fields import (
    FilePath,
    Milliseconds,
    Name,
    Seconds,
    SecretPathUrl,
    Section,
    SinkAddress,
    Text,
    endpoint,
    is_loopback,
    mistake,
)

__all__ = [
    "REGISTERS",
    "AnySink",
    "CommandSink",
    "JsonlSink",
    "LogSink",
    "Modbus",
    "MqttSink",
    "Outbox",
    "WebhookSink",
    "ZmqSink",
]


def _web_url(url: SecretPathUrl) -> SecretPathUrl:
    """Refuse what is no web address; the message never holds it."""
    text = url.get_secret_value()
    try:
        parts = urlsplit(text)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, good = urlsplit(""), False
    if not good or re.search(r"[\s\0-\x1f]", text):
        what = "is no web address (must be http://HOST/PATH or https://HOST/PATH, without blanks)"
        raise mistake(what)
    if parts.username or parts.password:
        what = "holds a user or a password, which would be ignored (sign with secret_file)"
        raise mistake(what)
    return url


class _Sink(Section):
    """What all sinks have."""

    type: str

    name: Name | None = None
    """What metrics and the outbox call it, and no other sink is called; null: its type."""

    @property
    def called(self) -> str:
        """Its name, under which what it has yet to be told waits."""
        return self.name or self.type


class LogSink(_Sink):
    """Alerts go to the log."""

    type: Literal["log"] = "log"


class JsonlSink(_Sink):
    """Alerts are appended to a file, one JSON object a line."""

    type: Literal["jsonl"] = "jsonl"

    path: FilePath
    """The file; made when absent, appended to when present."""


class ZmqSink(_Sink):
    """Alerts are published on a ZeroMQ PUB socket."""

    type: Literal["zmq"] = "zmq"

    address: SinkAddress
    """Where subscribers connect to: ``tcp://host:port`` or ``ipc:///path``."""

    plain: bool = False
    """Whether anybody in the network may subscribe; else only the hosts of `links.keys` may."""

    @property
    def leaves(self) -> bool:
        """Whether subscribers may come from beyond this computer."""
        found = endpoint(self.address)
        return found is not None and not is_loopback(found[0])


class WebhookSink(_Sink):
    """Each alert is posted to a web server as JSON."""

    type: Literal["webhook"] = "webhook"

    url: Annotated[SecretPathUrl, AfterValidator(_web_url)] = Field(
        json_schema_extra={"writeOnly": True, "x-allowed": "http://HOST/PATH or https://HOST/PATH"}
    )
    """Where it is posted to."""

    secret_file: FilePath | None = None
    """File that holds the secret which requests are signed with; null: they are not signed."""

    ca_file: FilePath | None = None
    """Certificates to trust, PEM; null: the system's."""

    timeout_s: Seconds = Field(default=10.0, ge=0.1, le=300)
    """Try again later when the server has not answered within this, s."""


class MqttSink(_Sink):
    """Alerts are published through an MQTT 5 broker, at quality of service 1."""

    type: Literal["mqtt"] = "mqtt"

    host: Annotated[Text, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")] = Field(
        json_schema_extra={"x-allowed": "a host name or an IP address"}
    )
    """The broker."""

    port: int | None = Field(default=None, ge=1, le=65535)
    """Its port; null: 8883 with TLS, else 1883."""

    topic: Annotated[Text, StringConstraints(pattern=r"^[^#+\s/][^#+\s]*$")] | None = Field(
        default=None, json_schema_extra={"x-allowed": "a topic without # and +"}
    )
    """What topics begin with, of this line alone: ``TOPIC/alert/CAMERA`` and
    ``TOPIC/availability``; null: ``streamline/`` and the line's name."""

    client_id: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,256}$")] | None = Field(
        default=None, json_schema_extra={"x-allowed": "1 to 256 ASCII characters, no blanks"}
    )
    """What the broker calls this client, and no other; null: made of the sink's name and of
    a random number, kept in a file beside the outbox, ``OUTBOX.id``."""

    username: Text | None = None
    """User; null: the broker asks for none."""

    password_file: FilePath | None = None
    """File that holds the password and nothing else."""

    tls: bool = False
    """Whether the connection is encrypted and the broker's certificate checked."""

    ca_file: FilePath | None = None
    """Certificates to trust, PEM; null: the system's."""

    timeout_s: Seconds = Field(default=10.0, ge=0.1, le=300)
    """Try again later when the broker has not acknowledged within this, s."""

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        what = ""
        if self.password_file is not None and self.username is None:
            what = "password_file needs a user (write username: beside it)"
        elif self.ca_file is not None and not self.tls:
            what = "ca_file needs TLS (write tls: true beside it)"
        if what:
            raise mistake(what)
        return self


_Variable = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=256),
    Field(
        json_schema_extra={
            "writeOnly": True,  # who writes NAME=VALUE has put a secret there
            "x-allowed": "the name of a variable alone, without its value",
        }
    ),
]


class CommandSink(_Sink):
    """A program is run for each alert, which it reads from its standard input as JSON."""

    type: Literal["command"] = "command"

    run: tuple[Annotated[str, StringConstraints(min_length=1, max_length=4096)], ...] = Field(
        min_length=1, max_length=64
    )
    """The program and its arguments; no shell reads them."""

    env: tuple[_Variable, ...] = Field(
        default=(), max_length=64, json_schema_extra={"writeOnly": True}
    )
    """Environment variables that it is given beside PATH, HOME, USER and their like, LANG, LC_…
    and TZ: what else the line has, such as a camera's password, it does not see."""

    timeout_s: Seconds = Field(default=10.0, ge=0.1, le=300)
    """It is killed after this long, and run again later, s."""


AnySink: TypeAlias = Annotated[
    LogSink | JsonlSink | ZmqSink | WebhookSink | MqttSink | CommandSink,
    Field(discriminator="type"),
]
"""Any sink, told apart by its `type`."""


class Outbox(Section):
    """Alerts wait in a file until every sink has been told."""

    path: FilePath | None = None
    """The file; null: one of this line in the user's state folder."""

    max_events: int = Field(
        default=100_000, ge=1, le=10_000_000, json_schema_extra={"x-unit": "events"}
    )
    """Most that wait for one sink; more push out the oldest, which is counted and logged."""


REGISTERS: Final = 1 << 16
"""Registers that a controller can have, by the 16 bits of their addresses."""


class Modbus(Section):
    """A controller (PLC) whose registers show what is judged; it fails safe.

    Holding registers, from `address` on: a heartbeat, 1 while the line runs, then for each camera
    in the order of this file its latest verdict (0 unknown, 1 pass, 2 fail) and 1 while an alert
    is on.
    """

    host: Annotated[Text, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")] = Field(
        json_schema_extra={"x-allowed": "a host name or an IP address"}
    )
    """The controller, which speaks Modbus TCP."""

    port: int = Field(default=502, ge=1, le=65535)
    """Its port."""

    unit: int = Field(default=1, ge=0, le=255)
    """The device behind that address."""

    address: int = Field(default=0, ge=0, le=65535)
    """First register, counted from 0 (40001 is 0)."""

    period_ms: Milliseconds = Field(default=200.0, ge=10, le=60_000)
    """How often they are written, ms: a heartbeat that stands still for longer is a dead line."""

    stale_ms: Milliseconds = Field(default=2000.0, ge=10, le=3_600_000)
    """A verdict that is older is shown as unknown, ms; `period_ms` or more."""

    @model_validator(mode="after")
    def _verdicts_are_shown_once(self) -> Self:
        """Refuse what would hide a verdict before it is ever written."""
        if self.stale_ms < self.period_ms:
            what = (
                f"stale_ms is {self.stale_ms:g}, less than period_ms, which is "
                f"{self.period_ms:g} (stale_ms must be at least period_ms)"
            )
            raise mistake(what)
        return self

    @staticmethod
    def span(cameras: int) -> int:
        """Return how many registers a line with that many cameras writes."""
        return 2 + 2 * cameras
