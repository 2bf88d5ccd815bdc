"""How far sensor noise alone moves a frame's features: what differs less is the same frame."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamline.backbone import Backbone
from streamline.learn.features import stream_features
from streamline.learn.settings import AnyFitSettings

__all__ = ["noise_distance"]

Frame = npt.NDArray[np.uint8]

_NOISE = 1.0
"""Standard deviation of the noise, grey levels of the prepared frame. A camera's 2 to 4 levels
come down to about this when a picture of many hundred rows is scaled to the model's input. With
it, 66 rendered parts count as 36, 60 photographed bottles as 58, a still scene with twice the
noise as 1.3."""


def noise_distance(net: Backbone, settings: AnyFitSettings, frames: Sequence[Frame], /) -> float:
    """Median distance between the deepest features of a frame with noise and with other noise.

    Both carry noise, as any two pictures of a camera do: noise also moves a clean picture's
    features all to one side, which would be taken for far more. It is the same in every run.

    Parameters
    ----------
    frames : sequence of arrays of shape (height, width, 3)
        Not modified.
    """
    generator = np.random.default_rng(0)
    noisy = [_noisy(frame, generator) for frame in (*frames, *frames)]
    # All layers, though one is looked at: the graph that the fit's own features come from.
    batches = stream_features(net, settings.passes[:1], noisy, settings.compute, settings.mask)
    features = np.concatenate([batch[settings.deepest] for (batch,) in batches])
    apart = features[len(frames) :] - features[: len(frames)]
    return float(np.median(np.linalg.norm(apart.astype(np.float64), axis=1)))


def _noisy(frame: Frame, generator: np.random.Generator) -> Frame:
    noise = _NOISE * generator.standard_normal(frame.shape, np.float32)
    return np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8)
