"""A disk that takes no more, for one process."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["files_no_longer_than"]


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """Let writes of this process beyond that many bytes fail, as on a full disk.

    Python ignores the signal that comes with it.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
