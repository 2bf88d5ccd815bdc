"""The key of a host, and who may come in at the doors of its links."""

from collections.abc import Iterable, Mapping

import structlog

from streamline.config import Links
from streamline.errors import InputError
from streamline.ledger import Cell, Ledger
from streamline.run.placement import ALERTS
from streamline.transport.curve import REFUSALS, Door, Doorkeeper, KeyPair, Lock
from streamline.transport.sockets import Context

__all__ = ["Keyring", "Refusals"]

_log = structlog.get_logger("streamline.run")

Refusals = Mapping[tuple[str, str], Cell]
"""Counters by link and reason."""


class Keyring:
    """The locks and doors of a line's links; none where the pipeline file names no keys.

    Raises
    ------
    InputError
        If this host's key can't be read, or is not on the list.
    """

    def __init__(self, links: Links) -> None:
        self._links = links
        self._own: KeyPair | None = None
        self._doorkeeper: Doorkeeper | None = None
        if links.keys is not None:
            self._own = KeyPair.read(links.keys.own_file)
            if self._own.public not in {one.key for one in links.keys.hosts.values()}:
                msg = (
                    f"links.keys: no host has the key of this one, {self._own.public} "
                    f"(from {links.keys.own_file}); write it down for this host"
                )
                raise InputError(msg)

    def lock(self, link: str) -> Lock | None:
        """Return what the connecting end of a link needs; None where it has no lock."""
        server = self._server(link)
        return None if self._own is None or server is None else Lock(self._own, server)

    def door(self, link: str) -> Door | None:
        """Return what the listening end of a link needs; None where it has no lock.

        Raises
        ------
        InputError
            If that address belongs to a host with another key.
        RuntimeError
            If nobody guards the doors yet: without `guard`, the link would be open to everybody.
        """
        server = self._server(link)
        if self._own is None or server is None:
            return None
        if server != self._own.public:
            msg = (
                f"links.{link} ends on this host, but links.keys has another key at that address "
                f"than this one's, {self._own.public}; write that one, or start this stage there"
            )
            raise InputError(msg)
        if self._doorkeeper is None:
            msg = f"nobody guards the door of link {link}"
            raise RuntimeError(msg)
        return Door(link, self._own, self._doorkeeper)

    def _server(self, link: str) -> str | None:
        """Return the public key of the host where a link ends; None where it has no lock."""
        if self._own is None or self._links.keys is None:
            return None
        if link == ALERTS:
            return self._own.public
        where = getattr(self._links, link) or ""
        return self._links.keys.key_at(where) if where.startswith("tcp://") else None

    def refusals(self, ledger: Ledger, links: Iterable[str]) -> Refusals:
        """Declare the counters of who is refused where links end; none for those without locks."""
        return {
            (link, reason): ledger.counter(
                "streamline_link_refused_total", link=link, reason=reason
            )
            for link in links
            if self._server(link) is not None
            for reason in REFUSALS
        }

    def guard(self, context: Context, refusals: Refusals) -> None:
        """Be ready to open doors, if any are to be opened."""
        keys = self._links.keys
        if keys is not None and refusals:
            allowed = [one.key for one in keys.hosts.values()]
            self._doorkeeper = Doorkeeper(context, allowed, _Refused(refusals))

    def close(self) -> None:
        """Leave the doors, once they are closed."""
        if self._doorkeeper is not None:
            self._doorkeeper.close()


class _Refused:
    """Counts who is refused, and logs it."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals

    def __call__(self, link: str, reason: str) -> None:
        """Take one down."""
        counter = self._refusals[link, reason]
        counter.add()
        _log.warning("connection refused", link=link, reason=reason, refused=int(counter.value))
