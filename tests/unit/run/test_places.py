"""No folder is taken for private that other users could write into."""

import os
import stat
from pathlib import Path

import pytest

from streamline.errors import InputError
from streamline.run.places import private_base

NOBODY = 65534

as_root = pytest.mark.skipif(os.getuid() != 0, reason="gives folders to another user")


@pytest.fixture(params=["RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"])
def named(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, str]:
    """A folder that the environment names, and by what."""
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    folder, name = tmp_path / "base", str(request.param)
    folder.mkdir()
    monkeypatch.setenv(name, str(folder))
    return folder, name


def refused(name: str) -> str:
    return rf"^{name}: other users may write into /.*/base, or it is another's; set it to a folder"


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755])
def test_a_folder_of_ours_that_nobody_else_writes_into_is_taken(
    named: tuple[Path, str], mode: int
) -> None:
    named[0].chmod(mode)
    assert private_base() == named[0]


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_one_that_others_write_into_is_refused(named: tuple[Path, str], mode: int) -> None:
    named[0].chmod(mode)
    with pytest.raises(InputError, match=refused(named[1])):
        private_base()
    assert list(named[0].iterdir()) == []


def test_in_one_where_each_keeps_his_own_ours_is_made(named: tuple[Path, str]) -> None:
    named[0].chmod(0o1777)
    below = private_base()
    assert below == named[0] / f"streamline-{os.getuid()}"
    assert stat.S_IMODE(below.stat().st_mode) == 0o700
    below.chmod(0o777)
    assert private_base() == below
    assert stat.S_IMODE(below.stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_stands_in_its_place_is_refused(named: tuple[Path, str], kind: str) -> None:
    folder, name = named
    folder.chmod(0o1777)
    place = folder / f"streamline-{os.getuid()}"
    if kind == "link":
        (folder / "elsewhere").mkdir()
        place.symlink_to(folder / "elsewhere")
    else:
        place.touch()
    with pytest.raises(InputError, match=refused(name)):
        private_base()


@as_root
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o1777])
def test_another_users_folder_is_refused(named: tuple[Path, str], mode: int) -> None:
    named[0].chmod(mode)
    os.chown(named[0], NOBODY, NOBODY)
    with pytest.raises(InputError, match=refused(named[1])):
        private_base()


@as_root
def test_another_users_folder_in_the_place_of_ours_is_refused(named: tuple[Path, str]) -> None:
    folder, name = named
    folder.chmod(0o1777)
    place = folder / f"streamline-{os.getuid()}"
    place.mkdir()
    os.chown(place, NOBODY, NOBODY)
    with pytest.raises(InputError, match=refused(name)):
        private_base()


def test_one_that_is_not_there_is_for_its_user_to_tell(named: tuple[Path, str]) -> None:
    named[0].rmdir()
    assert private_base() == named[0]
