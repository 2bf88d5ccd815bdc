"""Small frames that look a little like products: textured discs, no two of them alike."""

import numpy as np
import numpy.typing as npt

__all__ = ["part", "parts"]

Frame = npt.NDArray[np.uint8]


def parts(n: int, *, seed: int, defect: bool = False) -> list[Frame]:
    """Frames of `n` different parts, ``(256, 256, 3)`` RGB."""
    generator = np.random.default_rng(seed)
    return [part(generator, defect=defect) for _ in range(n)]


def part(generator: np.random.Generator, *, defect: bool = False) -> Frame:
    """One part, a little shifted, tinted and textured; with a defect, scratched."""
    rows, columns = np.mgrid[:256, :256].astype(np.float64)
    y, x = 128 + generator.normal(0, 4, size=2)
    radius = np.hypot(rows - y, columns - x)
    grain = np.kron(generator.normal(0, 10, (64, 64)), np.ones((4, 4)))
    rings = 12 * np.cos(radius / generator.uniform(5, 7)) + grain
    light = 1 + 0.05 * generator.normal() + (columns - 128) * generator.normal(0, 2e-4)
    disc = np.where(radius < 90, 150 + rings, 60 + rings / 4) * light
    if defect:
        scratch = np.abs(rows - columns - generator.integers(-40, 40)) < 5
        disc = np.where(scratch & (radius < 80), 235, disc)
    tint = np.array([1.0, 0.95, 0.85]) + generator.normal(0, 0.01, 3)
    return np.asarray(np.clip(disc[..., None] * tint, 0, 255), np.uint8)
