"""The other ends of a stage's links to other hosts: what is published of them, and logged."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import structlog

from streamline.clock import monotonic_ns
from streamline.ledger import Ledger
from streamline.run.stages.stage import Site
from streamline.transport.link import PeerState

__all__ = ["Peers"]

_log = structlog.get_logger("streamline.run")

_EVERY_NS: Final = 200_000_000


class Peers:
    """The peers of one stage on one link; none unless the link goes over ``tcp``.

    Within a host the supervisor knows who is there, and there is one clock.

    Parameters
    ----------
    site : Site
    link : str
        Key of the link in the pipeline file.
    stage : str
        Name of the end that is here.
    peers : iterable of str
        Names of the ends over there.
    """

    def __init__(self, site: Site, link: str, *, stage: str, peers: Iterable[str]) -> None:
        between_hosts = getattr(site.pipeline.links, link).startswith("tcp://")
        names = peers if between_hosts else ()
        self._peers = {name: _Peer(site.ledger, stage, name) for name in names}
        self._noted_ns = 0

    def note(self, states: Callable[[], Mapping[str, PeerState]]) -> None:
        """Publish what is known of the peers; looks at it only now and then."""
        now_ns = monotonic_ns()
        if not self._peers or now_ns - self._noted_ns < _EVERY_NS:
            return
        self._noted_ns = now_ns
        known = states()
        for name, peer in self._peers.items():
            peer.show(known.get(name))


class _Peer:
    """One of them."""

    def __init__(self, ledger: Ledger, stage: str, name: str) -> None:
        self._labels = {"stage": stage, "peer": name}
        self._up = ledger.gauge("streamline_link_up", **self._labels)
        self._offset = ledger.gauge("streamline_clock_offset_seconds", **self._labels)
        self._error = ledger.gauge("streamline_clock_error_seconds", **self._labels)
        self._error.set(math.nan)
        self._was_up = False

    def show(self, state: PeerState | None) -> None:
        """Publish its state; None if it has never come, or has said goodbye."""
        up = state is not None and state.up
        if up != self._was_up:
            self._was_up = up
            self._tell(state)
        self._up.set(float(up))
        if state is None or state.shift.error_ns is None:
            self._error.set(math.nan)
            return
        self._offset.set(state.shift.ns / 1e9)
        self._error.set(state.shift.error_ns / 1e9)

    def _tell(self, state: PeerState | None) -> None:
        if state is None:
            _log.info("peer has ended", **self._labels)
        elif state.up:
            _log.info("peer is there", **self._labels)
        else:
            _log.warning("peer has vanished, its link resumes by itself", **self._labels)
