"""Data sets whose folders say what is normal: MVTec AD, BTAD, and whatever is laid out so."""

from dataclasses import dataclass
from pathlib import Path

from streamline.errors import InputError
from streamline.evaluate.layouts.category import (
    Category,
    Sample,
    anomalous_samples,
    list_images,
    normal_samples,
    only_named,
    require_both,
    require_masks,
    subfolders,
)

__all__ = ["BTAD", "MVTEC", "VISA_PREPARED", "FolderNames", "folder_categories"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderNames:
    """How a data set calls things.

    ``CATEGORY/train/NORMAL``, ``CATEGORY/test/NORMAL``, ``CATEGORY/test/DEFECT``, with masks in
    ``CATEGORY/ground_truth/DEFECT``.
    """

    dataset: str
    normal: str
    """Folder of normal images."""

    mask_ending: str
    """What a mask's name has after its image's name."""

    mask_above: int = 127
    """See `Category`."""


MVTEC = FolderNames(dataset="MVTec AD", normal="good", mask_ending="_mask")
"""P. Bergmann et al., "MVTec AD", CVPR 2019."""

BTAD = FolderNames(dataset="BTAD", normal="ok", mask_ending="")
"""P. Mishra et al., "VT-ADL", ISIE 2021; masks come as .png or .bmp, whatever the image is."""

VISA_PREPARED = FolderNames(dataset="VisA", normal="good", mask_ending="", mask_above=0)
"""What VisA's own script makes of it, `prepare_data.py` for one class."""


def folder_categories(root: Path, names: FolderNames, *, only: str | None = None) -> list[Category]:
    """Find the categories of a data set, sorted by name.

    Parameters
    ----------
    root : Path
        Folder of categories, or a category.
    names : FolderNames
        How its folders are called.
    only : str, optional
        Name of the one category wanted.

    Raises
    ------
    InputError
        If there is no category, or not the one wanted, or one is incomplete.
    """
    places = [root.resolve()] if _is_category(root, names) else subfolders(root)
    found = {path.name: path for path in places if _is_category(path, names)}
    if not found:
        msg = (
            f"{root} has no category laid out like {names.dataset} (no folder with "
            f"train/{names.normal} in it)"
        )
        raise InputError(msg)
    return [_category(found[name], names) for name in only_named(root, list(found), only)]


def _category(folder: Path, names: FolderNames) -> Category:
    truth = folder / "ground_truth"
    masked = truth.is_dir()
    samples: list[Sample] = []
    for kind in subfolders(folder / "test"):
        images = list_images(kind)
        if kind.name == names.normal:
            samples += normal_samples(images)
        else:
            masks = _masks(truth / kind.name, images, names) if masked else None
            samples += anomalous_samples(images, masks)
    require_both(folder / "test", samples)
    return Category(
        name=folder.name,
        train=tuple(list_images(folder / "train" / names.normal)),
        test=tuple(samples),
        masked=masked,
        mask_above=names.mask_above,
    )


def _is_category(folder: Path, names: FolderNames) -> bool:
    return (folder / "train" / names.normal).is_dir()


def _masks(folder: Path, images: list[Path], names: FolderNames) -> list[Path]:
    """Find each image's mask, whatever kind of picture it is."""
    there = {path.stem: path for path in sorted(folder.glob("*"), reverse=True)}
    wanted = [f"{image.stem}{names.mask_ending}" for image in images]
    masks = [there.get(stem, folder / f"{stem}.png") for stem in wanted]
    require_masks(masks)
    return masks
