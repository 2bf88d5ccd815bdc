"""YUV to RGB against FFmpeg's own scaler, on real pictures."""

from pathlib import Path

import av
import numpy as np

from streamline.colour import to_rgb
from streamline.messages import Picture, PixelFormat


def test_conversion_agrees_with_swscale_on_real_frames(shared_dir: Path) -> None:
    """Swscale rounds roughly and sites chroma otherwise: 1.3 levels apart in the mean."""
    video = shared_dir / "data" / "video" / "bottle-detection.mp4"
    with av.open(str(video)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 50:
                continue
            height, width = frame.height, frame.width
            stacked = frame.to_ndarray().ravel().astype(np.uint8)
            luma, chroma_u, chroma_v = np.split(stacked, [height * width, height * width * 5 // 4])
            half = (height // 2, width // 2)
            planes = (
                luma.reshape(height, width),
                chroma_u.reshape(half),
                chroma_v.reshape(half),
            )
            got = to_rgb(Picture(format=PixelFormat.I420, planes=planes))
            expected = frame.to_ndarray(format="rgb24", interpolation="POINT")
            difference = np.abs(got.astype(int) - expected)
            assert np.percentile(difference, 99) <= 3
            assert difference.mean() <= 1.5
            if number >= 300:
                return
