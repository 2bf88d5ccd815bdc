"""A line that needs no camera: seeded clips of an inspection line with known defects."""

from streamline.source.synthetic.clip import rendered_clip, rendered_truth
from streamline.source.synthetic.course import FPS
from streamline.source.synthetic.defects import DefectKind
from streamline.source.synthetic.machine import PICTURE
from streamline.source.synthetic.scene import Clip, Part, render
from streamline.source.synthetic.truth import Episode, FrameTruth, Truth

__all__ = [
    "FPS",
    "PICTURE",
    "Clip",
    "DefectKind",
    "Episode",
    "FrameTruth",
    "Part",
    "Truth",
    "render",
    "rendered_clip",
    "rendered_truth",
]
