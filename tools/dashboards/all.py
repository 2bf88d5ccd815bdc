"""Every dashboard by the name of its file."""

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tools.dashboards.camera import camera
from tools.dashboards.claims import claims
from tools.dashboards.line import line

__all__ = ["rendered"]


def rendered() -> dict[str, str]:
    """Return the JSON text of each dashboard."""
    encoder = JSONEncoder(sort_keys=True, indent=2)
    return {
        f"{name}.json": encoder.encode(build().build()) + "\n"
        for name, build in {"line": line, "camera": camera, "claims": claims}.items()
    }
