"""How frames get from their source to preprocess: copied between processes, lent within one."""

import numpy as np
import pytest

from streamline.clock import SAME_CLOCK
from streamline.errors import WireError
from streamline.messages import Frame, FrameId, Origin, Picture, PixelFormat
from streamline.transport.parcels import Copied, Lent, Parcels


def frame(seq: int = 0) -> Frame:
    """A frame whose rows are padded, as a decoder's may be."""
    rows = np.random.default_rng(seq).integers(0, 256, (6, 10), np.uint8)
    picture = Picture(format=PixelFormat.GRAY, planes=(rows[:, :8],))
    return Frame(origin=Origin(FrameId("left", 7, seq), 1, 2, 0, 0.5), picture=picture)


@pytest.mark.parametrize("parcels", [Copied(), Lent()], ids=["copied", "lent"])
def test_each_message_brings_the_frame_that_was_packed(parcels: Parcels) -> None:
    frames = [frame(0), frame(1)]
    packed = [parcels.pack(one) for one in frames]
    for sent, parts in zip(frames, packed, strict=True):
        received = parcels.unpack(parts, SAME_CLOCK)
        assert received.origin == sent.origin
        np.testing.assert_array_equal(received.picture.planes[0], sent.picture.planes[0])


def test_a_lent_frame_is_neither_copied_nor_kept_once_it_is_discarded() -> None:
    lent, whole = Lent(), frame()
    parts = lent.pack(whole)
    assert lent.unpack(parts, SAME_CLOCK) is whole
    lent.discard(whole)
    with pytest.raises(WireError, match="no frame of this process"):
        lent.unpack(parts, SAME_CLOCK)


@pytest.mark.parametrize("parts", [[], [b"left/7/1"], [b"left/7/0", b"more"]])
def test_what_names_no_lent_frame_is_refused(parts: list[bytes]) -> None:
    lent = Lent()
    lent.pack(frame())
    with pytest.raises(WireError):
        lent.unpack(parts, SAME_CLOCK)
