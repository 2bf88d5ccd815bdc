"""One camera's evidence as its source sees to it: written, counted, and recorded for the audit."""

from streamline.audit.kept import EvidenceChain
from streamline.audit.runs import RunFolder
from streamline.config import Camera, Evidence
from streamline.evidence import EvidenceWriter, Item, Limits, Store
from streamline.messages import Frame, Pin, PinKind
from streamline.metrics.catalogue import SKIP_REASONS
from streamline.run.accounting.account import PINNED
from streamline.run.placement import plan
from streamline.run.stages.stage import CLOSE_S, Site
from streamline.run.views import Views

__all__ = ["Keeping"]

_DAY_NS = 86_400_000_000_000


class Keeping:
    """Keeps what the alert stage asks for, if the pipeline file names a folder for it.

    Parameters
    ----------
    site : Site
    camera : Camera
    """

    def __init__(self, site: Site, camera: Camera) -> None:
        self._site = site
        self._camera = camera
        self._writer: EvidenceWriter | None = None
        self._chain: EvidenceChain | None = None
        ledger, name = site.ledger, camera.name
        self._taken = ledger.counter("evidence_taken", camera=name)
        self._bytes = ledger.gauge("streamline_evidence_bytes", camera=name)
        self._unrecorded = ledger.counter("streamline_audit_lost_total", stage="source")
        self._stored = {
            kind: ledger.counter("streamline_evidence_stored_total", camera=name, kind=kind)
            for kind in PinKind
        }
        self._removed = {
            kind: ledger.counter("streamline_evidence_removed_total", camera=name, kind=kind)
            for kind in PinKind
        }
        self._skipped = {
            reason: ledger.counter("streamline_evidence_skipped_total", camera=name, reason=reason)
            for reason in SKIP_REASONS["source"]
        }

    def open(self) -> None:
        """Start the writer; what a predecessor was asked for and had not stored died with it.

        Raises
        ------
        InputError
            If the audit record is sealed with another key, or the key can't be read.
        """
        evidence = self._site.pipeline.record.evidence
        if evidence is not None:
            folder = evidence.path / self._camera.name
            run = RunFolder.told_in(self._site.runtime.audit)
            if run is not None:
                self._chain = EvidenceChain(
                    run, self._camera.name, folder, on_lost=self._unrecorded.add
                )
            limits = _limits(evidence, len(self._site.pipeline.cameras))
            self._writer = EvidenceWriter(
                Store(folder, limits, on_removing=self._on_removing),
                on_stored=self._on_stored,
                on_skipped=self._on_skipped,
            )
            self._writer.start()
        self._skip_unsettled("crashed")

    def keep(self, frame: Frame, pin: Pin) -> None:
        """Store a frame, or count why it is not."""
        if self._writer is not None:
            self._taken.add()
            self._writer.submit(frame, pin, roi=self._camera.roi)

    def miss(self) -> None:
        """Count a frame that was to be kept, and died with its source."""
        self._taken.add()
        self._skipped["crashed"].add()

    def show(self) -> None:
        """Publish what the camera's evidence takes on the disk."""
        if self._writer is not None:
            self._bytes.set(self._writer.used_bytes)

    def close(self) -> None:
        """Store what waits, and count what is not stored any more."""
        if self._writer is None:
            return
        self._writer.close(CLOSE_S)
        # Nobody waits for answers any more that were not there in time.
        self._skip_unsettled("closed")
        if self._chain is not None:
            self._chain.close()

    def _on_stored(self, pin: Pin, digest: str) -> None:
        self._stored[pin.kind].add()
        if self._chain is not None:
            self._chain.stored(pin, digest)

    def _on_skipped(self, pin: Pin, reason: str) -> None:
        self._skipped[reason].add()
        if self._chain is not None:
            self._chain.skipped(pin, reason)

    def _on_removing(self, item: Item, reason: str) -> None:
        self._removed[item.kind].add()
        if self._chain is not None:
            self._chain.removing(item, reason)

    def _skip_unsettled(self, reason: str) -> None:
        """Count frames that were to be kept, and of which nothing more will be heard."""
        settled = sum(cell.value for cell in (*self._stored.values(), *self._skipped.values()))
        self._skipped[reason].add(max(0.0, self._pinned() - settled))

    def _pinned(self) -> float:
        """How many frames this camera was asked to keep; where that is not known, took to keep."""
        judges = [one.name for one in plan(self._site.pipeline) if "alert" in one.stages]
        views = Views(self._site.runtime)
        asked = [
            view.value(PINNED, camera=self._camera.name)
            for worker, view in views.by_worker().items()
            if worker in judges
        ]
        views.close()
        return max(self._taken.value, *asked, 0.0)


def _limits(evidence: Evidence, cameras: int) -> Limits:
    return Limits(
        # Shares need no agreement between cameras, which may be anywhere, and none that fails
        # all day pushes out what the others have.
        max_bytes=round(evidence.max_gb * 1e9 / cameras),
        min_free_bytes=round(evidence.min_free_gb * 1e9),
        max_age_ns=None if evidence.max_days is None else round(evidence.max_days * _DAY_NS),
    )
