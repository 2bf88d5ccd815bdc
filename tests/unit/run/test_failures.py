"""What a worker leaves behind when it can't go on."""

from pathlib import Path

import pytest

from streamline.errors import ConfigError, InputError, LineError, ModelError, StreamlineError
from streamline.run.failures import leave_failure, read_failure


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConfigError("line.yaml:3: infer.device: none"), ConfigError),
        (ModelError("model: is no model"), InputError),
        (InputError("clip.mp4: not found"), InputError),
        (LineError("the supervisor is gone"), LineError),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_failure_is_read_as_what_decides_how_it_is_told(
    error: StreamlineError, kind: type[StreamlineError], tmp_path: Path
) -> None:
    leave_failure(error, tmp_path / "infer.failure")
    found = read_failure(tmp_path / "infer.failure")
    assert (type(found), str(found)) == (kind, str(error))


def test_who_left_no_word_gave_no_reason(tmp_path: Path) -> None:
    assert read_failure(tmp_path / "infer.failure") is None


def test_a_word_of_which_a_full_disk_took_but_a_part_is_none(tmp_path: Path) -> None:
    path = tmp_path / "infer.failure"
    leave_failure(InputError("clip.mp4: not found"), path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert read_failure(path) is None
