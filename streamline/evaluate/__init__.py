"""What a model is worth on labelled data sets: AUROC of images and pixels, PRO, fit time, fps."""

from streamline.evaluate.layouts import Category, Sample, mtd_category, mvtec_categories
from streamline.evaluate.metrics import auroc, per_region_overlap
from streamline.evaluate.report import Evaluation
from streamline.evaluate.run import Evaluated, Figures, evaluate_category

__all__ = [
    "Category",
    "Evaluated",
    "Evaluation",
    "Figures",
    "Sample",
    "auroc",
    "evaluate_category",
    "mtd_category",
    "mvtec_categories",
    "per_region_overlap",
]
