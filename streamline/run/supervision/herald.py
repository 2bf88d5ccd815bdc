"""What a service manager is told of a line: that it is up, that it gets on, and how it is."""

from typing import Final

from streamline.clock import monotonic_ns
from streamline.run.control import Phase
from streamline.run.supervision.health import Health
from streamline.run.supervision.manager import ServiceManager

__all__ = ["Herald"]

_SECOND_NS: Final = 1_000_000_000

_CALLS: Final = 4
"""Signs of life within the time in which the manager expects one."""

_WELL: Final = frozenset({"ok", "ended"})


class Herald:
    """Tells what the manager has to know, once each time that it changes.

    Parameters
    ----------
    manager : ServiceManager
    """

    def __init__(self, manager: ServiceManager) -> None:
        self._manager = manager
        self._ready = False
        self._began_ns = monotonic_ns()
        self._wait_ns = 0
        self._status = ""
        self._remark = ""
        self._sign_ns = 0
        """When the next sign of life is due; the first at once, however short a host is up."""

    def begin(self, ready_s: float) -> None:
        """Begin with a configuration: up when a frame is judged, or after *ready_s*."""
        self._began_ns = monotonic_ns()
        self._wait_ns = round(ready_s * _SECOND_NS)

    def reload(self) -> None:
        """Tell that another configuration is being read; `look` tells when it is in use."""
        self._ready = False
        self._remark = ""
        self._manager.reloading()

    def refuse(self, why: str) -> None:
        """Tell that the line goes on with the configuration before, and why, until a reload."""
        self._remark = f"; new pipeline file refused: {why}"

    @property
    def refused(self) -> bool:
        """Whether the configuration that was to be read last is not the one in use."""
        return bool(self._remark)

    def stop(self) -> None:
        """Tell that the line drains and ends."""
        self._manager.stopping("draining")

    def look(self, health: Health, fps: float, phase: Phase) -> None:
        """Tell what is new; call it once a second or more often."""
        now_ns = monotonic_ns()
        if phase >= Phase.DRAINING:
            self._show_life(now_ns)
            return
        status = _standing(health, fps) + self._remark
        late = now_ns - self._began_ns >= self._wait_ns
        if not self._ready and (health.judged or late):
            self._ready = True
            self._manager.ready(status)
        elif status != self._status:
            self._manager.status(status)
        self._status = status
        # A line that waits for others to come, as one does for a camera, is not stuck.
        if not health.stuck:
            self._show_life(now_ns)

    def _show_life(self, now_ns: int) -> None:
        limit_s = self._manager.watchdog_s
        if limit_s is None or now_ns < self._sign_ns:
            return
        self._sign_ns = now_ns + round(limit_s / _CALLS * _SECOND_NS)
        self._manager.alive()


def _standing(health: Health, fps: float) -> str:
    """Say how a line is, in a line."""
    cameras = health.body["cameras"]
    well = [name for name, camera in cameras.items() if camera["state"] in _WELL]
    parts = [f"{len(well)} of {len(cameras)} cameras ok, {fps:.0f} frames/s"]
    parts += [
        f"{name} {camera['state'] or 'starting'}" + _because(camera.get("reason"))
        for name, camera in cameras.items()
        if name not in well
    ]
    parts += [f"{name} is not judged" for name in health.stuck]
    parts += [f"worker {name} given up" for name in health.body["given_up"]]
    return "; ".join(parts)


def _because(reason: str | None) -> str:
    return "" if reason is None else f" ({reason})"
