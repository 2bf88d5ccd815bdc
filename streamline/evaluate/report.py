"""The figures of all categories and seeds, their means, and the papers' beside them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from streamline import __version__
from streamline.evaluate.describe import describe
from streamline.evaluate.figures import Summary, means_of, spreads_of
from streamline.evaluate.maps import SMOOTHING_PX
from streamline.evaluate.published import Comparison, Setting, compare
from streamline.evaluate.run import Evaluated
from streamline.model import FreDetector
from streamline.preprocess import PREPROCESSING

__all__ = ["Evaluation", "Runs"]

Runs = Mapping[int | None, Evaluated]
"""One for each seed; its key is None where the data set itself is split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """An evaluation's result: one or more categories, each with one or more seeds."""

    layout: str
    categories: Mapping[str, Runs]

    def summary(self, category: str) -> Summary:
        """Average a category's figures over its seeds."""
        return means_of([one.figures for one in self.categories[category].values()])

    def spread(self, category: str) -> Summary:
        """Tell by how much its figures differ between seeds: standard deviations."""
        return spreads_of([one.figures for one in self.categories[category].values()])

    def mean(self) -> Summary:
        """Average each figure over the categories that have it; None if none has."""
        return means_of([self.summary(name) for name in self.categories])

    def comparisons(self, category: str) -> list[Comparison]:
        """Set the papers' figures beside a category's."""
        return compare(self.summary(category), [category], self._setting())

    def mean_comparisons(self) -> list[Comparison]:
        """Set the papers' means beside those of here, where the same categories are at hand."""
        if len(self.categories) < 2:
            return []
        return compare(self.mean(), list(self.categories), self._setting())

    def to_json(self) -> str:
        """Write figures, means and set-up as one JSON document."""
        document = {
            "categories": {name: self._category(name) for name in self.categories},
            "mean": self.mean(),
            "paper": _as_json(self.mean_comparisons()),
            "setup": self._setup(),
        }
        return json.dumps(document, indent=2) + "\n"

    def _category(self, name: str) -> dict[str, object]:
        runs = self.categories[name].items()
        return {
            **self.summary(name),
            "spread": self.spread(name),
            "seeds": {str(seed): asdict(one.figures) for seed, one in runs if seed is not None},
            "paper": _as_json(self.comparisons(name)),
        }

    def _setting(self) -> Setting:
        model = self._some().model
        described = describe(model)
        return Setting(
            method=described.paper,
            layout=self.layout,
            backbone=model.backbone.name,
            layers=described.layers,
        )

    def _setup(self) -> dict[str, object]:
        model = self._some().model
        seeds = [seed for runs in self.categories.values() for seed in runs if seed is not None]
        return {
            "streamline": __version__,
            "layout": self.layout,
            "seed": min(seeds, default=None),
            "seeds": sorted(set(seeds)),
            "backbone": model.backbone._asdict(),
            "preprocessing": PREPROCESSING,
            "size_px": [model.height, model.width],
            "method": describe(model).method,
            "retain": model.detector.retain if isinstance(model.detector, FreDetector) else None,
            "map_smoothing_px": SMOOTHING_PX,
            "models": {name: _models(runs) for name, runs in self.categories.items()},
        }

    def _some(self) -> Evaluated:
        return next(iter(next(iter(self.categories.values())).values()))


def _models(runs: Runs) -> dict[str, object]:
    """Describe a category's first model: the others differ in their ranks at most."""
    first = next(iter(runs.values()))
    return {
        "train": len(first.category.train),
        "test": len(first.category.test),
        **describe(first.model).facts,
    }


def _as_json(comparisons: Sequence[Comparison]) -> dict[str, object]:
    return {
        one.figure: {
            "value": one.paper,
            "difference": one.difference,
            "source": one.source,
            "same_backbone": one.same_backbone,
        }
        for one in comparisons
    }
