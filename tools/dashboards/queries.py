"""What several dashboards ask, in Prometheus' language."""

from typing import Final

from tools.dashboards.panels import STATES

__all__ = ["WINDOW", "camera_states", "latencies", "mean_seconds"]

WINDOW: Final = "$__rate_interval"


def camera_states(chosen: str) -> str:
    """Return the number in `STATES` of the state that each of the chosen cameras is in."""
    one = [
        f'(streamline_camera_state{{{chosen},state="{name}"}} == 1) * {number}'
        for number, (name, _) in STATES.items()
    ]
    return f"max by (camera) ({' or '.join(one)})"


def latencies(chosen: str) -> dict[str, str]:
    """Return quantiles of the slowest of the chosen cameras, and the shortest deadline."""
    quantiles = {
        name: f"max(camera:streamline_latency_seconds:{name}_5m{{{chosen}}})"
        for name in ("p50", "p95", "p99")
    }
    return {**quantiles, "deadline": f"min(streamline_deadline_seconds{{{chosen}}})"}


def mean_seconds(series: str, by: str) -> str:
    """Return the mean of a histogram of the chosen line, by a label."""
    chosen = '{instance="$instance"}'
    total = f"sum by ({by}) (rate({series}_sum{chosen}[{WINDOW}]))"
    return f"{total} / sum by ({by}) (rate({series}_count{chosen}[{WINDOW}]))"
