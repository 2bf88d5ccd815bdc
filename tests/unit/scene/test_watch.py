"""Every fault of a scene is found, at once or within seconds, and none where there is none."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from streamline.messages import Fault
from streamline.scene import ReferenceBuilder, SceneReference, SceneWatch
from tests.unit.scene.conftest import FPS, Bench

Frame = npt.NDArray[np.uint8]
Change = Callable[[Frame], Frame]

WELL_S = 8


def gain(factor: float) -> Change:
    return lambda frame: np.clip(frame * factor, 0, 255).astype(np.uint8)


def moved(pixels: float) -> Change:
    way = np.array([[1, 0, pixels], [0, 1, 0]], np.float32)

    def change(frame: Frame) -> Frame:
        out = cv2.warpAffine(frame, way, (256, 256), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(out, np.uint8)

    return change


def defocused(frame: Frame) -> Frame:
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), 2.0), np.uint8)


def capped(frame: Frame) -> Frame:
    return (frame // 50 + 2).astype(np.uint8)


def glaring(frame: Frame) -> Frame:
    return (250 + frame // 64).astype(np.uint8)


def misty(frame: Frame) -> Frame:
    return (frame * 0.5 + 62).astype(np.uint8)


def first_found(
    watch: SceneWatch, bench: Bench, change: Change, fault: Fault, seconds: int
) -> float | None:
    """After how many seconds of it a fault is found; nothing may be found before."""
    for moment_s, frame in bench.frames((WELL_S + seconds) * FPS):
        wrong = moment_s >= WELL_S
        faults = watch.see(change(frame) if wrong else frame, moment_s).faults
        assert wrong or not faults, (moment_s, faults)
        if fault in faults:
            return moment_s - WELL_S
    return None


@pytest.mark.parametrize(
    ("change", "fault", "within_s"),
    [
        pytest.param(capped, Fault.BLACK, 0.0, id="a lens cap"),
        pytest.param(glaring, Fault.WHITE, 0.0, id="glare"),
        pytest.param(defocused, Fault.BLUR, 4.0, id="out of focus"),
        pytest.param(gain(1.3), Fault.BRIGHTNESS, 6.0, id="30 % more light"),
        pytest.param(gain(0.7), Fault.BRIGHTNESS, 6.0, id="30 % less light"),
        pytest.param(misty, Fault.CONTRAST, 8.0, id="mist on the lens"),
        pytest.param(moved(12.8), Fault.MOVED, 8.0, id="5 % to the right"),
        pytest.param(moved(-12.8), Fault.MOVED, 8.0, id="5 % to the left"),
    ],
)
def test_a_fault_is_found_in_time(
    reference: SceneReference, bench: Bench, change: Change, fault: Fault, within_s: float
) -> None:
    watch = SceneWatch(reference, frozen_s=5)
    found_s = first_found(watch, bench, change, fault, seconds=10)
    assert found_s is not None
    assert found_s <= within_s


def test_a_scene_that_is_well_shows_nothing_for_a_minute(
    reference: SceneReference, bench: Bench
) -> None:
    watch = SceneWatch(reference, frozen_s=5)
    found = {fault for t, frame in bench.frames(60 * FPS) for fault in watch.see(frame, t).faults}
    assert found == set()
    assert watch.levels[Fault.BRIGHTNESS] == pytest.approx(1, abs=0.03)
    assert watch.levels[Fault.MOVED] < 0.005


@pytest.mark.parametrize("beat_s", [0.4, 0.44, 0.8, 0.88])
def test_a_line_that_goes_at_a_beat_is_not_always_seen_at_the_same_point(beat_s: float) -> None:
    line, builder = Bench(beat_s=beat_s, rows=slice(20, 236)), ReferenceBuilder()
    for _, frame in line.frames(10 * FPS):
        builder.add(frame)
    watch = SceneWatch(builder.finish(), frozen_s=5)
    levels = []
    for moment_s, frame in line.frames(20 * FPS):
        assert watch.see(frame, moment_s).faults == ()
        levels += [watch.levels[Fault.BRIGHTNESS]] if Fault.BRIGHTNESS in watch.levels else []
    assert levels == pytest.approx([1.0] * len(levels), abs=0.06)


def test_a_fault_is_over_when_the_scene_is_as_before(
    reference: SceneReference, bench: Bench
) -> None:
    watch = SceneWatch(reference, frozen_s=5)
    dim, found = gain(0.7), []
    for moment_s, frame in bench.frames(50 * FPS):
        faults = watch.see(dim(frame) if 8 <= moment_s < 20 else frame, moment_s).faults
        found.append(Fault.BRIGHTNESS in faults)
    assert any(found[8 * FPS : 20 * FPS])
    assert not any(found[40 * FPS :])


def test_frozen_is_the_same_picture_for_so_long_and_told_from_a_scene_that_stands_still(
    bench: Bench,
) -> None:
    same = bench.frame(0)
    watch = SceneWatch(None, frozen_s=2)
    frozen = [Fault.FROZEN in watch.see(same, n / FPS).faults for n in range(3 * FPS)]
    assert frozen == [n / FPS >= 2 for n in range(3 * FPS)]
    # Another picture ends it, and noise is another picture.
    still = [bench.frame(0) for _ in range(3 * FPS)]
    assert not any(watch.see(one, 4 + n / FPS).faults for n, one in enumerate(still))


def test_a_slow_camera_is_not_frozen_after_two_equal_pictures(bench: Bench) -> None:
    watch = SceneWatch(None, frozen_s=2)
    same = bench.frame(0)
    assert [bool(watch.see(same, 3.0 * n).faults) for n in range(7)] == [False] * 5 + [True] * 2


def test_a_pause_in_which_nothing_comes_is_not_frozen(bench: Bench) -> None:
    watch = SceneWatch(None, frozen_s=2)
    assert watch.see(bench.frame(0), 0.0).faults == ()
    assert watch.see(bench.frame(1), 600.0).faults == ()


def test_a_scene_that_is_dark_by_nature_is_not_covered_until_it_is_much_darker() -> None:
    rng = np.random.default_rng(0)

    def dark(level: float) -> Frame:
        return np.clip(rng.normal(level, 2, (256, 256, 3)), 0, 255).astype(np.uint8)

    builder = ReferenceBuilder()
    for _ in range(50):
        builder.add(dark(12))
    watch = SceneWatch(builder.finish(), frozen_s=5)
    assert watch.see(dark(12), 0.0).faults == ()
    assert watch.see(dark(1), 0.1).faults == (Fault.BLACK,)


def test_a_few_pixels_that_shine_by_themselves_do_not_light_a_covered_sensor() -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 8, (256, 256, 3)).astype(np.uint8)
    frame[rng.random((256, 256)) < 0.005] = 255
    assert SceneWatch(None, frozen_s=5).see(frame, 0.0).faults == (Fault.BLACK,)
    assert SceneWatch(None, frozen_s=5).see(255 - frame, 0.0).faults == (Fault.WHITE,)
    frame[:32] = 120  # A lamp in an eighth of the picture is one.
    assert SceneWatch(None, frozen_s=5).see(frame, 0.0).faults == ()
    assert SceneWatch(None, frozen_s=5).see(255 - frame, 0.0).faults == ()


def test_without_a_reference_the_first_minute_is_one_and_a_covered_lens_no_part_of_it(
    bench: Bench,
) -> None:
    watch = SceneWatch(None, frozen_s=5)
    for moment_s, frame in bench.frames(10 * FPS):
        assert watch.see(capped(frame), moment_s).faults == (Fault.BLACK,)
    for moment_s, frame in bench.frames(60 * FPS, first=10 * FPS):
        watch.see(frame, moment_s)
        assert watch.learns
    dim = gain(0.7)
    late = bench.frames(12 * FPS, first=70 * FPS)
    assert any(Fault.BRIGHTNESS in watch.see(dim(frame), t).faults for t, frame in late)


def test_a_camera_that_looks_elsewhere_has_moved(reference: SceneReference) -> None:
    rng = np.random.default_rng(9)
    other = cv2.resize(rng.integers(60, 190, (32, 32)).astype(np.float32), (256, 256))
    watch = SceneWatch(reference, frozen_s=5)
    found: tuple[Fault, ...] = ()
    for n in range(8 * FPS):
        noisy = np.clip(other + rng.normal(0, 2, other.shape), 0, 255).astype(np.uint8)
        found = watch.see(np.repeat(noisy[..., None], 3, axis=2), n / FPS).faults
    assert Fault.MOVED in found


def test_loose_parts_that_have_no_view_in_common_can_not_have_moved() -> None:
    rng, builder = np.random.default_rng(2), ReferenceBuilder()

    def part() -> Frame:
        coarse = rng.integers(60, 190, (32, 32)).astype(np.float32)
        grey = cv2.resize(coarse, (256, 256)).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)

    for _ in range(100):
        builder.add(part())
    watch = SceneWatch(builder.finish(), frozen_s=5)
    found = {fault for n in range(200) for fault in watch.see(part(), n / 5).faults}
    assert Fault.MOVED not in found
    assert Fault.MOVED not in watch.levels


def test_a_file_that_begins_anew_goes_on_being_looked_at(
    reference: SceneReference, bench: Bench
) -> None:
    watch = SceneWatch(reference, frozen_s=5)
    dim, found = gain(0.7), set[Fault]()
    for _ in range(6):
        for moment_s, frame in bench.frames(5 * FPS):
            found |= set(watch.see(dim(frame), moment_s).faults)
    assert Fault.BRIGHTNESS in found
