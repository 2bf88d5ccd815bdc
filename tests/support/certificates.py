"""Certificates as an operator makes them."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["make_certificate", "needs_openssl"]

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")


def make_certificate(folder: Path, *, address: str = "127.0.0.1") -> tuple[Path, Path]:
    """Make a certificate for an address that only its owner vouches for; return it and its key."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    make = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-subj /CN={address} -addext subjectAltName=IP:{address} -keyout {key} -out {certificate}"
    )
    subprocess.run(shlex.split(make), check=True, capture_output=True, timeout=60)
    return certificate, key
