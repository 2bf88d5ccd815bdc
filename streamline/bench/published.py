"""The speeds that FRE's paper printed, with what they were got with."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import msgspec

__all__ = ["PublishedSpeeds", "PublishedSystem", "published_speeds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSystem:
    """What one computer of the paper did."""

    name: str
    training_s: Mapping[str, float]
    """By method, s."""

    fps: Mapping[str, float]
    """Inference by method; FRE-AEt and FRE-PCA compute the same, and are FRE."""

    @property
    def gain(self) -> float:
        """How many times PatchCore's frame rate is FRE's."""
        return self.fps["FRE"] / self.fps["PatchCore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSpeeds:
    """A table of the paper."""

    source: str
    setting: str
    systems: tuple[PublishedSystem, ...]


@cache
def published_speeds() -> PublishedSpeeds:
    """Return the paper's table 9."""
    data = resources.files("streamline.bench").joinpath("table9.json").read_bytes()
    return msgspec.json.decode(data, type=PublishedSpeeds)
