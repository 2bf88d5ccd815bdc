"""Compiled graphs kept between runs, and never believed if they changed since.

OpenVINO keeps compiled graphs by itself and rebuilds them when graph, device, settings or
version differ; but it does not notice a damaged weight in them, and would give wrong scores
without a word. So each graph gets a folder of its own, named by what it was built from, and
each file in it a hash that is checked before OpenVINO may read it.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from streamline.caches import cache_folder, drop_oldest
from streamline.clock import wall_ns

__all__ = ["kept_graphs", "trusted_folder"]

_MOST_BYTES = 1 << 30
"""What all compiled graphs together may take, B; the least recently used go first."""


def kept_graphs() -> Path:
    """Folder of all compiled graphs of this user."""
    return cache_folder("openvino")


@contextlib.contextmanager
def trusted_folder(*identity: str) -> Iterator[Path | None]:
    """Lend OpenVINO a folder for one graph, in which every file is as it was written.

    Parameters
    ----------
    *identity : str
        All that the graph was built from; an empty part means that this is not known.

    Yields
    ------
    Path or None
        None where nothing can or may be kept; compiling then takes its time.
    """
    if not all(identity):
        yield None
        return
    name = hashlib.sha256("\n".join(identity).encode()).hexdigest()[:32]
    folder = kept_graphs() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _drop_untrusted(folder)
    except OSError:
        # A cache is a convenience: a home that can't be written must not stop a line.
        yield None
        return
    yield folder
    with contextlib.suppress(OSError):
        _seal(folder)
        drop_oldest(folder, _MOST_BYTES)


def _drop_untrusted(folder: Path) -> None:
    for blob in folder.glob("*.blob"):
        seal = _seal_of(blob)
        if not seal.is_file() or seal.read_text() != _sha256(blob):
            blob.unlink(missing_ok=True)
            seal.unlink(missing_ok=True)


def _seal(folder: Path) -> None:
    """Note the hash of what is new, and that the folder was used now."""
    for blob in folder.glob("*.blob"):
        if not _seal_of(blob).exists():
            partial = blob.with_suffix(f".{os.getpid()}.partial")
            partial.write_text(_sha256(blob))
            partial.rename(_seal_of(blob))
    # By the finest clock there is: by the kernel's ticks two folders may seem of one age.
    now_ns = wall_ns()
    os.utime(folder, ns=(now_ns, now_ns))


def _seal_of(blob: Path) -> Path:
    return blob.with_suffix(".sha256")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
