"""Where a network's trained weights are, and what names their content."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

from streamline.backbone.catalogue import Network
from streamline.errors import InputError

__all__ = ["digest_of", "packaged_weights", "require_weights"]


def packaged_weights(network: Network, /) -> Path | None:
    """Find the weights that an installed package brings; None if none does."""
    if network.weights_package is None:
        return None
    found = find_spec(network.weights_package.replace("-", "_"))
    if found is None or found.origin is None:
        return None
    return next(iter(Path(found.origin).parent.glob("models/*.pth")), None)


def require_weights(path: Path, /) -> None:
    """Check that weights are where the user says.

    Raises
    ------
    InputError
        If nothing is there, or a folder without arrays.
    """
    if not path.exists():
        msg = f"{path}: no such weights; give a .safetensors or .pth file or a folder of .npy files"
        raise InputError(msg)
    if path.is_dir() and not any(path.glob("*.npy")):
        msg = f"{path}: no .npy file in this folder; give one file for each tensor, NAME.npy"
        raise InputError(msg)


def digest_of(path: Path, /) -> str:
    """SHA-256 over a file, or over the names and contents of a folder's arrays."""
    if path.is_dir():
        parts = [f"{file.name} {_sha256(file)}" for file in sorted(path.glob("*.npy"))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return _sha256(path)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        msg = f"{path}: the weights can't be read ({exc.strerror})"
        raise InputError(msg) from exc
