"""What every layout comes down to: images to fit to, images to test on, masks of the defects."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from streamline.errors import InputError, SourceError
from streamline.source import image_paths

__all__ = [
    "Category",
    "Sample",
    "anomalous_samples",
    "draw_split",
    "list_images",
    "normal_samples",
    "only_named",
    "require_both",
    "require_masks",
    "subfolders",
]

_TEST_SHARE: Final = 0.2
"""Of the normal images, where a data set comes without a split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One test image."""

    image: Path
    anomalous: bool
    mask: Path | None
    """Where its defect is, bright; None for a normal image, and where nobody marked defects."""


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

    mask_above: int = 127
    """A mask's grey level above this marks a defect."""

    drawn: bool = False
    """Whether chance split the normal images, so that another seed gives other figures."""


def draw_split(normal: Sequence[Path], *, seed: int) -> tuple[list[Path], list[Path]]:
    """Draw a fifth of the normal images for the test.

    Returns
    -------
    train, test : list of Path
        In the order drawn: the first fifth of ``default_rng(seed).permutation`` is tested.

    Raises
    ------
    InputError
        If there are too few images to keep a fifth.
    """
    kept = round(_TEST_SHARE * len(normal))
    if not 0 < kept < len(normal):
        msg = f"{normal[0].parent} has too few images ({len(normal)}) to keep a fifth for the test"
        raise InputError(msg)
    order = np.random.default_rng(seed).permutation(len(normal))
    return [normal[i] for i in order[kept:]], [normal[i] for i in order[:kept]]


def normal_samples(images: Iterable[Path]) -> list[Sample]:
    """Take images as normal ones of the test."""
    return [Sample(image=image, anomalous=False, mask=None) for image in images]


def anomalous_samples(images: Sequence[Path], masks: Sequence[Path] | None) -> list[Sample]:
    """Take images as anomalous ones of the test, with their masks if there are any."""
    paired = [None] * len(images) if masks is None else masks
    return [
        Sample(image=image, anomalous=True, mask=mask)
        for image, mask in zip(images, paired, strict=True)
    ]


def subfolders(folder: Path) -> list[Path]:
    """List the folders in a folder, sorted by name.

    Raises
    ------
    InputError
        If it can't be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as exc:
        msg = f"{folder} can't be read as a folder: {exc.strerror}; give the data set's own folder"
        raise InputError(msg) from exc


def list_images(folder: Path) -> list[Path]:
    """List the images of a class, sorted by name; at least one.

    Raises
    ------
    InputError
        If there is none.
    """
    try:
        return image_paths(folder)
    except SourceError as exc:
        raise InputError(str(exc)) from exc


def require_masks(masks: Sequence[Path]) -> None:
    """Check that the mask of every anomalous image is there.

    Raises
    ------
    InputError
        Naming the first that is missing.
    """
    missing = [mask for mask in masks if not mask.is_file()]
    if missing:
        others = f", as are {len(missing) - 1} more masks" if len(missing) > 1 else ""
        msg = (
            f"{missing[0]} is missing{others}; "
            "complete the data set, or remove all masks to do without"
        )
        raise InputError(msg)


def require_both(place: Path, samples: Sequence[Sample]) -> None:
    """Check that there are normal and anomalous images to tell apart.

    Raises
    ------
    InputError
        Naming the kind that is missing.
    """
    for kind, wanted in (("normal", False), ("anomalous", True)):
        if all(sample.anomalous is not wanted for sample in samples):
            msg = f"{place} has no {kind} image, so nothing can be told apart"
            raise InputError(msg)


def only_named(root: Path, names: Sequence[str], only: str | None) -> Sequence[str]:
    """Narrow the categories found to the one wanted.

    Raises
    ------
    InputError
        If it is not among them.
    """
    if only is None:
        return names
    if only not in names:
        msg = f"{root} has no category {only!r}; there are: {', '.join(names)}"
        raise InputError(msg)
    return [only]
