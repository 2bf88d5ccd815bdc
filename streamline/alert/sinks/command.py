"""Alerts given to a program of the user's."""

import os
import signal
import subprocess
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final

__all__ = ["Command"]

_SHOWN: Final = 200

_GIVEN: Final = frozenset(
    {"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER"}
)
"""And all that begin with `LC_`: of the user and of the language, without a camera's password."""


class Command:
    """Run a program for each event, which it reads from its standard input.

    Parameters
    ----------
    arguments : sequence of str
        The program and its arguments; no shell reads them.
    env : collection of str
        Environment variables that it is given as well: it does not see all that the line has.
    timeout_s : float
        After this long it is killed, with everything that it has started, s.
    """

    def __init__(
        self, arguments: Sequence[str], *, env: Collection[str] = (), timeout_s: float
    ) -> None:
        self._arguments = list(arguments)
        self._env = {
            name: value
            for name, value in os.environ.items()
            if name in _GIVEN or name.startswith("LC_") or name in env
        }
        self._timeout_s = timeout_s

    def deliver(self, alert_id: str, event: bytes, /) -> None:
        """Run it once; any exit status but 0 is a failure."""
        with subprocess.Popen(  # noqa: S603 - the operator's own program, without a shell
            self._arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**self._env, "STREAMLINE_ALERT": alert_id},
            start_new_session=True,
        ) as process:
            try:
                _, words = process.communicate(event, self._timeout_s)
            except subprocess.TimeoutExpired as exc:
                msg = f"{self._arguments[0]} took longer than {self._timeout_s:g} s and was killed"
                raise OSError(msg) from exc
            finally:
                # All that it has started too: none of it may outlive its time.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if process.returncode:
            last = (words.decode(errors="replace").strip().splitlines() or ["it says nothing"])[-1]
            msg = f"{self._arguments[0]} ends with status {process.returncode}: {last[:_SHOWN]}"
            raise OSError(msg)

    def close(self) -> None:
        """Nothing is held."""
