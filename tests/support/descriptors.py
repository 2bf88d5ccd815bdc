"""A process that can't open anything more."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["no_descriptors"]

_STANDARD: Final = 3
"""Descriptors that every process has open; so many may still be waited for at once."""


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let this process open nothing; what it has open stays."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_STANDARD, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
