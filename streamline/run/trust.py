"""Whom a line trusts when it connects to others."""

import ssl
from pathlib import Path

from streamline.errors import InputError

__all__ = ["trusted"]


def trusted(ca_file: Path | None) -> ssl.SSLContext:
    """Trust who is named in a sink's file, or the system's authorities.

    Parameters
    ----------
    ca_file : Path, optional
        Certificates, PEM; None: the system's.

    Raises
    ------
    InputError
        If it holds no certificates.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as exc:
        msg = f"alert.sinks: {ca_file} holds no certificates (PEM); give another ca_file"
        raise InputError(msg) from exc
