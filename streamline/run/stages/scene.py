"""What is made of a camera's scene: verdicts withheld, states published, each change told once."""

import math
from collections.abc import Collection, Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
import structlog

from streamline.clock import thread_ns
from streamline.config import Camera, SceneResponse
from streamline.ledger import Ledger
from streamline.messages import SCENE_FAULTS, Fault, Origin
from streamline.scene import DriftWatch, SceneReference, SceneWatch

__all__ = ["DriftGuard", "SceneGuard"]

_log = structlog.get_logger("streamline.scene")

_SUSTAINED_S: Final = 5.0
"""How long a scene must be well until that is told, s: what comes and goes is told once."""

_ADVICE: Final = {
    Fault.FROZEN: "the same picture comes again and again; restart the camera first",
    Fault.BLACK: "the picture is black; check the light and the lens cap first",
    Fault.WHITE: "the picture is white; check the light and the exposure first",
    Fault.BLUR: "the picture is less sharp than before; check lens and focus first",
    Fault.BRIGHTNESS: "there is more or less light than before; check the light first",
    Fault.CONTRAST: "contrast is not what it was; check the light and the lens first",
    Fault.MOVED: "the camera looks elsewhere than before; check its mount first",
    Fault.DRIFT: "scores are no longer those of calibration; check light and lens first, then "
    "calibrate anew",
}

_LEVELS: Final = (Fault.BLUR, Fault.BRIGHTNESS, Fault.CONTRAST, Fault.MOVED)


class SceneConditions:
    """Publishes and tells what is wrong with one camera's scene, by some checks.

    Parameters
    ----------
    ledger : Ledger
    camera : Camera
    checks : iterable of Fault
        Those of the stage that publishes here; what the camera's settings ignore is left out.
    """

    def __init__(self, ledger: Ledger, camera: Camera, checks: Iterable[Fault]) -> None:
        self._camera = camera.name
        found = {check: _response(camera, check) for check in checks}
        self._responses = {check: x for check, x in found.items() if x is not SceneResponse.OFF}
        self._states = {
            check: ledger.gauge("streamline_scene_state", camera=camera.name, check=check.value)
            for check in found
        }
        self._begins = {
            check: ledger.counter(
                "streamline_scene_faults_total", camera=camera.name, check=check.value
            )
            for check in found
        }
        self._since_s: dict[Fault, float] = {}
        self._seen_s: dict[Fault, float] = {}
        self._withheld: dict[Fault, int] = {}

    @property
    def watched(self) -> bool:
        """Whether any of the checks matters."""
        return bool(self._responses)

    def note(self, faults: Collection[Fault], moment_s: float) -> Fault | None:
        """Take note of what is wrong with a frame; return why its verdict must be unknown."""
        if not faults and not self._since_s:
            return None
        reason: Fault | None = None
        for fault in faults:
            response = self._responses.get(fault)
            if response is None:
                continue
            self._on(fault, moment_s)
            if response is SceneResponse.UNKNOWN and reason is None:
                reason = fault
                self._withheld[fault] += 1
        for fault in [one for one in self._since_s if one not in faults]:
            # A clock that goes back is a file that begins anew.
            if abs(moment_s - self._seen_s[fault]) >= _SUSTAINED_S:
                self._off(fault)
        return reason

    def _on(self, fault: Fault, moment_s: float) -> None:
        self._seen_s[fault] = moment_s
        if fault in self._since_s:
            return
        self._since_s[fault], self._withheld[fault] = moment_s, 0
        self._states[fault].set(1.0)
        self._begins[fault].add()
        _log.warning(
            _ADVICE[fault],
            camera=self._camera,
            check=fault.value,
            verdicts="unknown" if self._responses[fault] is SceneResponse.UNKNOWN else "go on",
        )

    def _off(self, fault: Fault) -> None:
        lasted_s = abs(self._seen_s[fault] - self._since_s.pop(fault))
        self._states[fault].set(0.0)
        _log.info(
            "scene is well again",
            camera=self._camera,
            check=fault.value,
            lasted_s=round(lasted_s, 1),
            unknown=self._withheld[fault],
        )


class SceneGuard:
    """Looks at the prepared frames of one camera before they are judged.

    Parameters
    ----------
    ledger : Ledger
    camera : Camera
    reference : SceneReference, optional
        What its model learnt from.
    """

    def __init__(self, ledger: Ledger, camera: Camera, reference: SceneReference | None) -> None:
        checks = [fault for fault in SCENE_FAULTS if fault is not Fault.DRIFT]
        self._conditions = SceneConditions(ledger, camera, checks)
        self._live = camera.live
        learnt = reference if camera.scene.reference == "model" else None
        self._watch = SceneWatch(learnt, frozen_s=camera.scene.frozen_s)
        self._work = ledger.counter("streamline_scene_cpu_seconds_total", camera=camera.name)
        self._levels = {
            fault: ledger.gauge("streamline_scene_ratio", camera=camera.name, check=fault.value)
            for fault in _LEVELS
        }
        for level in self._levels.values():
            level.set(math.nan)  # Nothing is known before some frames have been seen.

    def look(self, origin: Origin, pixels: npt.NDArray[np.uint8]) -> Fault | None:
        """Look at a frame's pixels; return why it can't be judged, None if it can."""
        if not self._conditions.watched:
            return None
        began_ns = thread_ns()
        moment_s = self._moment_s(origin)
        faults, looked = self._watch.see(pixels, moment_s)
        if looked:
            for fault, level in self._watch.levels.items():
                self._levels[fault].set(level)
        reason = self._conditions.note(faults, moment_s)
        self._work.add((thread_ns() - began_ns) / 1e9)
        return reason

    def _moment_s(self, origin: Origin) -> float:
        """Return a frame's time: its own in a file that is read as fast as it is judged."""
        if self._live or origin.pts_s is None:
            return origin.captured_ns / 1e9
        return origin.pts_s


class DriftGuard:
    """Watches the p-values of one camera's frames.

    Parameters
    ----------
    ledger : Ledger
    camera : Camera
    n : int
        Scores of calibration that the p-values are of.
    """

    def __init__(self, ledger: Ledger, camera: Camera, n: int) -> None:
        self._conditions = SceneConditions(ledger, camera, [Fault.DRIFT])
        self._watch = DriftWatch(n)

    def look(self, p_value: float, captured_ns: int) -> Fault | None:
        """Take a frame's p-value; return why its verdict must be unknown, None if it need not."""
        if not self._conditions.watched:
            return None
        moment_s = captured_ns / 1e9
        self._watch.see(p_value, moment_s)
        drifted = self._watch.side is not None
        return self._conditions.note([Fault.DRIFT] if drifted else [], moment_s)


def _response(camera: Camera, check: Fault) -> SceneResponse:
    return SceneResponse(getattr(camera.scene, check.value))
