"""The folder in which the process that workers are forked from listens."""

import fcntl
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import pytest

from streamline.errors import InputError
from streamline.run.supervision import nursery as module
from streamline.run.supervision.nursery import nursery

OPEN = "import sys, pathlib; from streamline.run.supervision.nursery import nursery; "
OPEN += "print(nursery(pathlib.Path(sys.argv[1])), flush=True); sys.stdin.read()"


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder with a name as short as on a host."""
    with TemporaryDirectory(prefix="sl") as folder:
        yield Path(folder)


def other(base: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start another process that has made its folder; it ends when its input does."""
    command = [sys.executable, "-c", OPEN, str(base)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def folders(base: Path) -> set[Path]:
    return {path for path in base.iterdir() if path.is_dir()}


def test_a_process_that_ends_takes_its_folder_with_it(base: Path) -> None:
    process, folder = other(base)
    assert folders(base) == {folder}
    process.communicate()
    assert folders(base) == set()


def test_the_folder_of_a_killed_process_goes_with_the_next_and_that_of_a_living_one_stays(
    base: Path,
) -> None:
    (killed, left), (living, kept) = other(base), other(base)
    (left / "listener").touch()
    killed.kill()
    killed.communicate()
    assert folders(base) == {left, kept}
    following, fresh = other(base)
    assert folders(base) == {kept, fresh}
    for process in (living, following):
        process.communicate()


def test_a_folder_that_its_process_removes_while_it_is_looked_at_is_no_concern(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "sl-fork-ending").mkdir()
    look = module._remove_if_left

    def look_too_late(folder: Path) -> None:
        folder.rmdir()
        look(folder)

    monkeypatch.setattr(module, "_remove_if_left", look_too_late)
    assert folders(base) == {base / "sl-fork-ending"}
    fresh = nursery(base)
    assert folders(base) == {fresh}


def test_below_a_base_too_long_for_a_socket_the_usual_folder_is_taken(tmp_path: Path) -> None:
    base = tmp_path / ("x" * 60)
    base.mkdir()
    assert nursery(base) == Path(gettempdir())
    assert list(base.iterdir()) == []


def test_a_lock_that_somebody_keeps_is_not_waited_for_for_ever(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.1)
    with (base / "sl-fork-lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        sentence = rf"^{re.escape(held.name)}: another process has held it for 0\.1 s; end it \("
        with pytest.raises(InputError, match=sentence):
            nursery(base)
    assert nursery(base).is_dir()


def test_a_lock_that_leads_elsewhere_is_not_followed(base: Path) -> None:
    (base / "sl-fork-lock").symlink_to(base / "elsewhere")
    with pytest.raises(InputError, match=r"sl-fork-lock: can't be made \(Too many levels of symb"):
        nursery(base)
    assert not (base / "elsewhere").exists()
