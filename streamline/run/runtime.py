"""Where a running line keeps its sockets and counters, and how its links are addressed."""

import fcntl
import hashlib
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit
from uuid import uuid4

import structlog

import streamline
from streamline.config import Pipeline
from streamline.errors import InputError
from streamline.ledger import LedgerView, await_writer
from streamline.run.places import passed_over, private_base, state_base

__all__ = ["Runtime", "outbox_path"]

_log = structlog.get_logger("streamline.run")

_LEDGER: Final = ".ledger"
_SPARE: Final = "outbox-"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_LONGEST_SOCKET_PATH: Final = 107


def outbox_path(pipeline: Pipeline) -> Path:
    """Return the file in which a line's alerts wait: a later start goes on with it."""
    return pipeline.alert.outbox.path or state_base() / f"{_named(pipeline)}.outbox"


def _named(pipeline: Pipeline, part: str = "") -> str:
    mark = hashlib.sha256(f"{pipeline.file}\0{part}".encode()).hexdigest()[:8]
    return f"{pipeline.name[:24]}-{mark}"


def _program() -> str:
    """Name what counts, and since when the host has been up: ledgers are of one and the same.

    A checkout changes without its version, and a host that lost its power may have lost a part of
    what was written.
    """
    modules = Path(streamline.__file__).parent.rglob("*.py")
    newest_ns = max(module.stat().st_mtime_ns for module in modules)
    boot = _BOOT.read_text() if _BOOT.exists() else ""
    return f"{streamline.__version__}\0{newest_ns}\0{boot}"


def _is_spare(entry: Path) -> bool:
    """Whether alerts wait in it: they are owed, whatever else ends or is begun anew."""
    return entry.name.startswith(_SPARE) and not entry.suffix


class Runtime:
    """The line's private folder: mode 0700, in memory where the host allows it.

    Its name follows from the line's, so that a line started again finds what a killed one left
    behind; a lock keeps two lines of one name and file apart.

    A line that was killed is gone on with: its counters stay, and the run that it recorded.  A part
    of a line goes on with the counters of the one before however that ended: the parts on other
    hosts live on, and what was judged and captured before is still part of their account.

    Parameters
    ----------
    folder : Path
    made_for : str
        Counters that were made for the same are gone on with; empty: for none.
    lasting : bool
        Whether they stay when the line ends in good order.
    """

    def __init__(self, folder: Path, made_for: str = "", *, lasting: bool = False) -> None:
        self.folder = folder
        self.goes_on = False
        """Whether there are counters to go on with."""

        self._same = made_for
        self._lasting = lasting

    @classmethod
    def of(cls, pipeline: Pipeline, part: str = "") -> "Runtime":
        """Return the folder that belongs to *pipeline*; `part` names a stage run on its own."""
        same = f"{_program()}\0{pipeline!r}"
        return cls(private_base() / _named(pipeline, part), same, lasting=bool(part))

    def acquire(self, models: str = "") -> int:
        """Make the folder ours and clear it; return the descriptor that holds the lock.

        Parameters
        ----------
        models : str
            What names the models that it is for: the run of a killed line is not gone on with under
            others.  Parts of one line don't know of each other's, so they pass none.

        Raises
        ------
        InputError
            If the same line is running already, a worker of a killed one lives on, or the folder
            can't be made.
        """
        if (unsafe := passed_over()) is not None:
            _log.warning(
                "XDG_RUNTIME_DIR is another user's, or any user may write there; passed over",
                named=str(unsafe),
                taken=str(self.folder.parent),
            )
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            lock = os.open(f"{self.folder}.lock", flags, 0o600)
        except OSError as exc:
            self._refuse(exc)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Only with the lock: a line that is just ending removes the folder.
            self._clear(hashlib.sha256(f"{self._same}\0{models}".encode()).hexdigest())
        except BlockingIOError:
            os.close(lock)
            msg = "this line is running already; stop it first, or copy the pipeline file"
            raise InputError(msg) from None
        except InputError:
            os.close(lock)
            raise
        except OSError as exc:
            os.close(lock)
            self._refuse(exc)
        return lock

    def _clear(self, same: str) -> None:
        """Remove what is not gone on with, once nobody of a line before writes it any more."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        found = self.folder.lstat()
        # Who may write beside it could have put a link or a folder of his own there.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            msg = (
                f"{self.folder}: is no folder of this user's own; remove it, or set XDG_RUNTIME_DIR"
            )
            raise InputError(msg)
        self.folder.chmod(0o700)
        before = self._made_for.read_text().split() if self._made_for.exists() else []
        for worker in self.workers():
            await_writer(self.ledger(worker))
        self.goes_on = len(before) == 2 and before[0] == same
        if not self.goes_on:
            self._made_for.unlink(missing_ok=True)  # First: what is left is half of something.
            self._tell_what_is_lost()
        for entry in self.folder.iterdir():
            if not self._is_gone_on_with(entry):
                entry.unlink()
        if self._same:
            account = before[1] if self.goes_on else uuid4().hex
            self._made_for.write_text(f"{same} {account}")

    def _tell_what_is_lost(self) -> None:
        """Log what a killed line had under way, where nobody will account for it."""
        lost = 0.0
        for worker in self.workers():
            with suppress(ValueError):  # Of a release that counted otherwise.
                view = LedgerView(self.ledger(worker))
                lost += sum(view.values("streamline_frames_in_flight").values())
                view.close()
        if lost:
            _log.warning(
                "a line was killed that had another file, model or release: counts begin anew",
                frames_lost=int(lost),
            )

    def _is_gone_on_with(self, entry: Path) -> bool:
        if _is_spare(entry):
            return True
        # A part's record of a run ends with it, whatever follows.
        stays = entry.suffix == _LEDGER or (entry == self.audit and not self._lasting)
        return self.goes_on and stays

    @property
    def _made_for(self) -> Path:
        return self.folder / "made-for"

    @property
    def account(self) -> str:
        """Names what a part's counters go on with: under another name they began at zero."""
        return self._made_for.read_text().split()[1]

    def _refuse(self, cause: OSError) -> NoReturn:
        msg = f"{self.folder}: can't be made ({cause.strerror}); set XDG_RUNTIME_DIR"
        raise InputError(msg) from cause

    def conclude(self) -> None:
        """Note that the run is over: who starts now begins another, though we be killed yet."""
        if not self._lasting:
            self._made_for.unlink(missing_ok=True)

    def release(self, lock: int) -> None:
        """Give up the lock, whose empty file stays; remove a whole line's folder.

        Without its name, one that waits for this file and one that makes a new one would both
        hold the lock.  A part of a line leaves its counters to the next that is started, and so
        does a line that has gone on with a killed one's, and did not come to its end either.
        Alerts that no disk has taken are left to the next in any case.
        """
        if not self._lasting and not (self.goes_on and self._made_for.exists()):
            # It stays with what is left in it, and where nothing can be opened for now.
            with suppress(OSError):
                for entry in self.folder.iterdir():
                    if not _is_spare(entry):
                        entry.unlink(missing_ok=True)
                self.folder.rmdir()
        os.close(lock)

    @property
    def was_killed(self) -> bool:
        """Whether it is the run of a line that was killed that is gone on with."""
        return self.goes_on and not self._lasting

    def spare(self, outbox: Path) -> Path:
        """Return where alerts wait while the disk of their outbox takes none."""
        mark = hashlib.sha256(str(outbox).encode()).hexdigest()[:8]
        return self.folder / f"{_SPARE}{mark}"

    @property
    def control(self) -> Path:
        """File of the line's phase."""
        return self.folder / "control"

    def ledger(self, worker: str) -> Path:
        """File of a worker's counters."""
        return self.folder / f"{worker}{_LEDGER}"

    def workers(self) -> list[str]:
        """Names of the workers that have opened their counters; none where no line has begun."""
        try:
            names = os.listdir(self.folder)  # noqa: PTH208 - asked for many times a second
        except FileNotFoundError:
            return []
        return [name.removesuffix(_LEDGER) for name in sorted(names) if name.endswith(_LEDGER)]

    def failure(self, worker: str) -> Path:
        """File in which a worker says why it could not start."""
        return self.folder / f"{worker}.failure"

    def shelf(self, camera: str) -> Path:
        """File in which a camera's prepared pixels wait."""
        return self.folder / f"{camera}.shelf"

    @property
    def models(self) -> Path:
        """File that says which models the line started with."""
        return self.folder / "models"

    @property
    def audit(self) -> Path:
        """File that says where the run's audit record is; missing where there is none."""
        return self.folder / "audit"

    def address(self, link: str, kind: str, number: int = 0) -> str:
        """Return the endpoint of a link configured as *kind*: inproc, ipc or ``tcp://…``.

        Of several ends of one link each has a number, and the port so many after the first one's.
        """
        if kind == "inproc":
            return f"inproc://{self.folder.name}/{link}"
        if kind == "ipc":
            return self._socket_path(f"{link}-{number}" if number else link)
        parts = urlsplit(kind)
        try:
            found = socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
        except OSError as exc:
            msg = f"links.{link}: host {parts.hostname!r} is not known here; use its IP address"
            raise InputError(msg) from exc
        # Both ends must come to the same address: a name that has both kinds means IPv4.
        family, *_, (host, *_) = min(found, key=lambda one: one[0] != socket.AF_INET)
        host = host if family == socket.AF_INET else f"[{host}]"
        return f"tcp://{host}:{(parts.port or 0) + number}"

    def _socket_path(self, link: str) -> str:
        path = self.folder / f"{link}.sock"
        if len(str(path)) > _LONGEST_SOCKET_PATH:
            msg = f"{path}: too long for a socket; set XDG_RUNTIME_DIR to a shorter folder"
            raise InputError(msg)
        return f"ipc://{path}"
