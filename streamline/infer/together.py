"""Models that are opened together: grouped by what they share, each once."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

from streamline.model import Model

__all__ = ["Heads", "distinct", "grouped"]

Key = TypeVar("Key", bound=Hashable)


def grouped(
    models: Mapping[str, Model], key: Callable[[Model], Key]
) -> dict[Key, dict[str, Model]]:
    """Group models by camera by what they share."""
    groups: dict[Key, dict[str, Model]] = {}
    for camera, model in models.items():
        groups.setdefault(key(model), {})[camera] = model
    return groups


def distinct(models: Mapping[str, Model]) -> list[Model]:
    """Return each model once, in the order of the cameras: that of the heads."""
    return list({model.digest: model for model in models.values()}.values())


class Heads:
    """Which head judges which camera: cameras of one model share its head.

    Parameters
    ----------
    models : mapping of camera name to Model
        Of one network; not kept.
    """

    def __init__(self, models: Mapping[str, Model]) -> None:
        self.digests = [model.digest for model in distinct(models)]
        self._by_camera = {name: self.digests.index(model.digest) for name, model in models.items()}

    def of(self, camera: str) -> int:
        """Return the head that judges a camera's frames."""
        return self._by_camera[camera]

    def counts(self, cameras: Iterable[str]) -> list[int]:
        """Count the frames of each head, given the camera of each frame."""
        counts = [0] * len(self.digests)
        for camera in cameras:
            counts[self.of(camera)] += 1
        return counts
