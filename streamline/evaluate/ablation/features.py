"""A category's features, extracted once for every variant to share."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from streamline.backbone import Backbone
from streamline.evaluate.frames import PreparedImages
from streamline.evaluate.layouts import Category
from streamline.infer import Compute, extract_features
from streamline.progress import Progress

__all__ = ["LayerFeatures", "extracted"]

Frame = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerFeatures:
    """One layer's features of the images fitted to and of those tested."""

    shape: tuple[int, int, int]
    """Channels, rows, columns."""

    train: Matrix
    """Shape ``(n, c * h * w)``."""

    test: Matrix


@contextmanager
def extracted(
    category: Category, net: Backbone, layers: Sequence[str], compute: Compute, progress: Progress
) -> Iterator[Mapping[str, LayerFeatures]]:
    """Extract all layers in one pass; keep them on disk, 4 bytes a feature, as long as needed.

    Raises
    ------
    InputError
        If an image can't be read.
    """
    with TemporaryDirectory(prefix="streamline-features-") as folder:
        places = {
            use: _extract(net, layers, images, Path(folder, use), compute)
            for use, images in _images(category, (net.height, net.width), progress).items()
        }
        yield {
            layer: LayerFeatures(
                shape=_shape(net, layer),
                train=places["train"][layer],
                test=places["test"][layer],
            )
            for layer in layers
        }


def _images(category: Category, size: tuple[int, int], progress: Progress) -> dict[str, "_Watched"]:
    paths = {"train": category.train, "test": [sample.image for sample in category.test]}
    return {
        use: _Watched(PreparedImages(some, size=size), len(some), f"{use} images", progress)
        for use, some in paths.items()
    }


class _Watched:
    """Prepared images that tell how many of them are done."""

    def __init__(self, frames: PreparedImages, count: int, what: str, progress: Progress) -> None:
        self._frames = frames
        self._what, self._progress = what, progress
        self.count = count

    def __iter__(self) -> Iterator[Frame]:
        for done, frame in enumerate(self._frames, start=1):
            self._progress(self._what, done, self.count)
            yield frame


def _extract(
    net: Backbone, layers: Sequence[str], images: "_Watched", folder: Path, compute: Compute
) -> Mapping[str, Matrix]:
    folder.mkdir()
    into = {
        layer: np.lib.format.open_memmap(
            folder / f"{number}.npy",
            "w+",
            np.float32,
            (images.count, math.prod(_shape(net, layer))),
        )
        for number, layer in enumerate(layers)
    }
    done = 0
    for batch in extract_features(net, layers, images, compute=compute):
        count = len(batch[layers[0]])
        for layer, matrix in into.items():
            matrix[done : done + count] = batch[layer]
        done += count
    return into


def _shape(net: Backbone, layer: str) -> tuple[int, int, int]:
    found = net.layer(layer)
    return found.channels, found.height, found.width
