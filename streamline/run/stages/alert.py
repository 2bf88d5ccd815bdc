"""The alert stage: verdicts, alerts and their sinks; here a frame's journey ends."""

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final

import structlog

from streamline.alert.deadline import unless_late
from streamline.alert.events import VerdictRecord, alert_id, to_json, utc
from streamline.alert.judge import CameraRule, Judge, Judgement
from streamline.alert.pins import PinLimit, pin_kind
from streamline.alert.rules import Suppressed
from streamline.audit.records import Counts
from streamline.audit.runs import RunFolder
from streamline.audit.verdicts import VerdictChain
from streamline.clock import monotonic_ns, wall_ns
from streamline.config import KeptPerMinute
from streamline.ledger import Ledger
from streamline.messages import (
    Dropped,
    Fault,
    FrameId,
    Judged,
    Origin,
    Pin,
    PinKind,
    Scored,
    Verdict,
)
from streamline.metrics.catalogue import LATENCY_BUCKETS, LATENCY_RING, SCORE_BUCKETS
from streamline.run.accounting.account import PINNED, StageAccount, Timer
from streamline.run.accounting.fates import logged_lately
from streamline.run.accounting.fences import SUPERVISOR, Fences
from streamline.run.accounting.journal import Journal, since_change
from streamline.run.accounting.journal import Judged as Entry
from streamline.run.accounting.logs import LineLog
from streamline.run.control import Phase
from streamline.run.placement import infer_shares
from streamline.run.stages.delivery import AlertDelivery
from streamline.run.stages.intake import Intake
from streamline.run.stages.peers import Peers
from streamline.run.stages.scene import DriftGuard
from streamline.run.stages.stage import TICK_MS, Site, Stage
from streamline.transport.link import Delivery, Inlet
from streamline.transport.wire import PLAIN_OUTCOMES, decode_scored, encode_outcome

__all__ = ["AlertStage"]

_log = structlog.get_logger("streamline.alert")

_WINDOW: Final = 64
"""Scores that an infer stage may have sent ahead; they are small and judged at once."""

_LARGEST: Final = 1 << 16
"""A score says which frame and how much, bytes."""

_RING: Final = 1 << 16
"""Latencies kept for exact quantiles, per camera: 44 minutes at 25 fps."""

_LOST: Final = encode_outcome(Dropped(stage="source", reason="crashed"))
"""The answer for a frame whose source died, and which is counted there."""

_PLAIN: Final = {(one.verdict, one.fault): data for data, one in PLAIN_OUTCOMES.items()}
"""The answer for a frame that is not to be kept."""

_REASONS: Final[tuple[Fault, ...]] = tuple(fault for fault in Fault if fault is not Fault.LOST)


class _CameraAccount:
    """What the line publishes of one camera's verdicts."""

    def __init__(self, ledger: Ledger, camera: str, rule: CameraRule) -> None:
        self.threshold = rule.threshold
        if rule.deadline_ns is not None:
            deadline = ledger.gauge("streamline_deadline_seconds", camera=camera)
            deadline.set(rule.deadline_ns / 1e9)
        self.judged = {
            verdict: ledger.counter(
                "streamline_frames_judged_total", camera=camera, verdict=verdict.value
            )
            for verdict in Verdict
        }
        self.unknown = {
            fault: ledger.counter(
                "streamline_frames_unknown_total", camera=camera, reason=fault.value
            )
            for fault in _REASONS
        }
        self.latency = ledger.histogram(
            "streamline_latency_seconds", LATENCY_BUCKETS, camera=camera
        )
        self.unclaimed = ledger.counter("streamline_latency_unclaimed_total", camera=camera)
        self.ring = ledger.ring(LATENCY_RING, _RING, camera=camera)
        self.score = ledger.histogram("streamline_anomaly_score", SCORE_BUCKETS, camera=camera)
        self.last = ledger.gauge("streamline_last_verdict_timestamp_seconds", camera=camera)
        # Not in the catalogue and so not exported: the report's frame rate needs them exactly.
        # Tables: a gauge would begin anew with a restarted stage.
        self.first_s = ledger.table("first_verdict_monotonic_seconds", 1, camera=camera)
        self.last_s = ledger.table("last_verdict_monotonic_seconds", 1, camera=camera)
        self.alerts = ledger.counter("streamline_alerts_total", camera=camera)
        self.suppressed = {
            reason: ledger.counter(
                "streamline_alerts_suppressed_total", camera=camera, reason=reason.value
            )
            for reason in Suppressed
        }
        self.active = ledger.gauge("streamline_alert_active", camera=camera)
        self.pins = ledger.counter(PINNED, camera=camera)
        self.skipped = ledger.counter(
            "streamline_evidence_skipped_total", camera=camera, reason="rate"
        )

    def so_far(self, alerts: int, later: Iterable[Entry] = ()) -> Counts:
        """Count the verdicts, but for some that came later than the moment that is asked for."""
        counted = {verdict: round(cell.value) for verdict, cell in self.judged.items()}
        for entry in later:
            counted[entry.verdict] -= 1
        return Counts(
            passed=counted[Verdict.PASS],
            fail=counted[Verdict.FAIL],
            unknown=counted[Verdict.UNKNOWN],
            alerts=alerts,
        )


class AlertStage(Stage):
    """Judges every score, raises alerts, and answers with the frame's outcome."""

    def __init__(self, site: Site, rules: Mapping[str, CameraRule]) -> None:
        super().__init__(site, "alert")
        self._rules = rules
        update_s = site.pipeline.alert.update_s
        update_ns = None if update_s is None else round(update_s * 1e9)
        self._judge = Judge(site.pipeline.name, rules, update_ns=update_ns)
        self._account = StageAccount(site.ledger, "alert", rules)
        self._cameras = {
            name: _CameraAccount(site.ledger, name, rule) for name, rule in rules.items()
        }
        cameras = site.pipeline.cameras
        self._drifts = {
            name: DriftGuard(site.ledger, cameras[name], rule.test.n)
            for name, rule in rules.items()
        }
        self._delivery = AlertDelivery(site)
        self._verdicts = LineLog(site.ledger, "verdicts", site.pipeline.record.verdicts)
        self._lines: list[bytes] = []
        self._chain: VerdictChain | None = None
        self._unrecorded = site.ledger.counter("streamline_audit_lost_total", stage="alert")
        self._journals = {name: Journal(site.ledger, name) for name in rules}
        self._unsettled: set[str] = set()
        evidence = site.pipeline.record.evidence
        self._limit = None if evidence is None else _limit(rules, evidence.per_minute)
        self._fences = Fences(site.runtime.ledger(SUPERVISOR), site.ledger, "alert", rules)
        self._intake = Intake("alert", rules)
        self._misfits: set[str] = set()
        """Cameras with scores of another model than the one whose threshold holds here."""

        senders = [share.name for share in infer_shares(site.pipeline)]
        self._peers = Peers(site, "scores", stage="alert", peers=senders)
        self._refusals = site.refusals("scores")
        self._inlet: Inlet

    def work(self) -> None:
        """Run until the line finishes."""
        self._open()
        self._recover()
        poller = self.poller(self._inlet.socket)
        self._inlet.admit()
        self.connected.set()
        self.ready.set()
        try:
            while self.phase < Phase.FINISHING:
                poller.poll(0 if self._inlet.waiting else TICK_MS)
                self._fences.watch()
                for delivery in self._inlet.take(_WINDOW):
                    self._handle(delivery)
                self._write_verdicts()
                self._settle()
                self._inlet.exchange()
                if self.chores_are_due():
                    self.beat()
                    self._peers.note(self._inlet.peers)
                    self._delivery.show()
        finally:
            self._close()

    def _open(self) -> None:
        pipeline = self.site.pipeline
        self._delivery.open(patient=not self.starts_anew)
        if self.starts_anew:
            self._verdicts.open()
        run, audit = RunFolder.told_in(self.site.runtime.audit), pipeline.record.audit
        if run is not None and audit is not None:
            self._chain = VerdictChain(
                run, self._rules, audit.per_minute, on_lost=self._unrecorded.add
            )
        self._inlet = Inlet(
            self.site.context,
            self.site.address("scores"),
            window=_WINDOW,
            largest=_LARGEST,
            door=self.site.keyring.door("scores"),
            refusals=self._refusals,
        )

    def _close(self) -> None:
        self._write_verdicts()
        self._inlet.close()
        self._delivery.close()
        self._verdicts.close()
        if self._chain is not None:
            cameras = self._cameras.items()
            self._chain.close({name: one.so_far(round(one.alerts.value)) for name, one in cameras})

    def _handle(self, delivery: Delivery) -> None:
        self._account.waited(self.site.queued_ns(delivery))
        with Timer(self._account.work):
            scored = self._intake.read(self._inlet, delivery, decode_scored)
            if scored is None:
                return
            frame = scored.origin.id
            known = self._journals[frame.camera].find(frame.incarnation, frame.seq)
            if known is not None:
                outcome = self._again(scored, known)
            elif scored.fault is Fault.LOST or self._fences.excludes(frame):
                outcome = _LOST
            else:
                outcome = self._judge_new(self._by_our_model(scored))
        self._inlet.answer(delivery, outcome)

    def _by_our_model(self, scored: Scored) -> Scored:
        """Take away the score that another model gave than the one whose threshold holds here."""
        name = scored.origin.id.camera
        ours = self._rules[name].model[:12]
        if scored.fault is not None or scored.model == ours:
            return scored
        if name not in self._misfits:
            self._misfits.add(name)
            _log.error("scored by another model", camera=name, model=scored.model, ours=ours)
        return Scored(origin=scored.origin, score=math.nan, fault=Fault.OTHER_MODEL)

    def _with_reason(self, scored: Scored, now_ns: int) -> Scored:
        """Take away a score that stands for nothing: scores have drifted, or it comes too late."""
        origin = scored.origin
        name = origin.id.camera
        p_value = self._judge.p_value(scored)
        if p_value is not None:
            fault = self._drifts[name].look(p_value, origin.captured_ns)
            if fault is not None:
                return Scored(origin=origin, score=math.nan, fault=fault)
        return unless_late(scored, self._rules[name].deadline_ns, now_ns)

    def _judge_new(self, scored: Scored) -> bytes:
        name, now_ns = scored.origin.id.camera, monotonic_ns()
        scored = self._with_reason(scored, now_ns)
        self._account.entered[name].add()
        judgement = self._judge.judge(scored)
        entry = self._entry(scored, judgement)
        self._journals[name].add(entry)
        self._follow(name, entry)
        latency_s = self._count(scored, judgement, now_ns)
        self._log(scored, judgement, latency_s)
        self._audit(scored, judgement, entry, latency_s=latency_s)
        self._account.left[name].add()
        self._delivery.note(name, judgement.verdict, alert=judgement.alert is not None)
        self._tell(judgement)
        self._unsettled.add(name)
        if entry.pin is None:
            return _PLAIN[judgement.verdict, scored.fault]
        return self._pinned(scored, judgement, entry.pin, latency_s)

    def _tell(self, judgement: Judgement) -> None:
        """Hand over what sinks are to be told."""
        for event in (judgement.event, judgement.update):
            if event is not None:
                self._delivery.hand(event)

    def _entry(self, scored: Scored, judgement: Judgement) -> Entry:
        """Make what is remembered of a verdict: from it everything that is counted follows."""
        frame = scored.origin.id
        counts = self._cameras[frame.camera]
        kind = pin_kind(judgement)
        pin, skips = self._pin(scored, kind)
        suppressed = {
            reason: round(cell.value) + (judgement.suppressed is reason)
            for reason, cell in counts.suppressed.items()
        }
        return Entry(
            incarnation=frame.incarnation,
            seq=frame.seq,
            verdict=judgement.verdict,
            score=scored.score,
            wall_ns=scored.origin.wall_ns,
            pin=pin,
            pins=round(counts.pins.value) + (pin is not None),
            skips=round(counts.skipped.value) + skips,
            fault=scored.fault,
            alerts=round(counts.alerts.value) + (kind is PinKind.BEGIN),
            debounced=suppressed[Suppressed.DEBOUNCED],
            merged=suppressed[Suppressed.MERGED],
            alert=self._judge.standing(frame.camera),
        )

    def _follow(self, name: str, latest: Entry) -> None:
        """Let a camera's counters say what its latest entry says."""
        counts = self._cameras[name]
        counts.alerts.add(latest.alerts - counts.alerts.value)
        for reason, total in (
            (Suppressed.DEBOUNCED, latest.debounced),
            (Suppressed.MERGED, latest.merged),
        ):
            counts.suppressed[reason].add(total - counts.suppressed[reason].value)
        counts.pins.add(latest.pins - counts.pins.value)
        counts.skipped.add(latest.skips - counts.skipped.value)
        counts.active.set(float(latest.alert is not None))

    def _pin(self, scored: Scored, kind: PinKind) -> tuple[PinKind | None, bool]:
        """Say what a frame is kept as, None if it is not; and whether it should have been."""
        if self._limit is None:
            return None, False
        if scored.fault is Fault.POISON:
            return kind, False
        if not self._limit.wants(kind):
            return None, False
        if self._limit.admits(scored.origin.id.camera, kind):
            return kind, False
        return None, kind is not PinKind.PASS

    def _again(self, scored: Scored, known: Entry) -> bytes:
        """Answer once more for a frame that was judged before: its answer got lost."""
        if known.pin is None:
            return _PLAIN[known.verdict, known.fault]
        as_judged = Scored(origin=scored.origin, score=known.score, fault=known.fault)
        alert = None if known.alert is None else alert_id(known.alert.begin.id)
        return self._pinned(
            as_judged,
            Judgement(known.verdict, None, alert, self._judge.p_value(as_judged)),
            known.pin,
            None,
        )

    def _pinned(
        self, scored: Scored, judgement: Judgement, kind: PinKind, latency_s: float | None
    ) -> bytes:
        """Ask the source to keep a frame, and say what for."""
        frame = scored.origin.id
        if kind is PinKind.BEGIN:
            record = to_json(self._judge.begin_event(scored))
        else:
            record = to_json(self._verdict(scored, judgement, latency_s))
        pin = Pin(
            kind=kind,
            alert_id=alert_id(frame),
            score=scored.score,
            threshold=self._rules[frame.camera].threshold,
            map=None,
            record=record.decode(),
        )
        return encode_outcome(Judged(verdict=judgement.verdict, fault=scored.fault, pin=pin))

    def _recover(self) -> None:
        """Go on from where a predecessor died, and do what it had decided and not come to do."""
        log = self.site.pipeline.record.verdicts
        logged = set() if log is None else logged_lately(log)
        audited = set() if self._chain is None else logged_lately(self._chain.path)
        for name, journal in self._journals.items():
            entries = journal.recover()
            if not entries:
                continue
            self._recount(name, journal, entries)
            delivered = self._delivered(name, journal, entries)
            before = entries[:delivered]
            if before:
                last = before[-1]
                verdicts = since_change(before)
                self._judge.resume(name, verdicts, last.alert, wall_ns=last.wall_ns)
            settled = len(entries) - journal.unsettled
            recorded = _recorded(name, entries, audited)
            for number, entry in enumerate(entries[delivered:], start=delivered + 1):
                scored = _remembered(name, entry)
                judgement = self._judge.judge(scored)
                self._tell(judgement)
                if number <= settled:
                    continue
                if scored.origin.id not in logged:
                    self._log(scored, judgement, None)
                if number > recorded:
                    self._audit(scored, judgement, entry, later=entries[number:])
            self._unsettled.add(name)
        self._write_verdicts()
        self._settle()

    @staticmethod
    def _delivered(name: str, journal: Journal, entries: Sequence[Entry]) -> int:
        """Return of how many of the entries alerts are safe, or can't be told again."""
        forgotten = journal.undelivered - len(entries)
        if forgotten <= 0:
            return -forgotten
        _log.error("alerts of verdicts long ago may be lost", camera=name, verdicts=forgotten)
        return 1  # What was on then is known from it.

    def _recount(self, name: str, journal: Journal, entries: Sequence[Entry]) -> None:
        """Add what was judged and not counted any more."""
        counts = self._cameras[name]
        counted = sum(cell.value for cell in counts.judged.values())
        for entry in entries[len(entries) - int(journal.count - counted) :]:
            counts.judged[entry.verdict].add()
        self._recount_unknown(counts, entries)
        self._follow(name, entries[-1])

    @staticmethod
    def _recount_unknown(counts: _CameraAccount, entries: Sequence[Entry]) -> None:
        """Add the reasons of unknown verdicts that were not counted any more."""
        told = sum(cell.value for cell in counts.unknown.values())
        missing = int(counts.judged[Verdict.UNKNOWN].value - told)
        faults = [entry.fault for entry in entries if entry.fault is not None]
        for fault in faults[len(faults) - missing :]:
            counts.unknown[fault].add()

    def _log(self, scored: Scored, judgement: Judgement, latency_s: float | None) -> None:
        """Take a line for the verdict log, if there is one."""
        if self._verdicts.is_wanted:
            self._lines.append(to_json(self._verdict(scored, judgement, latency_s)))

    def _audit(
        self,
        scored: Scored,
        judgement: Judgement,
        entry: Entry,
        *,
        latency_s: float | None = None,
        later: Iterable[Entry] = (),
    ) -> None:
        """Take a verdict for the audit record, if there is one and it belongs there."""
        frame = scored.origin.id
        kind = pin_kind(judgement)
        chain = self._chain
        if chain is None or (entry.pin is None and not chain.wants(frame.camera, kind, judgement)):
            return
        chain.add(
            self._verdict(scored, judgement, latency_s),
            judgement=judgement,
            evidence=None if entry.pin is None else entry.pin.item(alert_id(frame)),
            counts=self._cameras[frame.camera].so_far(entry.alerts, later),
        )

    def _count(self, scored: Scored, judgement: Judgement, now_ns: int) -> float | None:
        """Count a verdict given now; return the latency if it can be claimed."""
        counts = self._cameras[scored.origin.id.camera]
        counts.judged[judgement.verdict].add()
        counts.last.set(wall_ns() / 1e9)
        counts.last_s[0] = now_ns / 1e9
        if not counts.first_s[0]:
            counts.first_s[0] = now_ns / 1e9
        if scored.fault is None:
            counts.score.observe(scored.score / counts.threshold)
        else:
            counts.unknown[scored.fault].add()
        if not self.site.trusts(scored.origin.error_ns):
            counts.unclaimed.add()
            return None
        latency_s = max(0, now_ns - scored.origin.captured_ns) / 1e9
        counts.latency.observe(latency_s)
        counts.ring.push(latency_s)
        return latency_s

    def _verdict(
        self, scored: Scored, judgement: Judgement, latency_s: float | None
    ) -> VerdictRecord:
        name = scored.origin.id.camera
        return VerdictRecord(
            **scored.origin.id._asdict(),
            captured=utc(scored.origin.wall_ns),
            pts_s=scored.origin.pts_s,
            verdict=judgement.verdict,
            reason=None if scored.fault is None else scored.fault.value,
            score=None if math.isnan(scored.score) else scored.score,
            p_value=judgement.p_value,
            threshold=self._rules[name].threshold,
            latency_ms=None if latency_s is None else round(latency_s * 1e3, 3),
            alert=judgement.alert,
        )

    def _settle(self) -> None:
        """Note what has been done of what follows from the verdicts so far, all of it written."""
        safe = self._delivery.is_safe
        for name in self._unsettled:
            self._journals[name].settle(delivered=safe)
        if safe:
            self._unsettled.clear()

    def _write_verdicts(self) -> None:
        """Append the verdicts since the last time, in one write each."""
        if self._chain is not None:
            self._chain.write()
        self._verdicts.write(self._lines)
        self._lines.clear()


def _recorded(camera: str, entries: Sequence[Entry], audited: Container[FrameId]) -> int:
    """Return up to which entry all was recorded that was to be: a chain takes none in between."""
    ids = (FrameId(camera, one.incarnation, one.seq) for one in entries)
    return max((n for n, frame in enumerate(ids, start=1) if frame in audited), default=0)


def _limit(cameras: Iterable[str], kept: KeptPerMinute) -> PinLimit:
    return PinLimit(
        cameras,
        {
            PinKind.BEGIN: kept.begins,
            PinKind.FAIL: kept.fails,
            PinKind.UNKNOWN: kept.unknowns,
            PinKind.PASS: kept.passes,
        },
    )


def _remembered(camera: str, entry: Entry) -> Scored:
    """Make of an entry what was judged then, as far as the rules need it."""
    origin = Origin(FrameId(camera, entry.incarnation, entry.seq), 0, entry.wall_ns, 0)
    return Scored(origin=origin, score=entry.score, fault=entry.fault)
