"""FRE as a whole line runs it: from the clip to the verdict, over all four stages."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Final

from streamline.bench import line_of_clip
from streamline.bench.apart import Apart
from streamline.bench.model import Tell
from streamline.bench.paper import Pick, write_weights
from streamline.bench.processor import OtherWork
from streamline.bench.running import under_load
from streamline.config import Pipeline, parse_source
from streamline.errors import InputError
from streamline.learn import Precision, Selection
from streamline.learn.select import SelectedFrames
from streamline.model import save_model
from tests.support.models import untrained
from tools.peers.figures import Contender, Run

__all__ = ["lines_of", "require_frames", "run_line"]

_NETWORK: Final = "resnet50"
_HEADS: Final[Mapping[str, str]] = {"FRE pooled": "layer3/2", "FRE full": "layer3"}
"""With as many features as anomalib's FRE, which averages over squares of 2, and with all."""

_PRECISIONS: Final[tuple[Precision, ...]] = ("f32", "int8")
_RANK: Final = 220
"""Directions, as many as the units of anomalib's FRE."""

_SETTLE_S: Final = 1.0
"""Of a line, before it is measured."""


def require_frames(clip: Path) -> None:
    """Refuse now what no contender could read.

    Raises
    ------
    InputError, SourceError
        If the clip is not there, or has no frame that can be decoded.
    """
    if not clip.is_file():
        msg = f"{clip}: there is no such file; name a video"
        raise InputError(msg)
    if not list(SelectedFrames([parse_source(str(clip), Path())], Selection(max_frames=1))):
        msg = f"{clip}: it has no frames; name another video"
        raise InputError(msg)


def lines_of(clip: Path, folder: Path, tell: Tell) -> dict[Contender, Pipeline]:
    """Return a line with each head and precision; their models, which it writes, know nothing."""
    weights = folder / "weights.safetensors"
    lines = {}
    with Apart() as process:
        process.call(write_weights, _NETWORK, weights)
        for (what, layer), precision in product(_HEADS.items(), _PRECISIONS):
            tell(f"{what}, {precision}: the network is prepared")
            place = folder / f"{layer.replace('/', '-')}-{precision}"
            place.mkdir()
            model = place / "model"
            process.call(write_model, Pick(layer=layer, precision=precision), weights, model)
            contender = Contender(what=what, how="Streamline", precision=precision)
            lines[contender] = line_of_clip(str(clip), model, place)
    return lines


def write_model(pick: Pick, weights: Path, path: Path) -> None:
    """Export a network, and write a model of random directions of it; for a process apart."""
    net = pick.settings(_NETWORK, weights).find_backbone([pick.layer])
    save_model(untrained(net, [pick.layer], rank=_RANK), path)


def run_line(line: Pipeline, folder: Path, seconds: float) -> Run:
    """Run a line as fast as possible for a while.

    Raises
    ------
    LineError
        If it fails.
    """
    with under_load(line, folder, cameras=1, pace="max", seconds=seconds + _SETTLE_S) as running:
        running.measure(_SETTLE_S, latencies=False)
        with OtherWork() as others:
            span = running.measure(seconds, latencies=False)
    return Run(fps=span.fps, others=others.share)
