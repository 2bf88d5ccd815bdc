"""Cameras: those of this computer listed, those of a pipeline file opened and watched."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from streamline.config import Camera, Pipeline, RtspSource, UsbSource
from streamline.doctor.finding import Finding, fail, ok, warn
from streamline.doctor.probe import Probe, probe
from streamline.errors import SourceError
from streamline.redact import redact_url

__all__ = ["VideoDevice", "by_id", "judge", "listed", "probed", "video_devices"]

_AT_ONCE: Final = 16
"""Cameras opened at a time."""

_SLOW_FIRST_S: Final = 3.0
_REMEDIES: Final = {
    "auth": "correct the user name or password: ${NAME} in the address, or password_file",
    "dns": "write its IP address, or correct the name or the DNS server",
    "refused": "check the port (554 unless the manual says otherwise) and that RTSP is switched on",
    "unreachable": "check cable, VLAN and route: ping its address",
    "timeout": "check that it is on and that no firewall lies between: ping its address",
    "missing": "check the path of the stream in the camera's manual, or that it is plugged in",
    "stalled": "restart the camera; look whether another program has it",
    "format": "set the camera to H.264",
}


class VideoDevice(NamedTuple):
    """A camera of this computer."""

    path: Path
    """``/dev/videoN``."""

    name: str
    stable: Path | None
    """Its name under ``/dev/v4l/by-id``, which stays with it."""


def video_devices(root: Path = Path("/")) -> list[VideoDevice]:
    """List the cameras that Video4Linux knows, by what the kernel shows of them.

    Parameters
    ----------
    root : Path
        Where ``sys`` and ``dev`` are.
    """
    found = []
    for entry in sorted((root / "sys/class/video4linux").glob("video*")):
        # Further nodes of a camera carry its metadata.
        if _text(entry / "index") == "0":
            path = root / "dev" / entry.name
            found.append(VideoDevice(path, _text(entry / "name"), by_id(path, root)))
    return found


def by_id(path: Path, root: Path = Path("/")) -> Path | None:
    """Return the name of a device that stays with it, None if it has none."""
    links = sorted((root / "dev/v4l/by-id").glob("*"))
    return next((link for link in links if link.resolve() == path.resolve()), None)


def listed(devices: list[VideoDevice]) -> Iterator[Finding]:
    """Tell of each camera of this computer, and whether this user may open it."""
    if not devices:
        yield ok("usb cameras", "none is plugged in")
    for device in devices:
        what = f"{device.name}: {device.stable or device.path}"
        if os.access(device.path, os.R_OK | os.W_OK):
            yield ok("usb camera", what)
        else:
            remedy = "join the group video and log in anew: sudo usermod -aG video $USER"
            yield warn("usb camera", f"{what}, which this user may not open", remedy)


def probed(pipeline: Pipeline, *, seconds: float, is_running: bool) -> Iterator[Finding]:
    """Open each camera of a pipeline file, watch it, and judge what it sends.

    Parameters
    ----------
    seconds : float
        How long to watch, s; cameras are watched side by side.
    is_running : bool
        Whether the line runs at the moment: it has its USB cameras to itself then.
    """
    cameras = list(pipeline.cameras.values())
    with ThreadPoolExecutor(min(_AT_ONCE, len(cameras))) as pool:
        waiting = [
            (
                camera,
                None
                if is_running and isinstance(camera.source, UsbSource)
                else pool.submit(probe, camera.source, seconds=seconds),
            )
            for camera in cameras
        ]
        for camera, future in waiting:
            check = f"camera {camera.name}"
            if future is None:
                yield ok(check, "not opened: this line is running and has it")
                continue
            try:
                yield judge(camera, future.result())
            except SourceError as exc:
                remedy = _REMEDIES.get(exc.reason, "see what the camera's own web page says")
                yield fail(check, redact_url(str(exc)), remedy)


def judge(camera: Camera, seen: Probe) -> Finding:
    """Hold what a camera sends against what its pipeline file says, and what a line needs."""
    check, what = f"camera {camera.name}", str(seen)
    if wrong := _wrong_size(camera, seen):
        return fail(check, f"{what}: {wrong}", "change the camera's setting, or the file")
    if seen.corrupt:
        return warn(
            check,
            f"{what}; {seen.corrupt} of {seen.frames} pictures are damaged",
            "use transport: tcp, and look for a network that is full or a cable that is bad",
        )
    rhythm = seen.rhythm
    if seen.live and rhythm.fps and rhythm.jitter_ms and rhythm.jitter_ms > 1e3 / rhythm.fps:
        return warn(
            check,
            f"{what}: pictures come unevenly, by more than a frame's time",
            "connect the camera by cable, and look what else its network carries",
        )
    if isinstance(camera.source, RtspSource) and seen.first_frame_s > _SLOW_FIRST_S:
        remedy = "set it to one key frame a second, so that pictures are back soon"
        return warn(check, what, remedy)
    if isinstance(camera.source, UsbSource) and isinstance(camera.source.device, int):
        stable = by_id(Path(f"/dev/video{camera.source.device}"))
        if stable is not None:
            remedy = f"write device: {stable}, which stays when cameras are plugged otherwise"
            return warn(check, what, remedy)
    return ok(check, what)


def _wrong_size(camera: Camera, seen: Probe) -> str:
    if camera.size is not None and tuple(camera.size) != (seen.width, seen.height):
        return f"size says {camera.size.width}x{camera.size.height} px"
    roi = camera.roi
    if roi is not None and (roi.x + roi.width > seen.width or roi.y + roi.height > seen.height):
        return f"the roi {list(roi)} does not lie within"
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
