"""What stands in the chains of a run."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from streamline.alert.events import EventType, VerdictRecord, utc
from streamline.clock import wall_ns
from streamline.machine import Machine
from streamline.mask import Mask, Polygon
from streamline.messages import PinKind, Verdict
from streamline.model import digest_under

__all__ = [
    "AUDIT_VERSION",
    "Account",
    "Begun",
    "Closed",
    "Counts",
    "Ended",
    "Gap",
    "HeadOf",
    "JudgedFrame",
    "Link",
    "Opened",
    "PreviousRun",
    "Record",
    "RemovedEvidence",
    "Resumed",
    "RunCamera",
    "RunInfer",
    "RunRemoved",
    "SkippedEvidence",
    "StoredEvidence",
    "decode_record",
    "now",
]

AUDIT_VERSION = 1
"""Of these records."""


def now() -> str:
    """Return the present time as records have it."""
    return utc(wall_ns())


class Link(msgspec.Struct, frozen=True):
    """What ties a record to the one before it."""

    n: int
    """Counts the records of a chain from 0."""

    prev: str
    hash: str


class _Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="record"):
    """Anything that stands in a chain."""


class Opened(_Record, frozen=True, kw_only=True, tag="opened"):
    """The first record of every chain."""

    version: int = AUDIT_VERSION
    run: str
    """The run that it belongs to."""

    chain: str
    """Name of its file, without the ending."""

    keyed: bool
    """Whether the hashes are HMACs."""

    at: str


class Resumed(_Record, frozen=True, kw_only=True, tag="resumed"):
    """A process took over from one that died."""

    at: str
    cut_bytes: int
    """Length of the half-written record that was cut off."""

    cut_sha256: str | None
    """Of what was cut off, its first MiB; null if nothing was."""


class Gap(_Record, frozen=True, kw_only=True, tag="gap"):
    """Records that could not be written, and are lost."""

    at: str
    lost: int


class Closed(_Record, frozen=True, kw_only=True, tag="closed"):
    """The last record of a chain whose writer ended in good order."""

    at: str
    counts: Mapping[str, "Counts"] = {}
    """By camera, of the chain of verdicts: all that was judged, recorded or not."""


class Counts(msgspec.Struct, frozen=True, kw_only=True, rename={"passed": "pass"}):
    """A camera's verdicts up to a moment."""

    passed: int
    fail: int
    unknown: int
    alerts: int
    """That began."""

    def of(self, verdict: Verdict) -> int:
        """How often a verdict was given."""
        return (self.passed, self.fail, self.unknown)[_ORDER.index(verdict)]


_ORDER = (Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN)


class JudgedFrame(VerdictRecord, frozen=True, kw_only=True, tag="judged", tag_field="record"):
    """A verdict: all that begin or end an alert, fails, unknowns and passes up to a rate."""

    event: EventType | None
    """What sinks were told of an alert that it began or ended, else null."""

    model: str
    """SHA-256 of the model that scored it; under a mask of its calibration, of both."""

    calibration: str
    """SHA-256 of the calibration that the threshold and the p-value are of."""

    config: str
    """SHA-256 of the configuration, which the run's first record holds."""

    evidence: str | None
    """Folder of the frame, below that of all evidence, if the source was asked to keep it: the
    camera's chain tells what became of that, with its hash."""

    counts: Counts
    """The camera's verdicts so far, this one included."""


class StoredEvidence(_Record, frozen=True, kw_only=True, tag="stored"):
    """A frame was stored."""

    item: str
    """Its folder, below that of all evidence."""

    kind: PinKind
    sha256: str
    """Of its ``alert.json``, which holds those of its other files."""

    found: bool = False
    """Whether its writer died before it could say so, and its successor found it."""


class SkippedEvidence(_Record, frozen=True, kw_only=True, tag="skipped"):
    """A frame was to be stored and was not."""

    item: str
    kind: PinKind
    reason: str
    """As `streamline.metrics.catalogue.SKIP_REASONS` has it."""


class RemovedEvidence(_Record, frozen=True, kw_only=True, tag="removed"):
    """A frame that was stored, in this run or an earlier one, goes."""

    item: str
    kind: PinKind
    reason: str
    """``quota``, ``disk`` or ``age``."""


class RunCamera(msgspec.Struct, frozen=True, kw_only=True):
    """What a camera is judged by."""

    model: str
    """SHA-256 of its model, as it lies on the disk."""

    calibration: str
    """SHA-256 of what its scores are held against."""

    mask: tuple[Polygon, ...] = ()
    """What of the model its calibration leaves out; see `streamline.mask.Mask`."""

    model_path: str
    roi: tuple[int, int, int, int] | None

    def __post_init__(self) -> None:
        """Refuse polygons that are no mask."""
        Mask(self.mask)

    @property
    def left_out(self) -> Mask | None:
        """The mask; None if there is none."""
        return Mask(self.mask) if self.mask else None

    @property
    def judge(self) -> str:
        """SHA-256 of the model as it is seen through the mask: it stands in every verdict."""
        return digest_under(self.model, self.left_out)


class RunInfer(msgspec.Struct, frozen=True, kw_only=True):
    """What the models run on, as configured."""

    backend: str
    device: str
    """The first, if there are several."""

    precision: Literal["auto", "f32", "bf16", "f16"]
    batch: int
    """Most frames judged together."""

    others: tuple[str, ...] = ()
    """Further devices, each with cameras of its own."""


class HeadOf(msgspec.Struct, frozen=True, kw_only=True):
    """Where a chain stands."""

    records: int
    hash: str


class PreviousRun(msgspec.Struct, frozen=True, kw_only=True):
    """The run before, as it was found."""

    run: str
    chains: Mapping[str, HeadOf]


class Begun(_Record, frozen=True, kw_only=True, tag="begun"):
    """A run begins."""

    at: str
    line: str
    part: str | None
    """The stage that is run on its own; null for a whole line."""

    config: str
    """SHA-256 of `pipeline`."""

    pipeline: str
    """The configuration as it took effect, secrets hidden, as YAML."""

    cameras: Mapping[str, RunCamera]
    """In the order of the pipeline file, by which models share a network."""

    infer: RunInfer
    machine: Machine
    """Where the supervisor runs."""

    evidence: str
    """Folder of all evidence, as seen from the run's own."""

    previous: PreviousRun | None


class RunRemoved(_Record, frozen=True, kw_only=True, tag="run_removed"):
    """The record of an earlier run goes: it is too old, or there is too much."""

    run: str
    reason: str
    """``age`` or ``size``."""

    chains: Mapping[str, HeadOf]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a camera's frames."""

    captured: int
    judged: Mapping[str, int]
    dropped: Mapping[str, int]
    """By ``stage:reason``."""

    in_flight: int
    evidence: int
    """Frames stored."""

    evidence_skipped: int


class Ended(_Record, frozen=True, kw_only=True, tag="ended"):
    """A run ended in good order: the last record."""

    at: str
    cameras: Mapping[str, Account]
    alerts: int
    faults: tuple[str, ...]
    """What went wrong on the way."""

    chains: Mapping[str, HeadOf]
    """Where the other chains of the run stand."""


Record = (
    Opened | Resumed | Gap | Closed | JudgedFrame | StoredEvidence | SkippedEvidence
    | RemovedEvidence | Begun | RunRemoved | Ended
)  # fmt: skip

decode_record = msgspec.json.Decoder(Record).decode
"""Read a record of a chain; what ties it to others is left out."""
