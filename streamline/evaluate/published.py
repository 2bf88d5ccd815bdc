"""The papers' own figures, and how what is measured here compares with them.

FRE: N. J. Ndiour et al., "FRE: A Fast Method For Anomaly Detection And Segmentation", BMVC 2023.
SGFR: K. Hotta et al., "Subspace-Guided Feature Reconstruction for Unsupervised Anomaly
Localization", tables I to III; its tables IV and V are not in the text this was taken from.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import msgspec

__all__ = ["MEAN", "Comparison", "PublishedTable", "Setting", "compare", "published_tables"]

MEAN = "mean"
"""Stands for a category: the mean over all of a data set's."""

_PERCENT = frozenset({"image_auroc", "pixel_auroc", "pro"})


class PublishedTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some cells of a paper's table that differ in the category only."""

    paper: str
    table: str
    method: str
    """``fre`` or ``sgfr``."""

    layout: str
    figure: str
    """Its name in `Figures`."""

    values: dict[str, float]
    """By category, as printed: AUROC and PRO in percent."""

    backbone: str | None = None
    """None: the paper doesn't name it."""

    layers: int | None = None
    """How many layers it was got with, if the paper says so."""

    layer: str | None = None
    """The one layer it was got with, if the table compares layers."""

    machine: str | None = None
    """What it was timed on."""

    @property
    def source(self) -> str:
        """Say where it stands and what it was got with."""
        count = {None: None, 1: "one layer"}.get(self.layers, f"{self.layers} layers")
        parts = (self.backbone or "backbone not named", self.layer or count, self.machine)
        return f"{self.paper} table {self.table}: {', '.join(part for part in parts if part)}"

    def value(self, category: str) -> float | None:
        """Return a category's in the units of `Figures`; None if it has none."""
        printed = self.values.get(category)
        if printed is None or self.figure not in _PERCENT:
            return printed
        return round(printed / 100, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What figures were got with here."""

    method: str
    layout: str
    backbone: str
    layers: Mapping[str, int]
    """How many layers went into each figure, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A figure of a paper beside the same one measured here."""

    figure: str
    """Its name in `Figures`."""

    here: float
    paper: float
    source: str
    """Where it stands, and what it was got with."""

    same_backbone: bool
    """If not, the difference is not the method's alone."""

    @property
    def difference(self) -> float:
        """By how much the figure here is larger."""
        return self.here - self.paper


def published_tables(method: str, layout: str) -> list[PublishedTable]:
    """List a method's figures on a data set, the paper's best setting first."""
    return [one for one in _load() if (one.method, one.layout) == (method, layout)]


def compare(
    measured: Mapping[str, float | None], categories: Sequence[str], setting: Setting, /
) -> list[Comparison]:
    """Set the papers' figures beside those measured.

    Those of the same backbone if a paper has them, else those of its best setting; times are
    compared on the same backbone only.

    Parameters
    ----------
    measured : mapping of name to number
        See `Figures`: of one category, or means over several.
    categories : sequence of str
        Which; a paper's mean counts only if they are all of the data set's.
    """
    tables = published_tables(setting.method, setting.layout)
    whole = {name for one in tables for name in one.values} - {MEAN}
    if len(categories) == 1:
        category = categories[0]
    elif whole and whole <= set(categories):
        category = MEAN
    else:
        return []
    return list(_compared(measured, category, tables, setting))


def _compared(
    measured: Mapping[str, float | None],
    category: str,
    tables: Sequence[PublishedTable],
    setting: Setting,
) -> Iterator[Comparison]:
    for figure, here in measured.items():
        known = [one for one in tables if one.figure == figure and one.layer is None]
        best = _nearest(known, category, setting)
        paper = None if best is None else best.value(category)
        if here is not None and best is not None and paper is not None:
            yield Comparison(
                figure=figure,
                here=here,
                paper=paper,
                source=best.source,
                same_backbone=best.backbone == setting.backbone,
            )


def _nearest(
    tables: Sequence[PublishedTable], category: str, setting: Setting
) -> PublishedTable | None:
    """Choose what was got in the way most like ours."""
    known = [one for one in tables if category in one.values]
    same = [one for one in known if one.backbone == setting.backbone]
    alike = [one for one in same if one.layers == setting.layers.get(one.figure)]
    others = [one for one in known if one.machine is None]
    return next(iter([*alike, *same, *others]), None)


@cache
def _load() -> list[PublishedTable]:
    data = resources.files("streamline.evaluate").joinpath("published.json").read_bytes()
    return msgspec.json.decode(data, type=_File).tables


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tables: list[PublishedTable]
