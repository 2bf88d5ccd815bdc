"""How frames are held out in turn, so that all serve both the fit and the threshold."""

from dataclasses import dataclass

from streamline.fre import contiguous_blocks

__all__ = ["HoldOut", "hold_out"]

_BLOCKS = 10
"""Each held out in turn: nine tenths of the frames make nearly the final model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOut:
    """Which frames are judged together by a fit to the others."""

    blocks: list[slice]
    """Contiguous runs; together they are all frames."""

    gap: int
    """Frames left out of the fit on either side of the run that is judged."""


def hold_out(n: int, /) -> HoldOut:
    """Choose blocks and gap for `n` frames, at least 4."""
    return HoldOut(blocks=contiguous_blocks(n, count=min(_BLOCKS, n // 2)), gap=max(1, n // 50))
