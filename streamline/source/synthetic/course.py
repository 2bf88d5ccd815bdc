"""What changes from frame to frame: belt, vibration, light, noise."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamline.source.synthetic.machine import NOISE_ROOM, PITCH
from streamline.source.synthetic.surface import Floats

__all__ = ["CYCLE", "FPS", "MOVING", "Course", "plan_course"]

FPS = 25

CYCLE = 12
"""Frames from one part's entry to the next one's."""

MOVING = 3
"""Frames of a cycle in which the belt moves; it rests in the others."""

_SHAKE_PX = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Course:
    """How camera, belt and lamp behave over a clip of n frames."""

    belt_px: Floats
    """Shape ``(n,)``: how far the belt has moved since its cycle began."""

    shake_px: Floats
    """Shape ``(n, 2)``: the camera's displacement, x and y."""

    light: Floats
    """Shape ``(n,)``: the lamp's strength, about 1."""

    colour: Floats
    """Shape ``(n, 3)``: the lamp's shares of blue, green, red, about 1 each."""

    noise: npt.NDArray[np.int64]
    """Shape ``(n, 3)``: which noise, and from which row and column of it."""


def plan_course(count: int, rng: np.random.Generator) -> Course:
    """Say what happens while *count* parts pass."""
    frames = count * CYCLE
    phase = np.arange(frames) % CYCLE
    # The indexer is off its place, and nearly at the next, between two frames.
    step = np.where(phase < MOVING, (phase + 2) / (MOVING + 3), 1)
    smooth = step * step * (3 - 2 * step)
    rest = np.repeat(rng.uniform(-0.6, 0.6, count), CYCLE)
    belt = PITCH * smooth + np.where(phase < MOVING, rng.uniform(-0.4, 0.4, frames), rest)
    noise = np.stack([rng.integers(0, limit, frames) for limit in NOISE_ROOM], axis=1)
    return Course(
        belt_px=belt.astype(np.float32),
        shake_px=_shake(frames, phase, rng),
        light=_light(frames, rng),
        colour=_colour(frames, rng),
        noise=noise,
    )


def _shake(frames: int, phase: npt.NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """Return vibration: two rotating parts, a random share, and a jolt when the belt stops."""
    time = np.arange(frames) / FPS
    shake = np.empty((frames, 2))
    for axis in range(2):
        tones = sum(
            strength * np.sin(2 * np.pi * hertz * time + rng.uniform(0, 6.3))
            for strength, hertz in ((0.45, 7.3), (0.3, 11.1))
        )
        shake[:, axis] = tones + rng.normal(0, 0.2, frames)
    jolt = np.where(phase >= MOVING, np.exp(-(phase - MOVING) / 1.5), 0)
    shake[:, 0] += jolt * rng.uniform(0.3, 1.0, frames)
    return np.clip(shake, -_SHAKE_PX, _SHAKE_PX).astype(np.float32)


def _light(frames: int, rng: np.random.Generator) -> Floats:
    """Return the lamp's strength: a slow drift, and what the camera's rate leaves of the mains."""
    time = np.arange(frames) / FPS
    drift = 0.05 * np.sin(2 * np.pi * time / 17 + rng.uniform(0, 6.3))
    flicker = 0.012 * np.sin(2 * np.pi * 1.7 * time) + rng.normal(0, 0.005, frames)
    return np.asarray(1 + drift + flicker, np.float32)


def _colour(frames: int, rng: np.random.Generator) -> Floats:
    """Return the lamp's colour, drifting between cold and warm."""
    time = np.arange(frames) / FPS
    warmth = 0.012 * np.sin(2 * np.pi * time / 11 + rng.uniform(0, 6.3))
    return np.stack([1 - warmth, np.ones(frames), 1 + warmth], axis=1).astype(np.float32)
