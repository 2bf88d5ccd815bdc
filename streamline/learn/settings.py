"""What a fit may choose, and what it says of its choices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, Self

from streamline.backbone import Backbone, default_layers, default_levels, find
from streamline.errors import InputError
from streamline.fre import Epoch, Solver, Training
from streamline.infer import Compute
from streamline.mask import Mask
from streamline.model import Model
from streamline.progress import Progress, ignore_progress
from streamline.sgfr import MOST_STEPS, BankPrecision, Recipe, ScoreRule

__all__ = [
    "AnyFitSettings",
    "FitReport",
    "FitSettings",
    "Fitted",
    "FreMethod",
    "Precision",
    "SgfrSettings",
]

FreMethod = Literal["fre-pca", "fre-ae", "fre-aet"]
"""fre-ae: autoencoder; fre-aet: autoencoder whose decoder is its encoder transposed."""

Precision = Literal["int8", "bf16", "f32"]
"""int8: weights and arithmetic in 8 bits, what can't be in f32. bf16: weights in half precision,
arithmetic in bf16 where the processor has it, else in f32. f32: both in single precision. GPUs
compute the rest of int8, and bf16, in f16."""

_STORED: Final[Mapping[Precision, str]] = {"int8": "int8", "bf16": "fp16", "f32": "f32"}
"""What a network's weights are stored in."""

_FEWEST_HELD = 16
"""With fewer, half of them are too few directions for anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonSettings:
    """What is chosen for a fit of any method."""

    backbone: str = "efficientnet_lite0"
    """A shipped one, another of `streamline.backbone.CATALOGUE`, ``torchvision.NAME`` or
    ``timm.NAME``."""

    precision: Precision | None = None
    """Of the backbone; None: int8 where that is shipped, else bf16."""

    size: int = 256
    """Height and width of the model's input, px; frames must be prepared so."""

    weights: Path | None = None
    """File or folder of the backbone's weights; None: the published ones."""

    alpha: float | None = None
    """False-alarm rate per frame; None: the smallest that the number of frames supports."""

    mask: Mask | None = None
    """What is neither learnt nor judged."""

    compute: Compute = field(default_factory=Compute)
    """What computes the features; the line should be judged by the same."""

    def settled(self, compute: Compute) -> Self:
        """Return the same settings with the devices named.

        Parameters
        ----------
        compute : Compute
            Settled.
        """
        return replace(self, compute=compute)

    def find_backbone(
        self, layers: Sequence[str], *, progress: Progress = ignore_progress
    ) -> Backbone:
        """Return the backbone with these layers, exported and quantised now if it must be.

        Raises
        ------
        ModelError, InputError
            See `streamline.backbone.find`.
        """
        return find(
            self.backbone,
            list(dict.fromkeys(layers)),
            precision=self.precision and _STORED[self.precision],
            size=self.size,
            weights=self.weights,
            progress=progress,
        )

    def require_valid(self) -> None:
        """Refuse now what would be refused after minutes of work.

        Raises
        ------
        InputError
            If a number is out of range.
        """
        if self.alpha is not None and not 0 < self.alpha < 1:
            msg = f"the false-alarm rate must be in (0, 1), not {self.alpha:g}"
            raise InputError(msg)
        if self.precision not in {None, *_STORED}:
            msg = f"the precision must be {', '.join(_STORED)}, not {self.precision!r}"
            raise InputError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings(CommonSettings):
    """What FRE is fitted with; one setting for every product.

    The defaults were measured on magnetic tiles (mean image AUROC of five splits 0.9885) and
    bottles (1.000, PRO 0.9635): another share of variance, another layer or features divided
    by their spread changed that by 0.001 at most.
    """

    method: FreMethod = "fre-pca"
    """Principal directions, or an autoencoder trained to reconstruct as well as they do."""

    training: Training = field(default_factory=Training)
    """How autoencoders are trained."""

    score_layers: tuple[str, ...] = ()
    """Whose errors are fused to the score; none: the backbone's default."""

    map_layers: tuple[str, ...] = ()
    """Whose errors are fused to the map; none: `score_layers` if they are given, else the
    backbone's default."""

    retain: float = 0.90
    """Share of each layer's variance to keep, in (0, 1]."""

    max_rank: int | None = 400
    """Most directions to keep in a score layer: they cost time for every frame."""

    map_max_rank: int | None = 64
    """Most directions to keep in a map layer: more draw the map no better."""

    solver: Solver = "gram"
    """How principal directions are found; see `streamline.fre.span_of`."""

    hold: int = 1600
    """Most frames whose features are held in memory, 0.4 MB each with the default layers. If
    there are more, they are merged into leading directions: half as many, or twice `max_rank`.
    Of 2000 magnetic tiles, 800 directions moved held-out errors by 0.009 % in the median and
    0.3 % at most, 600 by 0.6 % and 9 %."""

    @property
    def passes(self) -> tuple[tuple[str, ...], ...]:
        """Layers that features are computed of: for the score, and for the map."""
        return self.score_layers, self.map_layers

    @property
    def deepest(self) -> str:
        """Layer by which frames are told apart."""
        return self.score_layers[-1]

    def settled(self, compute: Compute) -> Self:
        """Return the same settings with the devices named.

        Parameters
        ----------
        compute : Compute
            Settled.
        """
        training = self.training
        if training.device is None and compute.backend == "torch":
            training = replace(training, device=compute.device.lower())
        return replace(self, compute=compute, training=training)

    def resolved(self) -> Self:
        """Return the same settings with the layers named.

        Raises
        ------
        ModelError
            If there is no such backbone, or none of its layers is the default.
        """
        score, maps = self.score_layers, self.map_layers or self.score_layers
        if not score:
            score, default = default_layers(self.backbone)
            maps = maps or default
        return replace(self, score_layers=score, map_layers=maps)

    def require_valid(self) -> None:
        """Refuse now what would be refused after minutes of work.

        Raises
        ------
        InputError
            If a share, a rate or a number is out of range.
        """
        CommonSettings.require_valid(self)
        if self.hold < _FEWEST_HELD:
            msg = f"a fit must hold at least {_FEWEST_HELD} frames at once, not {self.hold}"
            raise InputError(msg)
        if not 0 < self.retain <= 1:
            msg = f"the share of variance to retain must be in (0, 1], not {self.retain:g}"
            raise InputError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class SgfrSettings(CommonSettings):
    """What SGFR is fitted with; one setting for every product.

    The defaults were measured on magnetic tiles and bottles (see README.md); what the fields of
    `Recipe` are is said there.
    """

    sampling_layer: str | None = None
    """None: the backbone's default."""

    map_layers: tuple[str, ...] = ()
    """None named: the backbone's default."""

    samples: int = 50
    sparsity: int = 10
    tolerance: float = 0.0
    rule: ScoreRule = "error"

    bank_precision: BankPrecision = "float16"
    """What the bank is stored in."""

    @property
    def recipe(self) -> Recipe:
        """How frames will be judged; the layers must have been named."""
        return Recipe(
            sampling_layer=self.deepest,
            map_layers=self.map_layers,
            samples=self.samples,
            sparsity=self.sparsity,
            tolerance=self.tolerance,
            rule=self.rule,
        )

    @property
    def passes(self) -> tuple[tuple[str, ...], ...]:
        """Layers that features are computed of, all at once."""
        return (tuple(sorted(self.recipe.layers)),)

    @property
    def deepest(self) -> str:
        """Layer by which frames are told apart; it must have been named."""
        if self.sampling_layer is None:
            msg = "the layers are not named yet; take resolved() first"
            raise ValueError(msg)
        return self.sampling_layer

    def resolved(self) -> Self:
        """Return the same settings with the layers named.

        Raises
        ------
        ModelError
            If there is no such backbone, or none of its layers is the default.
        """
        if self.sampling_layer is not None and self.map_layers:
            return self
        sampling, maps = default_levels(self.backbone)
        return replace(
            self,
            sampling_layer=self.sampling_layer or sampling,
            map_layers=self.map_layers or maps,
        )

    def require_valid(self) -> None:
        """Refuse now what would be refused after minutes of work.

        Raises
        ------
        InputError
            If a number is out of range.
        """
        CommonSettings.require_valid(self)
        if (
            not 1
            <= min(self.samples, self.sparsity)
            <= max(self.samples, self.sparsity)
            <= MOST_STEPS
        ):
            msg = (
                f"the numbers of frames that are sampled and combined must be 1 to {MOST_STEPS}, "
                f"not {self.samples} and {self.sparsity}"
            )
            raise InputError(msg)
        if not self.tolerance >= 0:
            msg = f"the tolerance must be 0 or more, not {self.tolerance:g}"
            raise InputError(msg)


AnyFitSettings = FitSettings | SgfrSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """What a fit chose, for people to read."""

    frames: int
    """Frames fitted to."""

    distinct_frames: float
    """How many distinct ones those are."""

    alpha: float
    """False-alarm rate per frame."""

    alpha_chosen: bool
    """Whether that is simply the smallest that the frames support."""

    threshold: float
    """A frame fails if its score is above this."""

    seconds: float
    """Time from the first frame to the model, s."""

    training: Mapping[str, tuple[Epoch, ...]]
    """How the training of each layer went; empty if nothing was trained."""

    warnings: tuple[str, ...]
    """Sentences on what is wrong with the frames, or with what was learnt from them."""

    source_fps: float | None = None
    """Frames a second that the sources showed, taken or not, as a line judges them; None: not
    known."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """A model and how it came to be."""

    model: Model
    report: FitReport
