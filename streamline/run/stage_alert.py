"""The alert stage: verdicts, alerts and their sinks; here a frame's journey ends."""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from streamline.alert.events import AlertEvent, VerdictRecord, to_json, utc
from streamline.alert.judge import CameraRule, Judge, Judgement
from streamline.alert.sinks import JsonLines, LogSink, Sink
from streamline.clock import clock_id, monotonic_ns, wall_ns
from streamline.config import AnySink, JsonlSink, ZmqSink
from streamline.ledger import Cell, Ledger
from streamline.messages import FrameId, Judged, Pin, Scored, Verdict
from streamline.metrics.catalogue import LATENCY_BUCKETS, LATENCY_RING, SCORE_BUCKETS
from streamline.run.account import StageAccount, Timer
from streamline.run.control import Phase
from streamline.run.stage import TICK_MS, Site, Stage
from streamline.transport.link import Delivery, Inlet
from streamline.transport.publisher import Publisher
from streamline.transport.wire import decode_scored, encode_outcome

__all__ = ["AlertStage"]

_log = structlog.get_logger("streamline.alert")

_WINDOW: Final = 64
"""Scores that an infer stage may have sent ahead; they are small and judged at once."""

_RING: Final = 1 << 16
"""Latencies kept for exact quantiles, per camera: 44 minutes at 25 fps."""

_REMEMBERED: Final = 512
"""Outcomes kept, per camera, for a frame that comes again because a stage before died."""

_PLAIN: Final = {verdict: encode_outcome(Judged(verdict=verdict)) for verdict in Verdict}


class _CameraAccount:
    """What the line publishes of one camera's verdicts."""

    def __init__(self, ledger: Ledger, camera: str, threshold: float) -> None:
        self.threshold = threshold
        self.judged = {
            verdict: ledger.counter(
                "streamline_frames_judged_total", camera=camera, verdict=verdict.value
            )
            for verdict in Verdict
        }
        self.latency = ledger.histogram(
            "streamline_latency_seconds", LATENCY_BUCKETS, camera=camera
        )
        self.ring = ledger.ring(LATENCY_RING, _RING, camera=camera)
        self.score = ledger.histogram("streamline_anomaly_score", SCORE_BUCKETS, camera=camera)
        self.last = ledger.gauge("streamline_last_verdict_timestamp_seconds", camera=camera)
        # Not in the catalogue and so not exported: the report's frame rate needs them exactly.
        self.first_s = ledger.gauge("first_verdict_monotonic_seconds", camera=camera)
        self.last_s = ledger.gauge("last_verdict_monotonic_seconds", camera=camera)
        self.alerts = ledger.counter("streamline_alerts_total", camera=camera)
        self.active = ledger.gauge("streamline_alert_active", camera=camera)


class AlertStage(Stage):
    """Judges every score, raises alerts, and answers with the frame's outcome."""

    def __init__(self, site: Site, rules: Mapping[str, CameraRule]) -> None:
        super().__init__(site, "alert")
        self._rules = rules
        self._judge = Judge(site.pipeline.name, rules)
        self._account = StageAccount(site.ledger, "alert", rules)
        self._cameras = {
            name: _CameraAccount(site.ledger, name, rule.threshold) for name, rule in rules.items()
        }
        kinds = dict.fromkeys(sink.type for sink in site.pipeline.alert.sinks)
        self._delivered: dict[tuple[str, str], Cell] = {
            (kind, outcome): site.ledger.counter(
                "streamline_alerts_delivered_total", sink=kind, outcome=outcome
            )
            for kind in kinds
            for outcome in ("ok", "failed")
        }
        for kind in kinds:
            # Sinks are told at once, so nothing ever waits for them.
            site.ledger.gauge("streamline_outbox_pending", sink=kind)
        self._sinks: list[tuple[str, Sink]] = []
        self._verdicts: JsonLines | None = None
        self._lines: list[bytes] = []
        self._answered: dict[str, OrderedDict[FrameId, bytes]] = {
            name: OrderedDict() for name in rules
        }
        self._inlet: Inlet

    def work(self) -> None:
        """Run until the line finishes."""
        self._open()
        poller = self.poller(self._inlet.socket)
        self._inlet.admit()
        self.connected.set()
        self.ready.set()
        try:
            while self.phase < Phase.FINISHING:
                poller.poll(TICK_MS)
                for delivery in self._inlet.take(_WINDOW):
                    self._handle(delivery)
                self._write_verdicts()
                self._inlet.flush()
        finally:
            self._close()

    def _open(self) -> None:
        pipeline = self.site.pipeline
        self._sinks = [(sink.type, self._open_sink(sink)) for sink in pipeline.alert.sinks]
        if pipeline.record.verdicts is not None:
            self._verdicts = JsonLines(pipeline.record.verdicts)
        self._inlet = Inlet(self.site.context, self.site.address("scores"), window=_WINDOW)

    def _open_sink(self, sink: AnySink) -> Sink:
        if isinstance(sink, JsonlSink):
            return JsonLines(sink.path)
        if isinstance(sink, ZmqSink):
            return Publisher(self.site.context, sink.address)
        return LogSink()

    def _close(self) -> None:
        self._write_verdicts()
        self._inlet.close()
        for _, sink in self._sinks:
            sink.close()
        if self._verdicts is not None:
            self._verdicts.close()

    def _handle(self, delivery: Delivery) -> None:
        self._account.waited(delivery.queued_ns)
        with Timer(self._account.work):
            scored = decode_scored(delivery.parts)
            frame = scored.origin.id
            outcome = self._answered[frame.camera].get(frame)
            if outcome is None:
                outcome = self._judge_new(scored)
                self._remember(frame, outcome)
        self._inlet.answer(delivery, outcome)

    def _judge_new(self, scored: Scored) -> bytes:
        name = scored.origin.id.camera
        self._account.entered[name].add()
        judgement = self._judge.judge(scored)
        latency_s = self._count(scored, judgement)
        if self._verdicts is not None:
            self._lines.append(self._line(scored, judgement, latency_s))
        self._account.left[name].add()
        if judgement.event is None:
            return _PLAIN[judgement.verdict]
        return self._raise(judgement.verdict, judgement.event)

    def _count(self, scored: Scored, judgement: Judgement) -> float | None:
        """Count a verdict; return the latency if it can be claimed."""
        counts = self._cameras[scored.origin.id.camera]
        counts.judged[judgement.verdict].add()
        now_ns = monotonic_ns()
        counts.last.set(wall_ns() / 1e9)
        counts.last_s.set(now_ns / 1e9)
        if not counts.first_s.value:
            counts.first_s.set(now_ns / 1e9)
        counts.active.set(float(judgement.alert is not None))
        if scored.fault is None:
            counts.score.observe(scored.score / counts.threshold)
        if scored.origin.clock != clock_id():
            return None
        latency_s = (now_ns - scored.origin.captured_ns) / 1e9
        counts.latency.observe(latency_s)
        counts.ring.push(latency_s)
        return latency_s

    def _line(self, scored: Scored, judgement: Judgement, latency_s: float | None) -> bytes:
        name = scored.origin.id.camera
        record = VerdictRecord(
            **scored.origin.id._asdict(),
            captured=utc(scored.origin.wall_ns),
            verdict=judgement.verdict,
            reason=None if scored.fault is None else scored.fault.value,
            score=None if math.isnan(scored.score) else scored.score,
            threshold=self._rules[name].threshold,
            latency_ms=None if latency_s is None else round(latency_s * 1e3, 3),
            alert=judgement.alert,
        )
        return to_json(record)

    def _raise(self, verdict: Verdict, event: AlertEvent) -> bytes:
        """Tell every sink; a begin also pins its frame, which the source then stores."""
        data = to_json(event)
        for kind, sink in self._sinks:
            try:
                sink.deliver(event.id, data)
            except OSError as exc:
                self._delivered[kind, "failed"].add()
                _log.error("alert not delivered", sink=kind, id=event.id, why=str(exc))
            else:
                self._delivered[kind, "ok"].add()
        if event.type != "begin":
            return _PLAIN[verdict]
        self._cameras[event.camera].alerts.add()
        pin = Pin(
            alert_id=event.id,
            score=event.score,
            threshold=event.threshold,
            map=None,
            record=data.decode(),
        )
        return encode_outcome(Judged(verdict=verdict, pin=pin))

    def _write_verdicts(self) -> None:
        """Append the verdicts since the last time in one write."""
        if self._verdicts is None or not self._lines:
            return
        lines: Sequence[bytes] = self._lines
        self._lines = []
        try:
            self._verdicts.write(b"\n".join(lines) + b"\n")
        except OSError as exc:
            _log.error("verdict log can't be written, goes on without", why=exc.strerror)
            self._verdicts.close()
            self._verdicts = None

    def _remember(self, frame: FrameId, outcome: bytes) -> None:
        answered = self._answered[frame.camera]
        answered[frame] = outcome
        if len(answered) > _REMEMBERED:
            answered.popitem(last=False)
