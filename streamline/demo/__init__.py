"""The demonstration: a rendered line, inspected for real, held against what is known of it."""

from streamline.demo.baseline import Differencing
from streamline.demo.run import CAMERAS, Demonstration, run_demo
from streamline.demo.truth import Matched, alert_begins, match_alerts

__all__ = [
    "CAMERAS",
    "Demonstration",
    "Differencing",
    "Matched",
    "alert_begins",
    "match_alerts",
    "run_demo",
]
