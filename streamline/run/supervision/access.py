"""Who may ask the HTTP endpoint, and what keeps others from reading along."""

import hmac
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final, Self

import structlog

from streamline.config import Metrics
from streamline.config.secrets import read_secret
from streamline.errors import InputError
from streamline.ledger import Cell

__all__ = ["Access"]

_log = structlog.get_logger("streamline.run")

# RFC 6750, 2.1; shorter ones can be guessed.
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]{16,}=*")


@dataclass(frozen=True, slots=True)
class Access:
    """What a request needs: nothing, unless the pipeline file says otherwise.

    Parameters
    ----------
    token : str, optional
        Has to come with each request.
    tls : ssl.SSLContext, optional
        Encrypts what is said.
    refused : Cell, optional
        Counts the requests without the token.
    """

    token: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    refused: Cell = field(default_factory=Cell, repr=False)
    _one_at_a_time: Lock = field(default_factory=Lock, repr=False)

    @classmethod
    def of(cls, metrics: Metrics, refused: Cell | None = None) -> Self:
        """Read what the pipeline file names.

        Raises
        ------
        InputError
            If a file can't be read, or does not hold what it should.
        """
        token = None if metrics.token_file is None else _token(metrics.token_file)
        tls = None
        if metrics.certificate_file is not None and metrics.key_file is not None:
            tls = _tls(metrics.certificate_file, metrics.key_file)
        return cls(token, tls, Cell() if refused is None else refused)

    def admits(self, authorization: str) -> bool:
        """Say whether a request may pass, by its header ``Authorization``; count it if not."""
        if self.token is None or _brings(authorization, self.token):
            return True
        with self._one_at_a_time:  # Each client has a thread.
            self.refused.add()
        _log.warning("request without the token refused")
        return False


def _brings(authorization: str, token: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    # Takes as long for a token that is nearly right as for one that is all wrong.
    right = hmac.compare_digest(given.strip().encode(), token.encode())
    return scheme.lower() == "bearer" and right


def _token(path: Path) -> str:
    token = read_secret(path)
    if not _TOKEN.fullmatch(token):
        msg = (
            f"metrics.token_file: {path} holds no token, which has 16 letters and digits or more; "
            "make one: openssl rand -hex 32"
        )
        raise InputError(msg)
    return token


def _tls(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a passphrase of ours, OpenSSL would ask for it at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except OSError as exc:
        why = exc.strerror or "no PEM of that kind"
        if isinstance(exc, ssl.SSLError):
            why = (exc.reason or "no PEM of that kind").replace("_", " ").lower()
        msg = f"metrics: {certificate} and {key} are no certificate and its private key: {why}"
        raise InputError(msg) from None
    return context
