"""The name of what `prepare` does, for those who only compare it."""

from typing import Final

__all__ = ["PREPROCESSING"]

PREPROCESSING: Final = "squash-halving-linear/1"
"""Names what `prepare` does in a model's manifest; changes with the pixels it gives."""
