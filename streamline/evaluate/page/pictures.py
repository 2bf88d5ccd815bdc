"""Test images with their maps: those found best, those found worst, the oddest normal ones."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from streamline.colour import to_rgb
from streamline.evaluate.layouts import Sample
from streamline.evaluate.maps import read_masks, smoothed_maps
from streamline.evaluate.metrics import auroc
from streamline.evaluate.run import Evaluated
from streamline.evidence import heat_over
from streamline.source import read_image

__all__ = ["Shown", "Strip", "choose_pictures"]

_COUNT: Final = 4
"""Pictures of a kind."""

_SIDE_PX: Final = 260
"""Longest side of a picture in the page."""

_OUTLINE: Final = (0, 255, 80)

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An image beside its map."""

    caption: str
    picture: str
    """Data URI; the defect outlined where it is marked."""

    heat: str
    """Data URI; the map over the image, from its own median to its own maximum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Images of a kind."""

    title: str
    shown: Sequence[Shown]


def choose_pictures(one: Evaluated, /) -> list[Strip]:
    """Pick and draw the images that tell most about a category.

    Maps are ordered by the AUROC of their own pixels; where defects are not marked, by score.

    Raises
    ------
    SourceError
        If an image has vanished since.
    """
    samples = one.category.test
    defects = [i for i, sample in enumerate(samples) if sample.anomalous]
    normal = [i for i, sample in enumerate(samples) if not sample.anomalous]
    worth = _map_worth(one, defects)
    by = "maps" if one.category.masked else "scores"
    ranked = sorted(worth, key=lambda i: worth[i], reverse=True)
    oddest = sorted(normal, key=lambda i: one.scores[i], reverse=True)
    return [
        _strip(one, f"Defects with the best {by}", ranked[:_COUNT], worth),
        _strip(one, f"Defects with the worst {by}", ranked[: -_COUNT - 1 : -1], worth),
        _strip(one, "Normal images with the highest scores", oddest[:_COUNT], {}),
    ]


def _map_worth(one: Evaluated, defects: Sequence[int]) -> dict[int, float]:
    """How well each defective image's map shows the defect, or how high it scores."""
    if not one.category.masked:
        return {i: float(one.scores[i]) for i in defects}
    worth = {}
    for i in defects:
        mask = read_masks(one.category, _size(one), [one.category.test[i]])
        if mask.any() and not mask.all():
            worth[i] = auroc(smoothed_maps(one.maps[i : i + 1], _size(one)), mask)
    return worth


def _size(one: Evaluated) -> tuple[int, int]:
    return one.model.height, one.model.width


def _strip(one: Evaluated, title: str, chosen: Sequence[int], worth: dict[int, float]) -> Strip:
    return Strip(title=title, shown=[_shown(one, i, worth.get(i)) for i in chosen])


def _shown(one: Evaluated, index: int, worth: float | None) -> Shown:
    sample = one.category.test[index]
    rgb = _fitted(to_rgb(read_image(sample.image)))
    (heat,) = smoothed_maps(one.maps[index : index + 1], _size(one))
    told = [f"{sample.image.parent.name}/{sample.image.name}", f"score {one.scores[index]:.4g}"]
    if one.category.masked and worth is not None:
        told.append(f"AUROC of its pixels {worth:.3f}")
    return Shown(
        caption=", ".join(told),
        picture=_data_uri(_outlined(rgb, one, sample)),
        heat=_data_uri(heat_over(rgb, heat)),
    )


def _fitted(rgb: Bytes) -> Bytes:
    height, width = rgb.shape[:2]
    scale = _SIDE_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _outlined(rgb: Bytes, one: Evaluated, sample: Sample) -> Bytes:
    if sample.mask is None:
        return rgb
    height, width = rgb.shape[:2]
    (mask,) = read_masks(one.category, (height, width), [sample])
    edges, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(rgb.copy(), edges, -1, _OUTLINE, 1), np.uint8)


def _data_uri(rgb: Bytes) -> str:
    _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
