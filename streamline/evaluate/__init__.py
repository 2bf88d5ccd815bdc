"""What a model is worth on labelled data sets: AUROC of images and pixels, PRO, fit time, fps."""

from streamline.evaluate.figures import Figures
from streamline.evaluate.layouts import LAYOUTS, Category, Sample, find_categories
from streamline.evaluate.metrics import auroc, per_region_overlap
from streamline.evaluate.plan import PlannedRun, parse_seeds, plan_runs
from streamline.evaluate.published import Comparison
from streamline.evaluate.report import Evaluation
from streamline.evaluate.run import Evaluated, evaluate_category

__all__ = [
    "LAYOUTS",
    "Category",
    "Comparison",
    "Evaluated",
    "Evaluation",
    "Figures",
    "PlannedRun",
    "Sample",
    "auroc",
    "evaluate_category",
    "find_categories",
    "parse_seeds",
    "per_region_overlap",
    "plan_runs",
]
