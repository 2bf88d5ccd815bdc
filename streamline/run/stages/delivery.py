"""From the alert stage to its sinks: an outbox, and a thread for each."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from streamline.alert.courier import Courier
from streamline.alert.events import AlertEvent, to_json
from streamline.alert.outbox import Outbox, Posted
from streamline.alert.poster import Poster
from streamline.alert.registers import Registers
from streamline.alert.sinks import Command, JsonLines, LogSink, Sink, Webhook
from streamline.clock import monotonic_ns
from streamline.config import (
    AnySink,
    CommandSink,
    JsonlSink,
    MqttSink,
    WebhookSink,
    ZmqSink,
    read_secret,
)
from streamline.config.sinks import Modbus
from streamline.extras import needs_extra
from streamline.ledger import Ledger
from streamline.messages import Verdict
from streamline.run.placement import ALERTS
from streamline.run.runtime import outbox_path
from streamline.run.stages.stage import CLOSE_S, Site
from streamline.run.trust import trusted
from streamline.transport.publisher import Publisher

if TYPE_CHECKING:
    from streamline.alert.modbus import ModbusOutput

__all__ = ["AlertDelivery"]

_log = structlog.get_logger("streamline.alert")

_COUNT_NS: Final = 500_000_000


class _Discarded:
    """Counts what a sink was never told in this run, by an outbox that counts on through all."""

    def __init__(self, ledger: Ledger, sink: str) -> None:
        self._counted = ledger.counter("streamline_outbox_discarded_total", sink=sink)
        # Not in the catalogue and so not exported: whether it is known, and what it is.
        self._before = ledger.table("outbox_discarded_before", 2, sink=sink)

    def begin(self, total: int) -> None:
        """Count on from there, or from where a predecessor in this run was killed."""
        more = total - self._counted.value
        # Fewer than are known of: it is another outbox.
        before = min(self._before[1], more) if self._before[0] else more
        self._before.put(0, [1.0, before])

    def show(self, total: int) -> None:
        """Count what has come to it."""
        self._counted.add(max(0.0, total - self._before[1] - self._counted.value))


class AlertDelivery:
    """Hands events over, and counts what becomes of them.

    A line without sinks has no outbox.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._sinks = site.pipeline.alert.by_name
        ledger = site.ledger
        self._told = {
            (name, outcome): ledger.counter(
                "streamline_alerts_delivered_total", sink=name, outcome=outcome
            )
            for name in self._sinks
            for outcome in ("ok", "failed", "rejected")
        }
        self._pending = {
            name: ledger.gauge("streamline_outbox_pending", sink=name) for name in self._sinks
        }
        self._discarded = {name: _Discarded(ledger, name) for name in self._sinks}
        self._durable = ledger.gauge("streamline_outbox_durable")
        controlled = site.pipeline.alert.plc is not None
        self._plc_up = ledger.gauge("streamline_plc_up") if controlled else None
        self._registers: Registers | None = None
        self._plc: ModbusOutput | None = None
        self._outbox: Outbox | None = None
        self._poster: Poster
        self._couriers: list[Courier] = []
        self._counted_ns = 0

    def open(self, *, patient: bool) -> None:
        """Open the outbox and every sink.

        Parameters
        ----------
        patient : bool
            Whether what can't be opened just now is tried again later.

        Raises
        ------
        InputError
            If one of them can't be.
        """
        if self._site.pipeline.alert.plc is not None:
            self._open_plc(self._site.pipeline.alert.plc)
        if self._sinks:
            self._open_sinks(patient=patient)

    def _open_plc(self, plc: Modbus) -> None:
        with needs_extra("modbus", ["pymodbus"], "alert.plc"):
            from streamline.alert.modbus import ModbusOutput  # noqa: PLC0415 - an extra
        self._registers = Registers(list(self._site.pipeline.cameras), stale_s=plc.stale_ms / 1e3)
        self._plc = ModbusOutput(
            self._registers,
            plc.host,
            plc.port,
            unit=plc.unit,
            address=plc.address,
            period_s=plc.period_ms / 1e3,
        )
        self._plc.start()

    def _open_sinks(self, *, patient: bool) -> None:
        settings = self._site.pipeline.alert.outbox
        path = outbox_path(self._site.pipeline)
        self._outbox = Outbox(
            path,
            list(self._sinks),
            max_events=settings.max_events,
            spare=self._site.runtime.spare(path),
            patient=patient,
        )
        for name, discarded in self._discarded.items():
            discarded.begin(self._outbox.discarded_before(name))
        self._poster = Poster(self._outbox)
        self._poster.start()
        for name, sink in self._sinks.items():
            courier = Courier(
                name,
                self._opener(sink),
                self._outbox,
                partial(self._count, name),
                patient=patient,
            )
            self._couriers.append(courier)
            courier.start()
        for courier in self._couriers:
            courier.opened.wait()
            if courier.failure is not None:
                raise courier.failure

    def hand(self, event: AlertEvent) -> None:
        """Take an event over; nobody waits for a disk or a sink here."""
        if self._outbox is not None:
            self._poster.hand(Posted(event.id, event.kind, to_json(event)))

    def note(self, camera: str, verdict: Verdict, *, alert: bool) -> None:
        """Take a verdict over, for who is shown how things stand."""
        if self._registers is not None:
            self._registers.note(camera, verdict, alert=alert)

    @property
    def is_safe(self) -> bool:
        """Whether everything that was handed over is in the outbox, and outlives this process."""
        return self._outbox is None or (self._poster.is_done and self._outbox.outlives_process)

    def show(self) -> None:
        """Publish what waits, now and then."""
        if monotonic_ns() - self._counted_ns < _COUNT_NS:
            return
        self._counted_ns = monotonic_ns()
        if self._plc is not None and self._plc_up is not None:
            self._plc_up.set(float(self._plc.up))
        if self._outbox is not None:
            self._show(self._outbox)

    def _show(self, outbox: Outbox) -> None:
        self._durable.set(float(outbox.durable))
        for name, pending in self._pending.items():
            pending.set(outbox.waiting(name))
            self._discarded[name].show(outbox.discarded(name))

    def close(self) -> None:
        """Deliver what can be in time; the rest waits for the next start, if a disk takes it."""
        if self._plc is not None:
            self._plc.stop()
        if self._outbox is not None:
            self._close_sinks(self._outbox)
        if self._plc is not None:
            self._plc.join(CLOSE_S / 2)

    def _close_sinks(self, outbox: Outbox) -> None:
        self._poster.close()
        for courier in self._couriers:
            courier.stop(CLOSE_S / 2)
        deadline_ns = monotonic_ns() + round(CLOSE_S * 1e9)
        for courier in self._couriers:
            courier.join(max(0.0, (deadline_ns - monotonic_ns()) / 1e9))
        self._show(outbox)
        waiting = {name: outbox.waiting(name) for name in self._sinks}
        if not any(courier.is_alive() for courier in self._couriers):
            outbox.close()
        for name, events in waiting.items():
            if events and outbox.outlives_process:
                _log.warning("alerts wait for the next start", sink=name, events=events)
            elif events:
                _log.error("alerts are lost: no disk took them", sink=name, events=events)

    def _count(self, sink: str, outcome: str) -> None:
        self._told[sink, outcome].add()

    def _opener(self, sink: AnySink) -> Callable[[], Sink]:
        match sink:
            case JsonlSink():
                return partial(JsonLines, sink.path)
            case ZmqSink():
                locked = sink.leaves and not sink.plain
                door = self._site.keyring.door(ALERTS) if locked else None
                return partial(Publisher, self._site.context, sink.address, door=door)
            case WebhookSink():
                return partial(_webhook, sink)
            case MqttSink():
                pipeline = self._site.pipeline
                outbox = outbox_path(pipeline)
                return partial(_mqtt, sink, pipeline.name, outbox.with_name(f"{outbox.name}.id"))
            case CommandSink():
                return partial(Command, sink.run, env=sink.env, timeout_s=sink.timeout_s)
            case _:
                return LogSink


def _webhook(sink: WebhookSink) -> Sink:
    secret = None if sink.secret_file is None else read_secret(sink.secret_file).encode()
    url = sink.url.get_secret_value()
    return Webhook(url, secret=secret, timeout_s=sink.timeout_s, tls=trusted(sink.ca_file))


def _mqtt(sink: MqttSink, line: str, kept_id: Path) -> Sink:
    with needs_extra("mqtt", ["paho"], "mqtt in alert.sinks"):
        from streamline.alert.sinks.mqtt import (  # noqa: PLC0415 - an extra
            Mqtt,
            MqttIdentity,
            lasting_client_id,
        )
    password = None if sink.password_file is None else read_secret(sink.password_file)
    client_id = sink.client_id or lasting_client_id(kept_id, sink.called)
    return Mqtt(
        sink.host,
        sink.port or (8883 if sink.tls else 1883),
        identity=MqttIdentity(client_id, sink.username, password),
        topic=sink.topic or f"streamline/{line}",
        tls=trusted(sink.ca_file) if sink.tls else None,
        timeout_s=sink.timeout_s,
    )
