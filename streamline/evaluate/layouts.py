"""How published data sets lie on disk: what to fit to, what to test on, where defects are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from streamline.errors import InputError, SourceError
from streamline.source import image_paths

__all__ = ["Category", "Sample", "mtd_category", "mvtec_categories"]

_MTD_NORMAL: Final = "MT_Free"
_MTD_TEST_SHARE: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One test image."""

    image: Path
    anomalous: bool
    mask: Path | None
    """Where its defect is, white; None for a normal image, and where nobody marked defects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One product of a data set."""

    name: str
    train: tuple[Path, ...]
    """Normal images, at least one."""

    test: tuple[Sample, ...]
    """Normal and anomalous ones, at least one of each."""

    masked: bool
    """Whether defects are marked: all of them, or none."""


def mtd_category(root: Path, *, seed: int) -> Category:
    """Find the magnetic tile defects (Huang et al. 2020).

    A fifth of the defect-free images, drawn with `seed` from the sorted list, is kept for the
    test; all defective images are tested. Masks are the ``.png`` beside each ``.jpg``.

    Raises
    ------
    InputError
        If a folder is missing or empty, or some defective images have masks and others not.
    """
    normal = _tiles(root / _MTD_NORMAL)
    order = np.random.default_rng(seed).permutation(len(normal))
    kept = round(_MTD_TEST_SHARE * len(normal))
    if not 0 < kept < len(normal):
        msg = f"{root / _MTD_NORMAL / 'Imgs'} has too few images ({len(normal)}) to keep a fifth"
        raise InputError(msg)
    classes = sorted(path for path in root.glob("MT_*") if path.name != _MTD_NORMAL)
    if not classes:
        msg = f"{root} has no folder of defective tiles (MT_Blowhole, MT_Break …) beside MT_Free"
        raise InputError(msg)
    defective = [image for folder in classes for image in _tiles(folder)]
    masks = [image.with_suffix(".png") for image in defective]
    masked = _all_or_none(masks)
    return Category(
        name="mtd",
        train=tuple(normal[i] for i in order[kept:]),
        test=(
            *(Sample(image=normal[i], anomalous=False, mask=None) for i in order[:kept]),
            *_anomalous(defective, masks if masked else [None] * len(masks)),
        ),
        masked=masked,
    )


def mvtec_categories(root: Path, *, only: str | None = None) -> list[Category]:
    """Find the categories of a data set laid out like MVTec AD, sorted by name.

    ``CATEGORY/train/good``, ``CATEGORY/test/good`` and ``CATEGORY/test/DEFECT``, with masks in
    ``CATEGORY/ground_truth/DEFECT/IMAGE_mask.png``. `root` may also be one category itself.

    Parameters
    ----------
    root : Path
        Folder of categories, or a category.
    only : str, optional
        Name of the one category wanted.

    Raises
    ------
    InputError
        If there is no category, or not the one wanted, or one is incomplete.
    """
    places = [root.resolve()] if _is_category(root) else _subfolders(root)
    names = [path.name for path in places if _is_category(path)]
    if not names:
        msg = f"{root} has no category laid out like MVTec AD (no folder with train/good in it)"
        raise InputError(msg)
    if only is not None and only not in names:
        msg = f"{root} has no category {only!r}; there are: {', '.join(names)}"
        raise InputError(msg)
    wanted = names if only is None else [only]
    return [_mvtec_category(path) for path in places if path.name in wanted]


def _mvtec_category(folder: Path) -> Category:
    truth = folder / "ground_truth"
    masked = truth.is_dir()
    samples: list[Sample] = []
    for kind in _subfolders(folder / "test"):
        images = _images(kind)
        if kind.name == "good":
            samples += [Sample(image=image, anomalous=False, mask=None) for image in images]
            continue
        masks = [truth / kind.name / f"{image.stem}_mask.png" for image in images]
        if masked:
            _require_masks(masks)
        samples += _anomalous(images, masks if masked else [None] * len(masks))
    _require_both(folder, samples)
    return Category(
        name=folder.name,
        train=tuple(_images(folder / "train" / "good")),
        test=tuple(samples),
        masked=masked,
    )


def _anomalous(images: Sequence[Path], masks: Sequence[Path | None]) -> list[Sample]:
    return [
        Sample(image=image, anomalous=True, mask=mask)
        for image, mask in zip(images, masks, strict=True)
    ]


def _is_category(folder: Path) -> bool:
    return (folder / "train" / "good").is_dir()


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as exc:
        msg = f"{folder} can't be read as a folder: {exc.strerror}; give the data set's own folder"
        raise InputError(msg) from exc


def _images(folder: Path) -> list[Path]:
    try:
        return image_paths(folder)
    except SourceError as exc:
        raise InputError(str(exc)) from exc


def _tiles(folder: Path) -> list[Path]:
    """List the photographs of one class of tiles; their masks lie between them."""
    images = [path for path in _images(folder / "Imgs") if path.suffix.lower() == ".jpg"]
    if not images:
        msg = f"{folder / 'Imgs'} has no .jpg image in it; give the data set's own folder"
        raise InputError(msg)
    return images


def _all_or_none(masks: Sequence[Path]) -> bool:
    if not any(mask.is_file() for mask in masks):
        return False
    _require_masks(masks)
    return True


def _require_masks(masks: Sequence[Path]) -> None:
    missing = [mask for mask in masks if not mask.is_file()]
    if missing:
        msg = (
            f"{missing[0]} is missing, one of {len(missing)} such masks; "
            "complete the data set, or remove all masks to do without"
        )
        raise InputError(msg)


def _require_both(folder: Path, samples: Sequence[Sample]) -> None:
    for kind, wanted in (("normal", False), ("anomalous", True)):
        if all(sample.anomalous is not wanted for sample in samples):
            msg = f"{folder / 'test'} has no {kind} image, so nothing can be told apart"
            raise InputError(msg)
