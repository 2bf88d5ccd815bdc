"""Whether a camera still shows its scene: apart from defects, and before anything is judged.

`SceneWatch` looks at the prepared frames of one camera and says what is wrong with them.  What
normal is, it reads from a `SceneReference`, which `ReferenceBuilder` makes of normal frames.
`DriftWatch` does the same for what comes out at the other end: the p-values of scores.
"""

from streamline.scene.drift import DriftWatch
from streamline.scene.look import THUMBNAIL, look_at
from streamline.scene.reference import Range, ReferenceBuilder, SceneReference
from streamline.scene.watch import Findings, SceneWatch

__all__ = [
    "THUMBNAIL",
    "DriftWatch",
    "Findings",
    "Range",
    "ReferenceBuilder",
    "SceneReference",
    "SceneWatch",
    "look_at",
]
