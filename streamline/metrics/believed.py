"""What is believed of another host's figures: series that are just as the catalogue has them.

Whoever reads figures, to judge a line's health or to report a run, takes their labels and values
for granted.  Those of this host's workers are by this release; what another host says may be by
any, or by somebody who means harm.
"""

from collections.abc import Container, Iterable
from typing import Final

import numpy as np

from streamline.ledger import Kind, Sample
from streamline.metrics.catalogue import HISTOGRAMS, LABELS, MAY_BE_NAN, OF_NO_LEDGER

__all__ = ["believed"]

_LARGEST: Final = 2.0**53
"""What float64 counts exactly to; sums of as many figures as there may be stay finite."""

_LONGEST: Final = 256
"""Characters of a label's value: a name in the pipeline file, or one made of such a name."""


def believed(samples: Iterable[Sample], cameras: Container[str]) -> tuple[list[Sample], str | None]:
    """Sift the series of a ledger that another host has sent.

    Series that the catalogue does not have, those a worker keeps for its successor for example,
    are of no use here and are left out silently.

    Parameters
    ----------
    samples : iterable of Sample
    cameras : container of str
        Whose figures may come: those of the pipeline file.

    Returns
    -------
    tuple of list of Sample and str or None
        The series to be believed, and what is wrong with the first of those that are not.
    """
    sound: list[Sample] = []
    doubt: str | None = None
    for sample in samples:
        if sample.name not in LABELS or sample.name in OF_NO_LEDGER:
            continue
        why = _doubt(sample, cameras)
        if why is None:
            sound.append(sample)
        elif doubt is None:
            doubt = f"{sample.name}: {why}"
    return sound, doubt


def _doubt(sample: Sample, cameras: Container[str]) -> str | None:
    """Return what is wrong with a series of the catalogue, if anything is."""
    kind = _kind_of(sample.name)
    if sample.kind != kind:
        return f"a {sample.kind}, not a {kind}"
    if tuple(sample.labels) != LABELS[sample.name]:
        return f"labels {', '.join(sample.labels)[:_LONGEST]}, not as the catalogue has them"
    if not all(0 < len(value) <= _LONGEST for value in sample.labels.values()):
        return "a label without a value, or with too long a one"
    camera = sample.labels.get("camera")
    if camera is not None and camera not in cameras:
        return f"camera {camera!r} is not in the pipeline file here; use one file everywhere"
    if sample.bounds != HISTOGRAMS.get(sample.name, ()):
        return "other buckets than the catalogue's"
    return None if _may_be(sample) else f"values {sample.values[:4].tolist()}"


def _kind_of(name: str) -> Kind:
    if name in HISTOGRAMS:
        return "histogram"
    return "counter" if name.endswith("_total") else "gauge"


def _may_be(sample: Sample) -> bool:
    """Whether these are values that such a series can have."""
    if len(sample.values) != (len(sample.bounds) + 2 if sample.bounds else 1):
        return False
    sane = np.abs(sample.values) <= _LARGEST
    if sample.name in MAY_BE_NAN:
        sane |= np.isnan(sample.values)
    if sample.kind == "gauge":
        return bool(sane.all())
    # The last cell of a histogram is the sum of what was observed.
    counts = sample.values[:-1] if sample.kind == "histogram" else sample.values
    return bool(sane.all() and (counts >= 0).all())
