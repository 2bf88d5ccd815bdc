"""What is measured of a method on one product, and how such figures are brought together."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from statistics import mean, stdev

__all__ = ["Figures", "Summary", "means_of", "spreads_of"]

Summary = dict[str, float | None]
"""A figure each, by its name in `Figures`; None where nobody measured it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One category's figures, of one seed."""

    image_auroc: float
    pixel_auroc: float | None
    """None where defects are not marked."""

    pro: float | None
    """Per-region overlap to 30 % false positives; None where defects are not marked."""

    fit_s: float
    """From the first image read to the calibrated model, s."""

    fps: float
    """Images in memory scored per second, in the batches of a line that is never short of work."""

    model_bytes: int
    """What the model takes on disk."""

    n: int
    """Normal images fitted to."""

    k: int
    """What a frame is scored by: FRE's directions, all score layers together, or the frames in
    SGFR's sub-bank."""


def means_of(rows: Sequence[Figures | Summary], /) -> Summary:
    """Average each figure over the rows that have it; None if none has."""
    return {name: mean(known) if known else None for name, known in _columns(rows).items()}


def spreads_of(rows: Sequence[Figures | Summary], /) -> Summary:
    """Take each figure's standard deviation (of the sample: n - 1); None with fewer than two."""
    return {
        name: stdev(known) if len(known) > 1 else None for name, known in _columns(rows).items()
    }


def _columns(rows: Sequence[Figures | Summary]) -> dict[str, list[float]]:
    tables: list[Summary] = [asdict(row) if isinstance(row, Figures) else row for row in rows]
    return {
        field.name: [value for row in tables if (value := row[field.name]) is not None]
        for field in fields(Figures)
    }
