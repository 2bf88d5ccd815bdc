"""Pictures to model input: region, scale, colour."""

from streamline.preprocess.scale import PREPROCESSING, prepare

__all__ = ["PREPROCESSING", "prepare"]
