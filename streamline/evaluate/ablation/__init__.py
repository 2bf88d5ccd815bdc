"""The papers' ablations, each as tables and charts: one thing varied, all else left alone."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from streamline.evaluate.ablation.bank import ablate_bank
from streamline.evaluate.ablation.layers import ablate_layers
from streamline.evaluate.ablation.levels import ablate_levels
from streamline.evaluate.ablation.method import ablate_method
from streamline.evaluate.ablation.result import Ablation
from streamline.evaluate.ablation.retained import ablate_retained
from streamline.evaluate.plan import PlannedRun
from streamline.learn import AnyFitSettings
from streamline.progress import Progress

__all__ = ["ABLATIONS", "Ablation"]

_Ablate = Callable[[Sequence[PlannedRun], AnyFitSettings, Progress], Ablation]

ABLATIONS: Final[Mapping[str, _Ablate]] = MappingProxyType(
    {
        "retained": ablate_retained,
        "layers": ablate_layers,
        "method": ablate_method,
        "bank": ablate_bank,
        "levels": ablate_levels,
    }
)
"""By name; called with the runs, with what they are fitted, and with who watches."""
