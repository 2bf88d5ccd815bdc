"""The images of a data set as the model wants them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamline.errors import InputError, SourceError
from streamline.preprocess import prepare
from streamline.source import read_image

__all__ = ["PreparedImages"]

Frame = npt.NDArray[np.uint8]


class PreparedImages:
    """Images read one by one, as often as they are iterated, and prepared as the line does it.

    Iterating raises `InputError` where one can't be read.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    size : tuple of (rows, columns)
        Of the model's input, px.
    """

    def __init__(self, paths: Sequence[Path], *, size: tuple[int, int]) -> None:
        self._paths = paths
        self._size = size

    def __length_hint__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[Frame]:
        for path in self._paths:
            try:
                yield prepare(read_image(path), size=self._size)
            except SourceError as exc:
                raise InputError(str(exc)) from exc
