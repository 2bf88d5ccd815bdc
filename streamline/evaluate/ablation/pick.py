"""Which layers are tried, singly and together."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Pick", "neighbours"]


@dataclass(frozen=True, slots=True)
class Pick:
    """Layers that make a score, and those that make a map."""

    score: tuple[str, ...]
    maps: tuple[str, ...]

    @property
    def name(self) -> str:
        """What tables call it."""
        score, maps = "+".join(self.score), "+".join(self.maps)
        return score if score == maps else f"{score}, map {maps}"


def neighbours(layers: Sequence[str], /) -> list[tuple[str, ...]]:
    """List each layer by itself, then every two and three that follow one another.

    Examples
    --------
    >>> neighbours(["a", "b", "c"])
    [('a',), ('b',), ('c',), ('a', 'b'), ('b', 'c'), ('a', 'b', 'c')]
    """
    threes = zip(layers, layers[1:], layers[2:], strict=False)
    return [*((layer,) for layer in layers), *pairwise(layers), *threes]
