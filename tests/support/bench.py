"""A file such as ``streamline bench paper --json`` writes, without measuring for it."""

from pathlib import Path
from typing import Final

from streamline.bench import LayerFigures, PaperBench, Setting, Trial, published_speeds, to_json
from streamline.machine import this_machine

__all__ = ["LAYER", "write_bench"]

_TRIAL: Final = Trial(
    setting=Setting(precision="f32", hint="throughput", streams=1, requests=2, batch=8),
    fps=52.5,
    cpu_ms=19.0,
)

LAYER: Final = LayerFigures(
    layer="layer2",
    precision="f32",
    features=512,
    rank=200,
    pca_s=4.5,
    aet_rank=200,
    aet_s=60.0,
    fps=_TRIAL.fps,
    cpu_ms_per_frame=_TRIAL.cpu_ms,
    best=_TRIAL,
)
"""What the file says of this computer."""


def write_bench(path: Path) -> Path:
    """Write it, and return where."""
    result = PaperBench(
        network="resnet50",
        weights="random",
        images="rendered parts",
        frames=209,
        rounds=1,
        layers=[LAYER],
        published=published_speeds(),
        others=0.0,
        quiet=True,
        machine=this_machine(),
    )
    path.write_text(to_json(result))
    return path
