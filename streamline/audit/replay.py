"""Compute the scores of a run again from its evidence, and compare them with its record."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from streamline.audit.chain import Seal
from streamline.audit.evidence import EvidenceBooks, read_item_record
from streamline.audit.reading import ChainReader, Findings, require_run
from streamline.audit.records import Begun, JudgedFrame
from streamline.audit.rescore import Kept, Rescored, models_of_run, rescored
from streamline.audit.runs import LINE, VERDICTS, begun_of, evidence_chain
from streamline.audit.verify import evidence_root
from streamline.errors import InputError
from streamline.evidence.store import RECORD
from streamline.infer import Compute
from streamline.machine import this_machine

__all__ = ["Difference", "Recorded", "Replay", "Replayable", "read_replayable", "replay_run"]

_PACKAGES: Final = ("streamline", "numpy", "opencv-python-headless", "av")
"""Whose releases may move the last bits of a score, beside the backend's."""


class Difference(NamedTuple):
    """A frame whose score came out otherwise, or could not be computed."""

    item: str
    """Its folder, below that of all evidence."""

    recorded: float
    computed: float | None
    relative: float | None
    """How far apart they are, as a share of the recorded one."""

    flips: bool
    """Whether its verdict would be another."""

    why: str
    """Why there is no score; empty if there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What came of it."""

    run: str
    frames: int
    """That were computed again."""

    equal: int
    """Scores equal to the last bit."""

    largest: float
    """Largest relative difference."""

    without_evidence: int
    """Recorded scores whose frames were not kept."""

    differences: tuple[Difference, ...]
    """All that are not equal, and those that could not be computed."""

    def beyond(self, tolerance: float) -> list[Difference]:
        """Those that differ by more than a share of the recorded score, or have none."""
        return [one for one in self.differences if one.relative is None or one.relative > tolerance]


class Recorded(NamedTuple):
    """A frame whose score is recorded, and which should be there."""

    camera: str
    item: str
    """Its folder, below that of all evidence."""

    score: float
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayable:
    """What of a run can be computed again."""

    folder: Path
    begun: Begun
    frames: Sequence[Recorded]
    without_evidence: int
    """Recorded scores whose frames were not kept."""

    @property
    def compute(self) -> Compute:
        """What the run's models were configured to run on."""
        infer = self.begun.infer
        return Compute(
            backend=infer.backend,
            device=infer.device,
            precision=infer.precision,
            max_batch=infer.batch,
        )

    def differs(self, compute: Compute) -> list[str]:
        """Say what is otherwise here than in the run; if nothing is, scores are all but equal.

        Parameters
        ----------
        compute : Compute
            What is to be computed with.
        """
        ran, then, here = self.compute, self.begun.machine, this_machine()
        pairs = [
            ("backend", ran.backend, compute.backend),
            ("device", ran.device, compute.device),
            ("precision", ran.precision, compute.precision),
            ("processor", then.cpu, here.cpu),
        ]
        pairs += [
            (name, then.versions.get(name, "none"), here.versions.get(name, "none"))
            for name in (compute.backend, *_PACKAGES)
        ]
        found = [f"{name} {ours}, not {theirs}" for name, theirs, ours in pairs if ours != theirs]
        if self.begun.part not in {None, "infer"}:
            found.append("scored on another host, perhaps")
        if others := self.begun.infer.others:
            found.append(f"cameras scored on {', '.join(others)} too")
        if compute.backend == "torch":
            # Its kernels go by the batch's size, which is not recorded.
            found.append("torch rounds as a batch is large")
        return found


def read_replayable(folder: Path, seal: Seal, *, evidence: Path | None = None) -> Replayable:
    """Read what of a run can be computed again.

    A part of a line that has the cameras and gives no verdicts takes scores from the evidence.

    Parameters
    ----------
    folder : Path
        Of the run.
    seal : Seal
    evidence : Path, optional
        Folder of all evidence, if it is not where the run had it.

    Raises
    ------
    InputError
        If the folder is none of a run, its key is not given, or its beginning can't be read.
    """
    paths = require_run(folder, seal)
    begun = begun_of(folder, seal)
    if begun is None:
        msg = f"{folder}/{LINE}.jsonl does not tell how the run began; see streamline verify"
        raise InputError(msg)
    readers = {name: ChainReader(one, seal, folder.name, Findings()) for name, one in paths.items()}
    books = _books(readers)
    if VERDICTS in readers:
        judged = list(_judged(readers[VERDICTS]))
        there = set(books.there)
        frames = [one for one in judged if one.item in there]
        without = len(judged) - len(frames)
    else:
        root = evidence or evidence_root(folder, begun) or folder
        told = [_told(root, item, books.stored[item].sha256) for item in books.there]
        frames = [one for one in told if one is not None]
        without = 0
    return Replayable(folder=folder, begun=begun, frames=frames, without_evidence=without)


def _books(readers: Mapping[str, ChainReader]) -> EvidenceBooks:
    """Read what became of the evidence."""
    books, prefix = EvidenceBooks(Findings()), evidence_chain("")
    for name, reader in readers.items():
        if name.startswith(prefix):
            for _, record in reader.records():
                books.told(record, name.removeprefix(prefix))
    return books


def _judged(reader: ChainReader) -> Iterator[Recorded]:
    """Yield the verdicts with a score, kept or not."""
    for _, record in reader.records():
        if isinstance(record, JudgedFrame) and record.score is not None:
            yield Recorded(record.camera, record.evidence or "", record.score, record.threshold)


def _told(root: Path, item: str, digest: str) -> Recorded | None:
    """Read what a frame's own record says; None without a score, and if it is not what it was."""
    try:
        data = (root / item / RECORD).read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data).hexdigest() != digest:
        return None
    record = read_item_record(data)
    said = record.said
    if said is None or said.score is None:
        return None
    return Recorded(record.frame.camera, item, said.score, said.threshold)


def replay_run(
    run: Replayable,
    compute: Compute,
    *,
    models: Sequence[Path] = (),
    evidence: Path | None = None,
) -> Replay:
    """Compute the scores of a run again.

    Parameters
    ----------
    run : Replayable
    compute : Compute
        What to compute with.
    models : sequence of Path
        Folders with the run's models, if they are not where it had them.
    evidence : Path, optional
        Folder of all evidence, if it is not where the run had it.

    Raises
    ------
    ModelError
        If a model of the run is not there any more.
    ConfigError
        If the backend, the device or its arithmetic is not there.
    """
    root = evidence or evidence_root(run.folder, run.begun) or run.folder
    kept = {Kept(frame.camera, root / frame.item): frame for frame in run.frames}
    loaded = models_of_run(run.begun.cameras, models)
    differences = list(_differences(kept, rescored(loaded, kept, compute)))
    return Replay(
        run=run.folder.name,
        frames=len(kept),
        equal=len(kept) - len(differences),
        largest=max((one.relative or 0.0 for one in differences), default=0.0),
        without_evidence=run.without_evidence,
        differences=tuple(differences),
    )


def _differences(frames: dict[Kept, Recorded], scores: Iterable[Rescored]) -> Iterator[Difference]:
    for kept, score, why in scores:
        frame = frames[kept]
        if score == frame.score:
            continue
        yield Difference(
            item=frame.item,
            recorded=frame.score,
            computed=score,
            relative=None if score is None else _apart(frame.score, score),
            flips=score is not None
            and (score > frame.threshold) is not (frame.score > frame.threshold),
            why=why,
        )


def _apart(recorded: float, computed: float) -> float:
    return abs(computed - recorded) / abs(recorded) if recorded else math.inf
