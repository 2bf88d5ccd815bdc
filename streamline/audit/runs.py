"""The folders of a line's runs: a new one, those before it, and those that have to go."""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from streamline.alert.events import utc
from streamline.audit.chain import Chain, Seal, head_of, lines_of
from streamline.audit.records import Begun, HeadOf, Opened, decode_record, now
from streamline.clock import wall_ns
from streamline.errors import InputError

__all__ = ["LINE", "VERDICTS", "RunFolder", "begun_of", "chain_paths", "evidence_chain", "runs_in"]

LINE: Final = "line"
"""Name of the supervisor's chain."""

VERDICTS: Final = "verdicts"
"""Name of the alert stage's chain."""

_SUFFIX: Final = ".jsonl"
_DAY_NS: Final = 86_400_000_000_000


def evidence_chain(camera: str) -> str:
    """Name the chain of a camera's evidence."""
    return f"evidence-{camera}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """Where the chains of one run are, and how they are sealed; what its processes need to know."""

    folder: Path
    config: str
    """SHA-256 of the configuration."""

    key_file: Path | None

    @classmethod
    def new(cls, above: Path, *, config: str, key_file: Path | None) -> "RunFolder":
        """Make the folder of a run that begins now.

        Raises
        ------
        InputError
            If it can't be made.
        """
        stamp = max(_stamp(wall_ns()), _after(above))
        folder = above / f"{stamp}-{os.urandom(3).hex()}"
        try:
            folder.mkdir(parents=True)
        except OSError as exc:
            msg = f"record.audit: {folder} can't be made ({exc.strerror}); give another path"
            raise InputError(msg) from exc
        return cls(folder=folder, config=config, key_file=key_file)

    def leave_in(self, file: Path) -> None:
        """Write down where it is, for the processes of the line."""
        file.write_bytes(msgspec.json.encode(self, enc_hook=str))

    @classmethod
    def told_in(cls, file: Path) -> "RunFolder | None":
        """Read where it is; None if nothing is audited."""
        if not file.exists():
            return None
        return msgspec.json.decode(file.read_bytes(), type=cls, dec_hook=_path)

    def chain(self, name: str) -> Chain:
        """Open one of its chains to write to it, or go on with it.

        Raises
        ------
        InputError
            If it is sealed with another key, or the key can't be read.
        """
        seal = Seal.from_file(self.key_file)
        path = self.folder / f"{name}{_SUFFIX}"
        opened = Opened(run=self.folder.name, chain=name, keyed=seal.keyed, at=now())
        return Chain(path, opened, seal)


def _stamp(at_ns: int) -> str:
    return utc(at_ns).replace("-", "").replace(":", "")


def _after(above: Path) -> str:
    """Return the first stamp after those of all runs: the clock may have been set back since."""
    latest = max((run.name.partition("-")[0] for run in runs_in(above)), default="")
    try:
        at = datetime.strptime(latest, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return ""
    seconds = int(at.replace(microsecond=0).timestamp())
    return _stamp(seconds * 10**9 + (at.microsecond + 1) * 1000)


def _path(kind: type, value: object) -> Path:
    """Read a path, the one thing in a `RunFolder` that JSON has no word for."""
    if kind is not Path:
        raise NotImplementedError(kind)
    return Path(str(value))


def chain_paths(folder: Path) -> dict[str, Path]:
    """Return the chains of a run by name."""
    return {path.name.removesuffix(_SUFFIX): path for path in sorted(folder.glob(f"*{_SUFFIX}"))}


def heads_in(folder: Path, seal: Seal, *, but: Sequence[str] = ()) -> dict[str, HeadOf]:
    """Say where the chains of a run stand, which nobody writes any more.

    One that has no sound record, such as under another key, is left out.
    """
    heads = {name: head_of(path, seal) for name, path in chain_paths(folder).items()}
    return {
        name: HeadOf(records=head.records, hash=head.hash)
        for name, head in heads.items()
        if head.records and name not in but
    }


def runs_in(above: Path) -> list[Path]:
    """Return the folders of runs, oldest first."""
    found = (path.parent for path in above.glob(f"*/{LINE}{_SUFFIX}"))
    return sorted(found, key=lambda path: path.name)


def begun_of(folder: Path, seal: Seal) -> Begun | None:
    """Return what a run began with; None if that can't be read."""
    try:
        for number, line in enumerate(lines_of(folder / f"{LINE}{_SUFFIX}", seal)):
            record = decode_record(line.raw)
            if isinstance(record, Begun):
                return record
            if number > 1:
                break
    except (OSError, msgspec.MsgspecError):
        return None
    return None


def removable(
    runs: Sequence[Path], *, max_days: float | None, max_bytes: float
) -> Iterator[tuple[Path, str]]:
    """Yield the runs that have to go, oldest first, and why: ``age`` or ``size``."""
    sizes = {run: sum(path.stat().st_size for path in run.iterdir()) for run in runs}
    total = sum(sizes.values())
    oldest_ns = None if max_days is None else wall_ns() - round(max_days * _DAY_NS)
    for run in runs:
        last_ns = max((path.stat().st_mtime_ns for path in run.iterdir()), default=0)
        if oldest_ns is not None and last_ns < oldest_ns:
            why = "age"
        elif total > max_bytes:
            why = "size"
        else:
            return
        total -= sizes[run]
        yield run, why


def remove(run: Path) -> None:
    """Remove the folder of a run; what can't be removed stays for the next time."""
    shutil.rmtree(run, ignore_errors=True)
