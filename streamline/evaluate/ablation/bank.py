"""How small the memory bank may be: SGFR, figures 5 and 6.

Figure 5: the map from a sub-bank of p frames, chosen by matching pursuit at a high layer, at
random, or not chosen at all. Figure 6: how well p frames of the bank represent a normal image
that is not in it, by who chose them and by what is made of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from streamline.evaluate.ablation.banked import BankStudy, Batch, bank_rows, bank_setup
from streamline.evaluate.ablation.network import bank_settings, open_network
from streamline.evaluate.ablation.pivot import pivot_lines, pivot_table
from streamline.evaluate.ablation.result import Ablation, Row, Variant
from streamline.evaluate.page import Chart
from streamline.evaluate.plan import PlannedRun
from streamline.evaluate.tables import TITLES, Table
from streamline.learn import AnyFitSettings
from streamline.progress import Progress
from streamline.sgfr import (
    Recipe,
    coreset_columns,
    gram_of,
    nearest_columns,
    nearest_errors,
    orthogonal_matching_pursuit,
    random_columns,
    subspace_errors,
)

__all__ = ["SAMPLES", "ablate_bank", "representation_errors"]

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SAMPLES: Final = (10, 20, 30, 40, 50)
"""Frames that are chosen from the bank: the paper's p."""

_MEASURED: Final = ("image_auroc", "pixel_auroc", "pro", "ms")


def ablate_bank(
    runs: Sequence[PlannedRun], settings: AnyFitSettings, progress: Progress, /
) -> Ablation:
    """Vary how many frames of the bank are used, and who chooses them.

    Raises
    ------
    InputError
        If an image or a mask can't be read.
    """
    chosen = bank_settings(settings)
    recipe = chosen.recipe
    net = open_network(chosen, recipe.layers)
    rows = bank_rows(runs, chosen, net, recipe.layers, partial(_rows, recipe=recipe), progress)
    return Ablation(
        title="Memory bank",
        text=(
            "SGFR, figure 5: maps from p frames of the bank, chosen by matching pursuit, at "
            "random, or from all of them; ms for an image, without the network. Figure 6: "
            "distance of normal test images from what p frames of the bank make of them, as a "
            "share of their own length, layer by layer."
        ),
        rows=rows,
        tables=list(_tables(rows, recipe)),
        charts=list(_charts(rows, recipe)),
        setup=bank_setup(chosen, net),
    )


def _rows(run: PlannedRun, study: BankStudy, recipe: Recipe) -> Iterator[Row]:
    for samples in SAMPLES:
        for choice, figures in _maps(study, replace(recipe, samples=samples)):
            yield Row(run=run, variant={"frames": choice, "p": samples}, figures=figures)
    normal = [i for i, one in enumerate(study.category.test) if not one.anomalous]
    for layer in recipe.layers:
        features = study.features[layer]
        for choice, errors in representation_errors(features.train, features.test[normal]):
            for samples, error in errors.items():
                variant: Variant = {f"{layer}, made of": choice, "p": samples}
                yield Row(run=run, variant=variant, figures={"error": error})


def _maps(study: BankStudy, recipe: Recipe) -> Iterator[tuple[str, dict[str, float | None]]]:
    """Measure the maps from sub-banks of one size: figure 5."""
    judge = study.judge(recipe)
    n = len(study.category.train)
    generator = np.random.default_rng(0)

    def at_random(batch: Batch) -> Bools:
        marks = np.zeros((len(batch[recipe.sampling_layer]), n), np.bool_)
        for mark in marks:
            mark[random_columns(n, min(recipe.samples, n), generator=generator)] = True
        return marks

    yield "pursuit", study.figures(recipe, judge, study.by_pursuit(judge))
    yield "random", study.figures(recipe, judge, at_random)
    yield "all", study.figures(recipe, judge, lambda _batch: None)


def representation_errors(
    bank: npt.NDArray[np.float32], frames: npt.NDArray[np.float32], /
) -> Iterator[tuple[str, dict[int, float]]]:
    """Represent frames by p of the bank's, by who chooses these and what is made of them.

    Combined: by least squares. Matched: by the nearest of them alone, as SPADE and PatchCore do.
    Figure 6, equation 9.

    Parameters
    ----------
    bank : array of shape (n, d)
        Features of the frames to choose from; not modified.
    frames : array of shape (b, d)
        Features of the frames to represent; not modified.

    Yields
    ------
    choice : str
    errors : dict of p to float
        Mean of ``‖y - ŷ‖ / ‖y‖``, for each of `SAMPLES` that the bank is large enough for.
    """
    gram = gram_of(bank)
    products = (frames @ bank.T).astype(np.float64)
    energies = np.einsum("bd,bd->b", frames, frames, dtype=np.float64)
    sizes = [samples for samples in SAMPLES if samples <= len(bank)]
    if not sizes:
        return
    squares = orthogonal_matching_pursuit(
        gram, products, energies, sparsity=min(max(SAMPLES), len(bank))
    ).squared_errors
    length = np.sqrt(energies)
    yield "pursuit, combined", {p: float(np.mean(np.sqrt(squares[:, p]) / length)) for p in sizes}
    generator = np.random.default_rng(0)
    mixed = random_columns(len(bank), len(bank), generator=generator)
    covering = coreset_columns(gram, max(sizes))
    near = nearest_columns(gram, products, max(sizes))
    for name, columns in (("random", mixed), ("coreset", covering), ("nearest", near)):
        for made, errors in (("combined", subspace_errors), ("matched", nearest_errors)):
            yield (
                f"{name}, {made}",
                {
                    p: float(np.mean(errors(gram, products, energies, columns[..., :p]) / length))
                    for p in sizes
                },
            )


def _tables(rows: Sequence[Row], recipe: Recipe) -> Iterator[Table]:
    for figure in _MEASURED:
        title = f"{TITLES.get(figure, figure)}, p ="
        yield pivot_table(rows, figure, title=title, down="frames", across="p")
    for layer in recipe.layers:
        down = f"{layer}, made of"
        yield pivot_table(rows, "error", title=f"{down} p =", down=down, across="p")


def _charts(rows: Sequence[Row], recipe: Recipe) -> Iterator[Chart]:
    for figure, label in (("pro", "PRO"), ("ms", "ms an image, without the network")):
        lines = pivot_lines(rows, figure, label="frames", x="p")
        if lines:
            yield Chart(title=label, x_label="p", y_label=label, lines=lines)
    for layer in recipe.layers:
        yield Chart(
            title=f"Normal test images from {layer}",
            x_label="p",
            y_label="error, share of length",
            lines=pivot_lines(rows, "error", label=f"{layer}, made of", x="p"),
            legend="top",
        )
