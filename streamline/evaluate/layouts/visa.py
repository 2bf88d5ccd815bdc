"""VisA: Y. Zou et al., "SPot-the-Difference", ECCV 2022; split by the table that comes with it."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from streamline.errors import InputError
from streamline.evaluate.layouts.category import (
    Category,
    Sample,
    only_named,
    require_both,
    require_masks,
)
from streamline.evaluate.layouts.mvtec import VISA_PREPARED, folder_categories

__all__ = ["visa_categories"]

_SPLIT: Final = Path("split_csv", "1cls.csv")
_HEAD: Final = ["object", "split", "label", "image", "mask"]
_LABELS: Final = ("normal", "anomaly")
_SPLITS: Final = ("train", "test")


class _Row(NamedTuple):
    """A line of the table; image and mask are paths from the data set's folder."""

    category: str
    split: str
    label: str
    image: str
    mask: str


def visa_categories(root: Path, *, only: str | None = None) -> list[Category]:
    """Find the categories, sorted by name, as downloaded or as VisA's own script arranges them.

    As downloaded, ``split_csv/1cls.csv`` says what is fitted to and tested. A mask's grey levels
    number the kinds of defect, so all above 0 marks one.

    Raises
    ------
    InputError
        If the table is no such table, there is no category, not the one wanted, or files are
        missing.
    """
    if not (root / _SPLIT).is_file():
        return folder_categories(root, VISA_PREPARED, only=only)
    rows = _read(root / _SPLIT)
    names = sorted({row.category for row in rows})
    return [
        _category(root, name, [row for row in rows if row.category == name])
        for name in only_named(root, names, only)
    ]


def _read(table: Path) -> list[_Row]:
    try:
        with table.open(newline="") as file:
            return list(_rows(table, csv.reader(file)))
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        msg = f"{table} can't be read as a table: {exc}"
        raise InputError(msg) from exc


def _rows(table: Path, lines: Iterable[list[str]]) -> Iterable[_Row]:
    for number, line in enumerate(lines, start=1):
        if number == 1:
            right = line == _HEAD
        else:
            right = len(line) == len(_HEAD) and line[1] in _SPLITS and line[2] in _LABELS
        if not right:
            msg = f"{table}:{number}: expected {','.join(_HEAD)}; restore VisA's own file"
            raise InputError(msg)
        if number > 1:
            yield _Row(*line)


def _category(root: Path, name: str, rows: Sequence[_Row]) -> Category:
    train = tuple(root / row.image for row in rows if row.split == "train")
    tested = [row for row in rows if row.split == "test"]
    masks = [root / row.mask for row in tested if row.label == "anomaly"]
    masked = any(mask.is_file() for mask in masks)
    if masked:
        require_masks(masks)
    test = [_sample(root, row, masked=masked) for row in tested]
    if not train:
        msg = f"{root / _SPLIT} names no image of {name} to fit to; restore VisA's own file"
        raise InputError(msg)
    require_both(root / name, test)
    return Category(name=name, train=train, test=tuple(test), masked=masked, mask_above=0)


def _sample(root: Path, row: _Row, *, masked: bool) -> Sample:
    anomalous = row.label == "anomaly"
    mask = root / row.mask if masked and anomalous else None
    return Sample(image=root / row.image, anomalous=anomalous, mask=mask)
