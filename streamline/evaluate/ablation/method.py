"""How autoencoders come to what principal directions give at once: FRE, figure 2, left."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from streamline.errors import InputError
from streamline.evaluate.ablation.features import LayerFeatures, extracted
from streamline.evaluate.ablation.network import fre_settings, open_network
from streamline.evaluate.ablation.pivot import pivot_lines, pivot_table, variant_table
from streamline.evaluate.ablation.result import Ablation, Row, Variant
from streamline.evaluate.layouts import Category
from streamline.evaluate.metrics import auroc
from streamline.evaluate.page import Chart
from streamline.evaluate.plan import PlannedRun
from streamline.evaluate.tables import TITLES, Table
from streamline.fre import (
    Epoch,
    LinearAutoencoder,
    Span,
    Subspace,
    fuse_errors,
    reconstruction_error,
    span_of,
    subspace_of,
)
from streamline.learn import AnyFitSettings, FitSettings, Progress
from streamline.learn.settings import FreMethod
from streamline.learn.train import rebuilder_of, require_trainer

__all__ = ["ablate_method", "eigenvalue_gap", "largest_angle"]

Doubles = npt.NDArray[np.float64]
Learners = Mapping[str, "_Learnt"]
"""What became of a layer, by the learner's name."""

_LEARNERS: Final[Mapping[str, tuple[FreMethod, Literal["random", "pca"]]]] = MappingProxyType(
    {
        "PCA": ("fre-pca", "random"),
        "AE": ("fre-ae", "random"),
        "AEt": ("fre-aet", "random"),
        "AE from PCA": ("fre-ae", "pca"),
    }
)
"""Method and first weights."""

_CHECKPOINTS: Final = (0, 1, 2, 5, 10, 20, 50, 100)
"""Epochs after which the test images are scored."""

_CHUNK: Final = 128
"""Test images that are reconstructed together, to bound the memory."""

_TABLES: Final = {
    "image_auroc": TITLES["image_auroc"],
    "epochs": "epochs of training",
    "relative_error": "training error / PCA's",
    "angle_half": "largest angle to PCA's leading half, °",
    "angle": "largest angle to all of PCA's directions, °",
}


def ablate_method(
    runs: Sequence[PlannedRun], asked: AnyFitSettings, progress: Progress, /
) -> Ablation:
    """Fit the score's layers by principal directions, and by training from several beginnings.

    Raises
    ------
    InputError
        If SGFR was asked for, torch is not installed, an image can't be read, or a training
        fails.
    """
    settings = fre_settings(asked).resolved()
    require_trainer(replace(settings, method="fre-ae"))
    net = open_network(settings, settings.score_layers)
    rows: list[Row] = []
    for run in runs:
        category = run.category
        with extracted(
            category, net, settings.score_layers, settings.compute, progress
        ) as features:
            try:
                layers = {
                    layer: dict(_learnt(layer, found, settings, progress))
                    for layer, found in features.items()
                }
            except ValueError as exc:
                msg = f"{category.name}: nothing can be learnt from its images: {exc}"
                raise InputError(msg) from exc
        rows += [*_ends(run, layers), *_courses(run, layers)]
    return Ablation(
        title="Method",
        text=(
            "Linear autoencoders, free (AE) and with tied weights (AEt), on their way to the error "
            "of as many principal directions. Epochs: until the error is within the tolerance. "
            "Gap: the last eigenvalue kept over the first that is not; of the leading half: that "
            "half's last over the first not kept. The closer it is to 1, the less an error tells "
            "of the directions. Curves are means over the runs that were still training. FRE, "
            "figure 2, left."
        ),
        rows=rows,
        tables=_tables(rows, settings.score_layers),
        charts=_charts(rows, settings.score_layers),
        setup={
            "backbone": settings.backbone,
            "precision": net.precision,
            "retain": settings.retain,
            "max_rank": settings.max_rank,
            "tolerance": settings.training.tolerance,
            "batch": settings.training.batch,
            "training_seed": settings.training.seed,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Learnt:
    """What one learner made of one layer."""

    figures: Mapping[str, float | None]
    curve: Sequence[Epoch]
    """Empty if nothing was trained."""

    errors: Doubles
    """Shape ``(n,)``: of the test images, in the end."""

    early: Mapping[int, Doubles]
    """The same after the checkpoints before the end."""

    @property
    def last(self) -> int:
        """The epoch that training ended with."""
        return self.curve[-1].epoch if self.curve else 0

    def errors_after(self, epoch: int) -> Doubles:
        """Tell the errors of the test images after an epoch; the last ones if it had ended."""
        return self.early.get(epoch, self.errors)


def _learnt(
    layer: str, features: LayerFeatures, settings: FitSettings, progress: Progress
) -> Iterator[tuple[str, _Learnt]]:
    span = span_of(features.train, solver=settings.solver)
    subspace = subspace_of(span, retain=settings.retain, max_rank=settings.max_rank)
    for name, (method, initial) in _LEARNERS.items():
        training = replace(settings.training, initial=initial, snapshots=_CHECKPOINTS)
        made = rebuilder_of(
            span,
            subspace,
            replace(settings, method=method, training=training),
            partial(_tell, progress, f"training of {layer}, {name}", training.epochs),
        )
        last = made.curve[-1].epoch if made.curve else 0
        yield (
            name,
            _Learnt(
                figures=_figures(span, subspace, made.final, made.curve, settings),
                curve=made.curve,
                errors=_errors(features, made.final),
                early={
                    epoch: _errors(features, then)
                    for epoch, then in made.snapshots.items()
                    if epoch < last
                },
            ),
        )


def _tell(progress: Progress, what: str, epochs: int, epoch: Epoch) -> None:
    progress(what, epoch.epoch, epochs)


def _figures(
    span: Span,
    subspace: Subspace,
    final: Subspace | LinearAutoencoder,
    curve: Sequence[Epoch],
    settings: FitSettings,
) -> dict[str, float | None]:
    half = max(1, subspace.rank // 2)
    shown: dict[str, float | None] = {
        "k": subspace.rank,
        "gap": eigenvalue_gap(span.variances, subspace.rank, subspace.rank),
        "gap_half": eigenvalue_gap(span.variances, half, subspace.rank),
    }
    if curve:
        converged = curve[-1].excess <= settings.training.tolerance
        shown |= {
            "epochs": curve[-1].epoch if converged else None,
            "relative_error": 1 + curve[-1].excess,
            "angle_half": largest_angle(subspace.directions[:half], final.decoder),
            "angle": largest_angle(subspace.directions, final.decoder),
        }
    return shown


def eigenvalue_gap(variances: Doubles, at: int, rank: int, /) -> float | None:
    """Compare an eigenvalue that is kept with the first that is not.

    Parameters
    ----------
    variances : array of shape (m,)
        Largest first.
    at : int
        Which one, counted from 1.
    rank : int
        How many are kept; None is returned if all are.

    Examples
    --------
    >>> eigenvalue_gap(np.array([8.0, 4.0, 2.0]), 1, 2)
    4.0
    """
    return float(variances[at - 1] / variances[rank]) if rank < len(variances) else None


def largest_angle(
    directions: npt.NDArray[np.floating], learnt: npt.NDArray[np.floating], /
) -> float:
    """Largest principal angle between directions and the space that a decoder spans.

    Parameters
    ----------
    directions : array of shape (j, d)
        Orthonormal rows.
    learnt : array of shape (k, d)
        Independent rows, at least as many.

    Returns
    -------
    float
        Degrees: 0 if the space holds all directions, 90 if one is at right angles to it.

    Examples
    --------
    >>> largest_angle(np.array([[1.0, 0.0]]), np.array([[2.0, 2.0]]))
    45.0
    """
    basis = np.linalg.qr(learnt.T.astype(np.float64))[0]
    # By what lies outside: the cosine of a small angle is 1 to all digits.
    outside = directions - (directions @ basis) @ basis.T
    sine = float(np.sqrt(np.linalg.eigvalsh(outside @ outside.T)[-1].clip(0, 1)))
    return round(float(np.degrees(np.arcsin(sine))), 6)


def _errors(features: LayerFeatures, rebuilder: Subspace | LinearAutoencoder) -> Doubles:
    test = features.test
    parts = [test[start : start + _CHUNK] for start in range(0, len(test), _CHUNK)]
    return np.concatenate([reconstruction_error(part, rebuilder) for part in parts])


def _ends(run: PlannedRun, layers: Mapping[str, Learners]) -> Iterator[Row]:
    """Tell how each learner ended, layer by layer and as the model fuses them."""
    for name in _LEARNERS:
        for picked, figures in _picked(layers, name):
            fused = fuse_errors([layers[layer][name].errors for layer in picked])
            yield Row(
                run=run,
                variant={"layers": "+".join(picked), "method": name},
                figures={**figures, "image_auroc": _image_auroc(run.category, fused)},
            )


def _courses(run: PlannedRun, layers: Mapping[str, Learners]) -> Iterator[Row]:
    """Tell how each training went: its error after every epoch, scores after some."""
    for name in _LEARNERS:
        for picked, _ in _picked(layers, name):
            learnt = [layers[layer][name] for layer in picked]
            if not any(one.curve for one in learnt):
                continue
            curve = learnt[0].curve if len(learnt) == 1 else ()
            known = {one.epoch: {"relative_error": 1 + one.excess} for one in curve}
            last = max(one.last for one in learnt)
            for epoch in sorted({*known, last, *(one for one in _CHECKPOINTS if one < last)}):
                figures: dict[str, float | None] = {**known.get(epoch, {})}
                if epoch in {*_CHECKPOINTS, last}:
                    fused = fuse_errors([one.errors_after(epoch) for one in learnt])
                    figures["image_auroc"] = _image_auroc(run.category, fused)
                variant: Variant = {"training": _course(name, picked), "epoch": epoch}
                yield Row(run=run, variant=variant, figures=figures)


def _picked(
    layers: Mapping[str, Learners], name: str
) -> Iterator[tuple[tuple[str, ...], Mapping[str, float | None]]]:
    """List each layer by itself, with its figures, and then all together."""
    for layer, learners in layers.items():
        yield (layer,), learners[name].figures
    if len(layers) > 1:
        yield tuple(layers), {}


def _course(name: str, layers: Sequence[str]) -> str:
    return f"{name} of {'+'.join(layers)}"


def _image_auroc(category: Category, scores: Doubles) -> float:
    return auroc(scores, np.array([sample.anomalous for sample in category.test]))


def _tables(rows: Sequence[Row], layers: Sequence[str]) -> list[Table]:
    single = [row for row in rows if row.variant.get("layers") in layers]
    return [
        *(
            pivot_table(rows, figure, title=title, down="layers", across="method")
            for figure, title in _TABLES.items()
        ),
        variant_table(single, "layers", ("k", "gap", "gap_half")),
    ]


def _charts(rows: Sequence[Row], layers: Sequence[str]) -> list[Chart]:
    fused = {_course(name, layers) for name in _LEARNERS}
    scored = [row for row in rows if row.variant.get("training") in fused]
    return [
        Chart(
            title=title,
            x_label="epoch",
            y_label=title,
            lines=pivot_lines(some, figure, label="training", x="epoch"),
        )
        for figure, title, some in (
            ("relative_error", _TABLES["relative_error"], rows),
            ("image_auroc", _TABLES["image_auroc"], scored),
        )
    ]
