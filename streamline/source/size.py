"""The size that a camera's pictures must have, however often it is opened."""

from streamline.messages import Picture

__all__ = ["ExpectedSize"]

Roi = tuple[int, int, int, int]
Size = tuple[int, int]


class ExpectedSize:
    """Knows which pictures of a camera can be judged.

    Parameters
    ----------
    size : (width, height), optional
        What pictures must have, px; None: what the first one has.
    roi : (x, y, width, height), optional
        The part that is looked at, px; every picture must hold it.
    adopts : bool
        Whether a picture of another size changes what is expected.

    Examples
    --------
    >>> import numpy as np
    >>> from streamline.messages import PixelFormat
    >>> def grey(width, height):
    ...     plane = np.zeros((height, width), np.uint8)
    ...     return Picture(format=PixelFormat.GRAY, planes=(plane,))
    >>> size = ExpectedSize()
    >>> size.wrong(grey(64, 48)), size.wrong(grey(64, 48)), size.expected
    (None, None, (64, 48))
    >>> size.wrong(grey(32, 24))
    'its pictures are 32x24 instead of 64x48 px'
    """

    def __init__(
        self, size: Size | None = None, *, roi: Roi | None = None, adopts: bool = False
    ) -> None:
        self.expected = size
        """Width and height, px; None until a picture has come."""

        self._roi = roi
        self._adopts = adopts

    def wrong(self, picture: Picture) -> str | None:
        """Say in words what is wrong with a picture's size; None if nothing is."""
        width, height = size = (picture.width, picture.height)
        if self._roi is not None:
            x, y, roi_width, roi_height = self._roi
            if x + roi_width > width or y + roi_height > height:
                roi = list(self._roi)
                return f"its pictures are {width}x{height} px, the roi {roi} lies not within"
        if self.expected is None or self._adopts:
            self.expected = size
        if size != self.expected:
            wanted = "x".join(map(str, self.expected))
            return f"its pictures are {width}x{height} instead of {wanted} px"
        return None
