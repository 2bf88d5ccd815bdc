"""No folder is taken for private that other users could write into."""

import os
import stat
from pathlib import Path

import pytest

from streamline.errors import InputError
from streamline.run.places import passed_over, private_base

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


def not_taken(name: str) -> None:
    """Hold that the folder is refused, or passed over where others may have set its name."""
    if name == "RUNTIME_DIRECTORY":
        with pytest.raises(InputError, match=rf"^{name}: any user may write into /.*/base, or it"):
            private_base()
        assert passed_over() is None
        return
    base = private_base()
    assert base.name == f"streamline-{os.getuid()}"
    assert Path(os.environ[name]) not in base.parents
    assert stat.S_IMODE(base.stat().st_mode) == 0o700
    assert private_base() == base
    assert passed_over() == Path(os.environ[name])


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755, 0o770, 0o775, 0o2775])
def test_a_folder_of_ours_that_only_our_group_may_write_into_too_is_taken(
    named: tuple[Path, str], mode: int
) -> None:
    named[0].chmod(mode)
    assert private_base() == named[0]
    assert passed_over() is None


@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_one_that_all_write_into_is_not_taken(named: tuple[Path, str], mode: int) -> None:
    named[0].chmod(mode)
    not_taken(named[1])
    assert list(named[0].iterdir()) == []


def test_an_unsafe_one_of_the_session_is_nothing_to_a_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, service = tmp_path / "session", tmp_path / "service"
    session.mkdir()
    session.chmod(0o777)
    service.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(service))
    assert (private_base(), passed_over()) == (service, None)


def test_in_one_where_each_keeps_his_own_ours_is_made(named: tuple[Path, str]) -> None:
    named[0].chmod(0o1777)
    below = private_base()
    assert below == named[0] / f"streamline-{os.getuid()}"
    assert stat.S_IMODE(below.stat().st_mode) == 0o700
    below.chmod(0o777)
    assert private_base() == below
    assert stat.S_IMODE(below.stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_stands_in_its_place_is_not_taken(named: tuple[Path, str], kind: str) -> None:
    folder, name = named
    folder.chmod(0o1777)
    place = folder / f"streamline-{os.getuid()}"
    if kind == "link":
        (folder / "elsewhere").mkdir()
        place.symlink_to(folder / "elsewhere")
    else:
        place.touch()
    not_taken(name)


@as_root
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o1777])
def test_another_users_folder_is_not_taken(named: tuple[Path, str], mode: int) -> None:
    named[0].chmod(mode)
    os.chown(named[0], NOBODY, NOBODY)
    not_taken(named[1])


@as_root
def test_another_users_folder_in_the_place_of_ours_is_not_taken(named: tuple[Path, str]) -> None:
    folder, name = named
    folder.chmod(0o1777)
    place = folder / f"streamline-{os.getuid()}"
    place.mkdir()
    os.chown(place, NOBODY, NOBODY)
    not_taken(name)


def test_one_that_is_not_there_is_for_its_user_to_tell(named: tuple[Path, str]) -> None:
    named[0].rmdir()
    assert private_base() == named[0]
