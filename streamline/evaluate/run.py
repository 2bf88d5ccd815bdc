"""Fit to a category's normal images, score its test images, and say how well that went."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

import numpy as np
import numpy.typing as npt

from streamline.evaluate.curves import Curves, curves_of
from streamline.evaluate.describe import describe
from streamline.evaluate.figures import Figures
from streamline.evaluate.frames import PreparedImages
from streamline.evaluate.layouts import Category
from streamline.evaluate.maps import read_masks
from streamline.infer import map_frames, score_frames
from streamline.learn import AnyFitSettings, fit_frames
from streamline.model import Model, save_model
from streamline.progress import Progress

__all__ = ["Evaluated", "evaluate_category"]

Frame = npt.NDArray[np.uint8]

_TIMED_FRAMES: Final = 256
"""At least so many are scored for the throughput: test sets are often too small to time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluated:
    """A category's figures, and what they were got with."""

    category: Category
    figures: Figures
    model: Model
    scores: npt.NDArray[np.float32]
    """Shape ``(n,)``: of the test images, in the order of `Category.test`."""

    maps: npt.NDArray[np.float16]
    """Shape ``(n, mh, mw)``: theirs too, as the model gives them."""

    curves: Curves
    warnings: tuple[str, ...]
    """Sentences on what the figures lack."""


def evaluate_category(
    category: Category, settings: AnyFitSettings, /, *, progress: Progress
) -> Evaluated:
    """Fit, score and compare with the truth.

    Memory: 0.2 MB a test image; 4 MB where defects are marked, since every pixel is sorted.

    Raises
    ------
    InputError
        If an image or a mask can't be read, a mask does not fit its image, or the fit fails.
    """
    size = (settings.size, settings.size)
    frames = PreparedImages(category.train, size=size)
    source = str(category.train[0].parent)
    fitted = fit_frames(frames, settings, source=source, progress=progress)
    model = fitted.model
    tested = PreparedImages([one.image for one in category.test], size=size)
    test = _with_progress(tested, progress)
    scores, fps = _score(model, test, settings)
    maps = np.concatenate(list(map_frames(model, test, compute=settings.compute)))
    masks = read_masks(category, size) if category.masked else None
    curves = curves_of(category, scores, maps, masks)
    return Evaluated(
        category=category,
        figures=Figures(
            image_auroc=curves.image_auroc,
            pixel_auroc=curves.pixel_auroc,
            pro=curves.pro,
            fit_s=fitted.report.seconds,
            fps=fps,
            model_bytes=_stored_bytes(model),
            n=len(category.train),
            k=describe(model).k,
        ),
        model=model,
        scores=scores,
        maps=maps,
        curves=curves.thinned(),
        warnings=() if category.masked else (_unmarked(category),),
    )


def _with_progress(frames: PreparedImages, progress: Progress) -> list[Frame]:
    read = []
    for frame in frames:
        read.append(frame)
        progress("test images", len(read), frames.__length_hint__())
    return read


def _score(
    model: Model, frames: Sequence[Frame], settings: AnyFitSettings
) -> tuple[npt.NDArray[np.float32], float]:
    """Score the frames, and tell how many were done a second once the device was warm."""
    warm = settings.compute.max_batch
    count = max(len(frames), _TIMED_FRAMES)
    endless = chain(islice(cycle(frames), warm), islice(cycle(frames), count))
    batches = score_frames(model, endless, compute=settings.compute)
    next(batches)
    started = perf_counter()
    scores = np.concatenate(list(batches))
    return scores[: len(frames)], count / (perf_counter() - started)


def _stored_bytes(model: Model) -> int:
    with TemporaryDirectory(prefix="streamline-eval-") as folder:
        place = Path(folder, "model")
        save_model(model, place)
        return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def _unmarked(category: Category) -> str:
    return (
        f"{category.name}: no ground truth, so pixel AUROC and PRO can't be measured and are null"
    )
