"""Which frames' fate is decided: read from the ledgers and logs, whoever has died since."""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import structlog

from streamline.ledger import LedgerView
from streamline.messages import Dropped, FrameId
from streamline.run.accounting.account import DROPPED_IDS, seqs_of
from streamline.run.accounting.journal import judged_in

__all__ = ["decided", "drop_line", "dropped_of", "logged_lately"]

_log = structlog.get_logger("streamline.run")

_TAIL: Final = 1 << 18
"""Bytes at the end of a log to look for lines in: far more than are written at once."""


class _Logged(msgspec.Struct):
    """As much of a line in a log as tells which frame it is of."""

    camera: str
    incarnation: int
    seq: int


_read_logged = msgspec.json.Decoder(_Logged).decode


def decided(views: Mapping[str, LedgerView], camera: str, incarnation: int) -> set[int]:
    """Numbers of an incarnation's frames that were judged or dropped lately, on this host.

    Parameters
    ----------
    views : mapping of worker name to its ledger
    camera : str
    incarnation : int
    """
    seqs = set(_dropped(views, camera, incarnation))
    for view in views.values():
        if view.has_table("journal", camera=camera):
            seqs |= judged_in(view, camera, incarnation)
    return seqs


def _dropped(views: Mapping[str, LedgerView], camera: str, incarnation: int) -> dict[int, Dropped]:
    """Which of an incarnation's frames were dropped lately on this host, by number, and why."""
    found: dict[int, Dropped] = {}
    for view in views.values():
        for labels, ids in view.tables(DROPPED_IDS).items():
            named = dict(labels)
            if named["camera"] == camera:
                count = view.value("streamline_frames_dropped_total", **named)
                why = Dropped(stage=named["stage"], reason=named["reason"])
                found |= dict.fromkeys(seqs_of(ids, count, incarnation), why)
    return found


def dropped_of(
    views: Mapping[str, LedgerView], held: Collection[FrameId]
) -> dict[FrameId, Dropped]:
    """Which of the frames that a dead source still held were dropped, logged or not, and why."""
    found: dict[FrameId, Dropped] = {}
    for camera, incarnation in {frame[:2] for frame in held}:
        for seq, drop in _dropped(views, camera, incarnation).items():
            frame = FrameId(camera, incarnation, seq)
            if frame in held:
                found[frame] = drop
    return found


def drop_line(frame: FrameId, drop: Dropped) -> bytes:
    """Return a dropped frame's line in the drop log, without its line break."""
    line = {**frame._asdict(), "stage": drop.stage, "reason": drop.reason}
    return json.dumps(line).encode()


def logged_lately(log: Path) -> set[FrameId]:
    """Frames that the last part of a verdict or drop log names; none if there is no log.

    Nor if no disk gives it back just now: then a line may be written twice, and nobody ends.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return set()
    except OSError as exc:
        _log.error("log can't be read, lines may come twice", file=str(log), why=exc.strerror)
        return set()
    found = set()
    for line in lines:
        with suppress(msgspec.MsgspecError):  # The first line is only a part of one.
            one = _read_logged(line)
            found.add(FrameId(one.camera, one.incarnation, one.seq))
    return found
