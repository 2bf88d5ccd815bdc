"""The figures of all categories, their means, and what they were got with."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import fmean

from streamline import __version__
from streamline.evaluate.run import SMOOTHING_PX, Evaluated, Figures, layers_of
from streamline.preprocess import PREPROCESSING

__all__ = ["Evaluation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """An evaluation's result, one or more categories."""

    layout: str
    seed: int | None
    """Of the split into train and test; None where the data set itself is split."""

    categories: Mapping[str, Evaluated]

    def mean(self) -> dict[str, float | None]:
        """Average each figure over the categories that have it; None if none has."""
        rows = [asdict(one.figures) for one in self.categories.values()]
        means: dict[str, float | None] = {}
        for name in Figures.__dataclass_fields__:
            known = [row[name] for row in rows if row[name] is not None]
            means[name] = fmean(known) if known else None
        return means

    def to_json(self) -> str:
        """Write figures, means and set-up as one JSON document."""
        document = {
            "categories": {name: asdict(one.figures) for name, one in self.categories.items()},
            "mean": self.mean(),
            "setup": self._setup(),
        }
        return json.dumps(document, indent=2) + "\n"

    def _setup(self) -> dict[str, object]:
        first = next(iter(self.categories.values())).model
        return {
            "streamline": __version__,
            "layout": self.layout,
            "seed": self.seed,
            "backbone": first.backbone._asdict(),
            "preprocessing": PREPROCESSING,
            "size_px": [first.height, first.width],
            "retain": first.detector.retain,
            "map_smoothing_px": SMOOTHING_PX,
            "models": {
                name: {"train": one.train, "test": one.test, **layers_of(one.model)}
                for name, one in self.categories.items()
            },
        }
