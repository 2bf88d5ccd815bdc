"""Which frames' fate is decided: read from the ledgers, whoever has died since."""

from collections.abc import Mapping

from streamline.ledger import LedgerView
from streamline.run.account import DROPPED_IDS, seqs_of
from streamline.run.journal import judged_in

__all__ = ["decided"]


def decided(views: Mapping[str, LedgerView], camera: str, incarnation: int) -> set[int]:
    """Numbers of an incarnation's frames that were judged or dropped lately, on this host.

    Parameters
    ----------
    views : mapping of worker name to its ledger
    camera : str
    incarnation : int
    """
    seqs: set[int] = set()
    for view in views.values():
        for labels, ids in view.tables(DROPPED_IDS).items():
            if ("camera", camera) in labels:
                count = view.value("streamline_frames_dropped_total", **dict(labels))
                seqs |= seqs_of(ids, count, incarnation)
        if view.has_table("journal", camera=camera):
            seqs |= judged_in(view, camera, incarnation)
    return seqs
