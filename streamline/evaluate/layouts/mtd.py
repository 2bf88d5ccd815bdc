"""The magnetic tile defects: Y. Huang et al., "Surface defect saliency of magnetic tile", 2020."""

from pathlib import Path
from typing import Final

from streamline.errors import InputError
from streamline.evaluate.layouts.category import (
    Category,
    anomalous_samples,
    draw_split,
    list_images,
    normal_samples,
    only_named,
    require_masks,
)

__all__ = ["mtd_category"]

_NORMAL: Final = "MT_Free"


def mtd_category(root: Path, *, seed: int, only: str | None = None) -> Category:
    """Find the tiles.

    A fifth of the defect-free images, drawn with `seed` from the sorted list, is kept for the
    test; all defective images are tested. Masks are the ``.png`` beside each ``.jpg``.

    Raises
    ------
    InputError
        If a folder is missing or empty, or some defective images have masks and others not.
    """
    only_named(root, ["mtd"], only)
    normal = _tiles(root / _NORMAL)
    train, test = draw_split(normal, seed=seed)
    classes = sorted(path for path in root.glob("MT_*") if path.name != _NORMAL)
    if not classes:
        msg = f"{root} has no folder of defective tiles (MT_Blowhole, MT_Break …) beside MT_Free"
        raise InputError(msg)
    defective = [image for folder in classes for image in _tiles(folder)]
    masks = [image.with_suffix(".png") for image in defective]
    masked = any(mask.is_file() for mask in masks)
    if masked:
        require_masks(masks)
    return Category(
        name="mtd",
        train=tuple(train),
        test=(*normal_samples(test), *anomalous_samples(defective, masks if masked else None)),
        masked=masked,
        drawn=True,
    )


def _tiles(folder: Path) -> list[Path]:
    """List the photographs of one class of tiles; their masks lie between them."""
    images = [path for path in list_images(folder / "Imgs") if path.suffix.lower() == ".jpg"]
    if not images:
        msg = f"{folder / 'Imgs'} has no .jpg image in it; give the data set's own folder"
        raise InputError(msg)
    return images
