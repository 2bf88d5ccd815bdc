"""A line that would not find room in memory is not begun."""

from pathlib import Path

import pytest

from streamline.config import Pipeline
from streamline.errors import InputError
from streamline.run.room import require_room, shared_memory_bytes

HUGE = {"left": (100_000, 100_000)}
SMALL = {"left": (256, 256)}


def test_what_finds_room_is_begun(pipeline: Pipeline, tmp_path: Path) -> None:
    require_room(tmp_path, pipeline, SMALL)


def test_what_finds_none_is_refused_in_a_sentence_that_says_how_much_it_takes(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    needs_mb = shared_memory_bytes(pipeline, HUGE) / 1e6
    with pytest.raises(InputError, match=f"needs {needs_mb:.0f} MB of shared memory") as caught:
        require_room(tmp_path, pipeline, HUGE)
    assert f"shm_size: {2 * needs_mb:.0f}m" in str(caught.value)
    assert "\n" not in str(caught.value)
