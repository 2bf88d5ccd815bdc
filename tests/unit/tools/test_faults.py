"""How a hurt line's books are read."""

from collections.abc import Sequence
from typing import Any

import pytest

from tools.faults.books import ends_missing


def events(*steps: tuple[str, str, int]) -> list[dict[str, Any]]:
    """Kind, camera and frame of the begin of each event."""
    return [
        {"type": kind, "id": f"{camera}-{seq}", "camera": camera, "incarnation": 1, "seq": seq}
        for kind, camera, seq in steps
    ]


@pytest.mark.parametrize(
    ("steps", "missing"),
    [
        pytest.param([("new", "a", 1), ("end", "a", 1)], 0, id="ended"),
        pytest.param([("new", "a", 1)], 0, id="on-still"),
        pytest.param([("new", "a", 1), ("new", "a", 2), ("end", "a", 2)], 1, id="an-older-one"),
        pytest.param([("new", "a", 1), ("new", "b", 2)], 0, id="one-of-each-camera"),
        pytest.param([("new", "a", 1), ("new", "b", 2), ("new", "a", 3)], 1, id="between"),
    ],
)
def test_of_each_camera_only_the_latest_alert_may_be_without_its_end(
    steps: Sequence[tuple[str, str, int]], missing: int
) -> None:
    assert ends_missing(events(*steps)) == missing
