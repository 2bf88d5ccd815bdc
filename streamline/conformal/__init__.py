"""What a false-alarm rate promises: p-values, how much correlated frames count, and bounds.

Nothing here knows what a score is of: normal scores that the judge had no part in choosing are
all that is needed.
"""

from streamline.conformal.bounds import binomial_upper, poisson_upper
from streamline.conformal.effective import effective_size
from streamline.conformal.pvalue import (
    ConformalTest,
    conformal_threshold,
    require_support,
    smallest_alpha,
)

__all__ = [
    "ConformalTest",
    "binomial_upper",
    "conformal_threshold",
    "effective_size",
    "poisson_upper",
    "require_support",
    "smallest_alpha",
]
