"""A real RTSP server on loopback, which tests may stop, start, freeze and thaw."""

import functools
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self
from urllib.parse import quote

import pytest

from tests.support.ports import free_port

__all__ = ["RtspServer", "require_gstreamer"]

_PYTHON = "/usr/bin/python3"
_PROBE = (
    "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0');"
    "from gi.repository import Gst, GstRtspServer; Gst.init(None);"
    "names = ['qtdemux', 'h264parse', 'rtph264pay'];"
    "missing = [n for n in names if not Gst.ElementFactory.find(n)];"
    "raise SystemExit(f'without {missing}' if missing else 0)"
)


@functools.cache
def _missing() -> str:
    """Say why there can be no server; empty if there can."""
    if not Path(_PYTHON).exists():
        return f"no {_PYTHON}"
    probe = subprocess.run(
        [_PYTHON, "-c", _PROBE], capture_output=True, text=True, check=False, timeout=60
    )
    return "" if probe.returncode == 0 else (probe.stderr.strip().splitlines() or ["?"])[-1]


def require_gstreamer() -> None:
    """Skip the test where GStreamer's RTSP server is not installed."""
    if why := _missing():
        pytest.skip(
            f"no GStreamer RTSP server ({why}); apt-get install python3-gi "
            "gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
        )


class RtspServer:
    """Serves an H.264 MP4 file at `url` while the context is open.

    Each client gets the file from its start, in real time, and the end of the stream after it.
    To serve for longer than the file lasts, give it a file from `tests.support.clips.repeat`.

    Parameters
    ----------
    video : Path
        The file.
    user, password : str, optional
        What a client must know.
    method : {"basic", "digest"}
        How it must prove that.
    """

    def __init__(
        self,
        video: Path,
        *,
        user: str = "",
        password: str = "",
        method: Literal["basic", "digest"] = "digest",
    ) -> None:
        require_gstreamer()
        self.video = video
        """What it serves; another one, from its next start on."""

        self._account = [method, user, password] if user else ["none"]
        self._port = free_port()
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Address without credentials, from before the first start on."""
        return f"rtsp://127.0.0.1:{self._port}/stream"

    def url_for(self, user: str, password: str) -> str:
        """Address with credentials in it."""
        account = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return self.url.replace("://", f"://{account}@")

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        return self._running().pid

    def start(self) -> None:
        """Start the server, or start it again at the same address; wait until it listens."""
        script = Path(__file__).with_name("rtsp_serve.py")
        command = [_PYTHON, str(script), str(self.video), str(self._port), *self._account]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = _output(self._process).readline().split()
        if line != ["listening", str(self._port)]:
            self.stop()
            msg = f"the RTSP server did not start: {line}"
            raise RuntimeError(msg)

    def stop(self) -> None:
        """End the server at once; clients see the connection closed."""
        if self._process is None:
            return
        self._process.kill()  # also ends a frozen one
        self._process.wait()
        _output(self._process).close()
        self._process = None

    def freeze(self) -> None:
        """Let the server hang: connections stay open, nothing is sent or answered."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._running().send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            msg = "the RTSP server is not running"
            raise RuntimeError(msg)
        return self._process


def _output(process: subprocess.Popen[str]) -> IO[str]:
    if process.stdout is None:
        msg = "the process was started without a pipe"
        raise RuntimeError(msg)
    return process.stdout
