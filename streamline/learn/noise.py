"""How far sensor noise alone moves a frame's features: what differs less is the same frame."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamline.backbone import Backbone
from streamline.infer import Compute, extract_features

__all__ = ["noise_distance"]

Frame = npt.NDArray[np.uint8]

_NOISE = 2.0
"""Standard deviation of the noise, grey levels of the prepared frame. A camera's 3 to 6 levels
come down to this when a picture of many hundred rows is scaled to the model's input."""


def noise_distance(
    net: Backbone, layer: str, frames: Sequence[Frame], compute: Compute, /
) -> float:
    """Median distance between a frame's features and those of the same frame with noise.

    The noise is the same in every run.

    Parameters
    ----------
    frames : sequence of arrays of shape (height, width, 3)
        Not modified.
    """
    generator = np.random.default_rng(0)
    noisy = [
        np.clip(np.rint(frame + generator.normal(0, _NOISE, frame.shape)), 0, 255).astype(np.uint8)
        for frame in frames
    ]
    both = extract_features(net, [layer], [*frames, *noisy], compute=compute)
    features = np.concatenate([batch[layer] for batch in both])
    moved = features[len(frames) :] - features[: len(frames)]
    return float(np.median(np.linalg.norm(moved.astype(np.float64), axis=1)))
