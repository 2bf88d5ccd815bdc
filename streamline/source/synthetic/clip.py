"""Rendered clips as video files, kept in the user's cache."""

import hashlib
import tempfile
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np

from streamline.caches import cache_folder
from streamline.source.synthetic.course import FPS
from streamline.source.synthetic.machine import PICTURE
from streamline.source.synthetic.scene import Clip, Part, render
from streamline.source.synthetic.truth import Truth, read_truth, write_truth

__all__ = ["rendered_clip", "rendered_truth"]

_CODING = {"preset": "ultrafast", "crf": "20", "bf": "0", "g": "25", "threads": "1"}


def rendered_clip(part: Part, seed: int) -> Path:
    """Return the H.264 file of a clip, rendering it if it is not in the cache.

    It lies under ``$XDG_CACHE_HOME/streamline/demo`` (``~/.cache/streamline/demo``) with its
    truth beside it, 640x360 at 25 fps. Files appear whole or not at all, so that processes may
    ask for the same clip at once; what another edition of this package rendered is left alone.
    """
    path = cache_folder("demo") / f"line-{_edition()}-{part}-{seed}.mp4"
    if path.exists() and _truth_path(path).exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    clip = render(part, seed)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=path.parent) as folder:
        new = Path(folder) / path.name
        _encode(clip, new)
        write_truth(clip.truth, _truth_path(new))
        _truth_path(new).replace(_truth_path(path))
        new.replace(path)
    return path


def rendered_truth(part: Part, seed: int) -> Truth:
    """Return what is known of a clip, rendering it if it is not in the cache."""
    return read_truth(_truth_path(rendered_clip(part, seed)))


@cache
def _edition() -> str:
    """Name what is rendered by the code that renders it: a number is forgotten to be raised."""
    digest = hashlib.sha256()
    for module in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(module.name.encode() + b"\0" + module.read_bytes())
    return digest.hexdigest()[:12]


def _truth_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _encode(clip: Clip, path: Path) -> None:
    height, width = PICTURE
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options=_CODING)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for number, picture in enumerate(clip):
            planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420), np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
