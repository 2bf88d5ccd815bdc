"""Fit to a category's normal images, score its test images, and say how well that went."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from streamline.errors import InputError, SourceError
from streamline.evaluate.figures import Figures
from streamline.evaluate.layouts import Category, Sample
from streamline.evaluate.maps import read_masks, smoothed_maps
from streamline.evaluate.metrics import PRO_LIMIT, Curve, Ranking
from streamline.infer import map_frames, score_frames
from streamline.learn import FitSettings, Progress, fit_frames
from streamline.model import Model, save_model
from streamline.preprocess import prepare
from streamline.source import read_image

__all__ = ["Curves", "Evaluated", "evaluate_category", "layers_of"]

Frame = npt.NDArray[np.uint8]

_TIMED_FRAMES: Final = 256
"""At least so many are scored for the throughput: test sets are often too small to time."""


class Curves(NamedTuple):
    """What the figures are areas under; thinned, enough to draw them."""

    image: Curve
    pixel: Curve | None
    """None where defects are not marked, as is `pro`."""

    pro: Curve | None


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
    category: Category, settings: FitSettings, /, *, progress: Progress
) -> Evaluated:
    """Fit, score and compare with the truth.

    Memory: 0.2 MB a test image; 4 MB where defects are marked, since every pixel is sorted.

    Raises
    ------
    InputError
        If an image or a mask can't be read, a mask does not fit its image, or the fit fails.
    """
    paths = category.train
    frames = _Prepared([Sample(image=path, anomalous=False, mask=None) for path in paths])
    fitted = fit_frames(frames, settings, source=str(paths[0].parent), progress=progress)
    model = fitted.model
    test = _with_progress(_Prepared(category.test), progress)
    scores, fps = _score(model, test, settings)
    maps = np.concatenate(list(map_frames(model, test, compute=settings.compute)))
    anomalous = np.array([sample.anomalous for sample in category.test])
    image = Ranking(scores, anomalous).roc()
    pixel, pro = _pixel_curves(category, maps, (model.height, model.width))
    return Evaluated(
        category=category,
        figures=Figures(
            image_auroc=image.area(),
            pixel_auroc=None if pixel is None else pixel.area(),
            pro=None if pro is None else pro.area(limit=PRO_LIMIT),
            fit_s=fitted.report.seconds,
            fps=fps,
            model_bytes=_stored_bytes(model),
            n=len(paths),
            k=sum(layers_of(model)["score_layers"].values()),
        ),
        model=model,
        scores=scores,
        maps=maps,
        curves=Curves(image.thinned(), pixel and pixel.thinned(), pro and pro.thinned()),
        warnings=() if category.masked else (_unmarked(category),),
    )


class _Prepared:
    """The images of samples as the model wants them, read one by one."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def __length_hint__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[Frame]:
        for sample in self._samples:
            try:
                yield prepare(read_image(sample.image))
            except SourceError as exc:
                raise InputError(str(exc)) from exc


def _with_progress(frames: _Prepared, progress: Progress) -> list[Frame]:
    read = []
    for frame in frames:
        read.append(frame)
        progress("test images", len(read), frames.__length_hint__())
    return read


def _score(
    model: Model, frames: Sequence[Frame], settings: FitSettings
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


def _pixel_curves(
    category: Category, maps: npt.NDArray[np.float16], size: tuple[int, int]
) -> tuple[Curve | None, Curve | None]:
    if not category.masked:
        return None, None
    masks = read_masks(category, size)
    ranking = Ranking(smoothed_maps(maps, size), masks)
    return ranking.roc(), ranking.pro(masks)


def _stored_bytes(model: Model) -> int:
    with TemporaryDirectory(prefix="streamline-eval-") as folder:
        place = Path(folder, "model")
        save_model(model, place)
        return sum(path.stat().st_size for path in place.iterdir())


def _unmarked(category: Category) -> str:
    return (
        f"{category.name}: no ground truth, so pixel AUROC and PRO can't be measured and are null"
    )


def layers_of(model: Model) -> Mapping[str, Mapping[str, int]]:
    """Tell which layers a model scores and maps with, and how many directions each has."""
    uses = {"score_layers": model.detector.score_layers, "map_layers": model.detector.map_layers}
    return {
        use: {name: layer.subspace.rank for name, layer in layers.items()}
        for use, layers in uses.items()
    }
