"""Rigs: lines that are hurt, with all that they depend on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from streamline.source.synthetic import rendered_clip
from tests.support import mosquitto
from tests.support.disks import require_disk
from tests.support.rtsp_server import require_gstreamer
from tools.faults.clock import FalseClock
from tools.faults.model import nervous_model
from tools.faults.rig import Layout, Rig

MakeRig = Callable[[Layout], Rig]


@pytest.fixture(scope="session")
def nervous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that raises alerts all the time."""
    return nervous_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def make_rig(tmp_path: Path, nervous: Path) -> MakeRig:
    """Make a rig; skip where the host can't have one."""

    def made(layout: Layout) -> Rig:
        require(layout, tmp_path)
        return Rig(tmp_path / "rig", rendered_clip("inspect", 0), nervous, layout)

    return made


def require(layout: Layout, folder: Path) -> None:
    if layout.served:
        require_gstreamer()
    if layout.broker and not mosquitto.is_installed():
        pytest.skip("no mosquitto here")
    if layout.clock and FalseClock.library() is None:
        pytest.skip("no libfaketime here; apt-get install faketime")
    if layout.disk_mb:
        require_disk(folder / "probe", breaks=layout.breaks)
