"""One's own pictures, sorted into folders by what they show."""

import glob
from pathlib import Path
from typing import Final

from streamline.errors import InputError
from streamline.evaluate.layouts.category import (
    Category,
    Sample,
    anomalous_samples,
    draw_split,
    list_images,
    normal_samples,
    only_named,
    require_both,
    require_masks,
    subfolders,
)

__all__ = ["folder_category"]

_NORMAL: Final = ("good", "normal", "ok")
_TRUTH: Final = "ground_truth"
_TRAIN: Final = "train"


def folder_category(root: Path, *, seed: int, only: str | None = None) -> Category:
    """Find a product's images.

    ``ROOT/good`` and a folder for each kind of defect, called as you like; ``normal`` and ``ok``
    serve for ``good``. A fifth of the good images, drawn with `seed`, is kept for the test,
    unless they are split already: ``ROOT/train`` beside ``ROOT/good``, or in ``ROOT/train`` and
    ``ROOT/test/good``, with the defects in ``ROOT/test``. Masks, if there are any, lie in
    ``ROOT/ground_truth/DEFECT`` and have their image's name, or that and ``_mask``.

    Raises
    ------
    InputError
        If there are no good or no defective images, or some of these have masks and others not.
    """
    root = root.resolve()
    only_named(root, [root.name], only)
    place = root / "test" if (root / "test").is_dir() else root
    good, train = _good(place), _good(root / _TRAIN) or root / _TRAIN
    tested = [] if good is None else list_images(good)
    learnt = list_images(train) if train.is_dir() else []
    if not (tested or learnt):
        msg = f"{place} has no folder of normal images (good, normal or ok); name it so"
        raise InputError(msg)
    drawn = not (tested and learnt)
    if drawn:
        learnt, tested = draw_split(learnt or tested, seed=seed)
    defects, masked = _defects(root / _TRUTH, place)
    samples = [*normal_samples(tested), *defects]
    require_both(place, samples)
    return Category(
        name=root.name, train=tuple(learnt), test=tuple(samples), masked=masked, drawn=drawn
    )


def _good(place: Path) -> Path | None:
    return next((place / name for name in _NORMAL if (place / name).is_dir()), None)


def _defects(truth: Path, place: Path) -> tuple[list[Sample], bool]:
    """Find the defective images, and tell whether they have masks."""
    masked = truth.is_dir()
    samples: list[Sample] = []
    for kind in subfolders(place):
        if kind.name not in {*_NORMAL, _TRAIN, _TRUTH}:
            images = list_images(kind)
            masks = [_mask(truth / kind.name, image) for image in images] if masked else None
            require_masks(masks or [])
            samples += anomalous_samples(images, masks)
    return samples, masked


def _mask(folder: Path, image: Path) -> Path:
    """Find an image's mask, whatever kind of picture it is."""
    stems = (image.stem, f"{image.stem}_mask")
    found = (path for stem in stems for path in sorted(folder.glob(f"{glob.escape(stem)}.*")))
    return next(found, folder / f"{image.stem}.png")
