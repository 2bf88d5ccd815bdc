"""The phase of a line, as its workers see it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamline.run.control import Control, Phase


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The control file of a line that this process supervises."""
    Control.create(tmp_path / "control")
    return tmp_path / "control"


def test_a_line_begins_by_starting(path: Path) -> None:
    assert Control(path).phase is Phase.STARTING


def test_every_worker_sees_the_phase_that_was_entered(path: Path) -> None:
    supervisor, worker = Control(path), Control(path)
    for phase in (Phase.RUNNING, Phase.DRAINING, Phase.FINISHING):
        supervisor.enter(phase)
        assert (worker.phase, supervisor.phase) == (phase, phase)


@given(phases=st.lists(st.sampled_from(Phase)))
def test_the_phase_only_ever_goes_up(
    phases: list[Phase], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("line") / "control"
    Control.create(path)
    control = Control(path)
    for number, phase in enumerate(phases):
        control.enter(phase)
        assert control.phase == max(phases[: number + 1])
