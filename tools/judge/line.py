"""The line to be judged: its model, its pipeline file, and its counters while it runs."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from unittest.mock import patch

from streamline.config import load, parse_source
from streamline.learn import FitSettings, Selection, fit_sources
from streamline.model import save_model
from streamline.run.runtime import Runtime
from streamline.run.views import Views
from streamline.source.synthetic import rendered_clip

__all__ = ["Counters", "clip_or_rendered", "fitted", "names", "own_runtime", "write_pipeline"]

_DEFAULT: Final = FitSettings()


def clip_or_rendered(clip: Path | None) -> Path:
    """Return the clip that was asked for, or the rendered inspection line."""
    return rendered_clip("inspect", 0) if clip is None else clip.resolve()


def fitted(clip: Path, folder: Path, settings: FitSettings) -> Path:
    """Fit a model to the clip's first seconds."""
    model = folder / "model"
    source = parse_source(str(clip), folder)
    save_model(fit_sources([source], settings, Selection(seconds=5)).model, model)
    return model


def names(count: int) -> list[str]:
    """Names of that many cameras."""
    return [f"c{number}" for number in range(count)]


@contextmanager
def own_runtime(folder: Path) -> Iterator[None]:
    """Let lines keep their sockets and counters below *folder*, where `Counters` finds them."""
    places = {"RUNTIME_DIRECTORY": "", "XDG_RUNTIME_DIR": str(folder)}
    with patch.dict(os.environ, places):
        yield


def write_pipeline(
    folder: Path,
    cameras: Sequence[str],
    clip: Path,
    pace: float | str,
    settings: FitSettings = _DEFAULT,
) -> Path:
    """Write the file of a line whose cameras play a clip for ever, with a model of it."""
    source = {"type": "video", "path": str(clip), "pace": pace, "loop": True}
    content = {
        "version": 1,
        "model": str(fitted(clip, folder, settings)),
        "cameras": {name: {"source": source} for name in cameras},
        "alert": {"sinks": []},
        "record": {"verdicts": "verdicts.jsonl", "drops": "drops.jsonl"},
        "metrics": {"port": 0},
    }
    path = folder / "line.yaml"
    path.write_text(json.dumps(content))
    return path


class Counters:
    """A running line's counters as its processes write them, without asking any of them."""

    def __init__(self, pipeline: Path) -> None:
        self._views = Views(Runtime.of(load(pipeline)))

    def total(self, series: str, **labels: str) -> float:
        """Sum of the series whose labels are these, among others."""
        wanted = set(labels.items())
        return sum(
            value
            for view in self._views.all()
            for found, value in view.values(series).items()
            if wanted <= set(found)
        )

    def judged(self, camera: str) -> float:
        """Frames of a camera with a verdict."""
        return self.total("streamline_frames_judged_total", camera=camera)

    def under_way(self, camera: str) -> float:
        """Frames of a camera that are captured and neither judged nor dropped."""
        captured = self.total("streamline_frames_captured_total", camera=camera)
        dropped = self.total("streamline_frames_dropped_total", camera=camera)
        return captured - dropped - self.judged(camera)

    def kept_up(self, camera: str) -> float:
        """Frames that a camera gave when they were due."""
        late = self.total("streamline_frames_dropped_total", camera=camera, reason="overrun")
        return self.total("streamline_frames_captured_total", camera=camera) - late

    def close(self) -> None:
        """Unmap them."""
        self._views.close()
