"""Reading a camera in a thread of its own, on real files and a camera that is not there."""

import socket
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import structlog
from PIL import Image

from streamline.clock import monotonic_ns
from streamline.config import Camera, load
from streamline.messages import Picture, PixelFormat
from streamline.run.control import Control, Phase
from streamline.run.stages import capture as module
from streamline.run.stages.capture import Capture, Mailbox, all_hang
from streamline.source import Reading
from tests.support.clips import encode
from tests.support.ports import refusing_port
from tests.support.until import until

Started = Callable[..., tuple[Capture, Mailbox]]


def reading(number: int) -> Reading:
    """A reading that can be told from others."""
    picture = Picture(format=PixelFormat.GRAY, planes=(np.zeros((2, 2), np.uint8),))
    return Reading(picture=picture, captured_ns=number, wall_ns=number, pts_s=None, corrupt=False)


# --- the mailbox ------------------------------------------------------------------------------


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A mailbox whose descriptor is given back."""
    mailbox = Mailbox(capacity=2)
    yield mailbox
    mailbox.close()
    mailbox.destroy()


def test_readings_come_out_in_the_order_they_were_put(mailbox: Mailbox) -> None:
    everything = [reading(n) for n in range(50)]
    putter = Thread(target=lambda: [mailbox.put(one) for one in everything], daemon=True)
    putter.start()
    taken: list[Reading] = []

    def take() -> None:
        one = mailbox.take()
        if one is not None:
            taken.append(one)

    until(lambda: len(taken) == 50, step=take)
    putter.join()
    assert taken == everything
    assert mailbox.take() is None


def test_a_full_mailbox_makes_the_putter_wait_until_something_is_taken(mailbox: Mailbox) -> None:
    third = Event()

    def put() -> None:
        for number in range(3):
            mailbox.put(reading(number))
        third.set()

    putter = Thread(target=put, daemon=True)
    putter.start()
    until(lambda: len(mailbox._readings) == 2)
    assert not third.is_set()
    first = mailbox.take()
    assert third.wait(30)
    putter.join()
    assert first is not None
    assert first.captured_ns == 0


def test_closing_lets_a_waiting_putter_go_and_refuses_what_it_had(mailbox: Mailbox) -> None:
    answers: list[bool] = []
    putter = Thread(
        target=lambda: answers.extend(mailbox.put(reading(n)) for n in range(3)), daemon=True
    )
    putter.start()
    until(lambda: len(answers) == 2)
    mailbox.close()
    putter.join(30)
    assert answers == [True, True, False]
    assert not mailbox.empty
    assert [mailbox.take() is None for _ in range(3)] == [False, False, True]
    assert mailbox.empty


def test_the_descriptor_is_readable_exactly_while_something_new_was_put(mailbox: Mailbox) -> None:
    import select

    def readable() -> bool:
        return bool(select.select([mailbox.descriptor], [], [], 0)[0])

    assert not readable()
    mailbox.put(reading(0))
    assert readable()
    mailbox.hush()
    assert not readable()
    mailbox.hush()
    mailbox.put(reading(1))
    assert readable()


def test_readings_that_need_not_be_taken_one_by_one_wake_their_taker_together() -> None:
    import select

    mailbox = Mailbox(capacity=4, batch=2)
    woken = []
    for number in range(4):
        mailbox.hush()
        mailbox.put(reading(number))
        woken.append(bool(select.select([mailbox.descriptor], [], [], 0)[0]))
    assert woken == [False, True, True, True]
    putter = Thread(target=mailbox.put, args=(reading(4),), daemon=True)
    putter.start()
    taken = [mailbox.take() for _ in range(4)]
    putter.join(30)
    assert not putter.is_alive()
    taken.append(mailbox.take())
    mailbox.destroy()
    assert [one and one.captured_ns for one in taken] == [0, 1, 2, 3, 4]


# --- capturing --------------------------------------------------------------------------------


@pytest.fixture
def control(tmp_path: Path) -> Control:
    """The phase of the line: starting."""
    Control.create(tmp_path / "control")
    return Control(tmp_path / "control")


@pytest.fixture
def stills(tmp_path: Path) -> Path:
    """Five images, each of its own grey."""
    folder = tmp_path / "stills"
    folder.mkdir()
    for number in range(5):
        pixels = np.full((32, 48, 3), 40 * number, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def start(tmp_path: Path, control: Control) -> Iterator[Started]:
    """Start capturing a source, as a pipeline file would have it; all are ended after."""
    captures: list[tuple[Capture, Mailbox]] = []
    numbers = count()

    def started(source: str, more: str = "", delay_s: float = 0.0) -> tuple[Capture, Mailbox]:
        file = tmp_path / f"line{next(numbers)}.yaml"
        keys = f"source: {source}{more}"
        file.write_text(f"version: 1\nmodel: m\ncameras: {{left: {{{keys}}}}}\n")
        camera: Camera = load(file).cameras["left"]
        mailbox = Mailbox()
        capture = Capture(camera, control, mailbox, delay_s=delay_s)
        capture.start()
        captures.append((capture, mailbox))
        return capture, mailbox

    yield started
    for capture, mailbox in captures:
        capture.stop()
        capture.join(30)
        assert not capture.is_alive()
        mailbox.destroy()


def taken_until_end(capture: Capture, mailbox: Mailbox) -> list[Reading]:
    """Everything that a camera delivers."""
    readings: list[Reading] = []

    def take() -> None:
        one = mailbox.take()
        if one is not None:
            readings.append(one)

    until(lambda: capture.finished.is_set() and mailbox.empty, step=take)
    return readings


def test_paced_files_begin_one_after_another(
    start: Started, control: Control, stills: Path
) -> None:
    source = f"{{type: images, path: {stills}, pace: 50}}"
    first, second, third = (start(source, delay_s=delay_s) for delay_s in (0, 0.3, 300))
    began_ns = monotonic_ns()
    control.enter(Phase.RUNNING)
    assert len(taken_until_end(*first)) == 5
    assert taken_until_end(*second)[0].captured_ns - began_ns > 300_000_000
    assert third[1].empty


def test_a_folder_of_images_is_delivered_in_order_and_ends(
    start: Started, control: Control, stills: Path
) -> None:
    control.enter(Phase.RUNNING)
    capture, mailbox = start(f"{{type: images, path: {stills}}}")
    readings = taken_until_end(capture, mailbox)
    assert [int(r.picture.planes[0][0, 0, 0]) for r in readings] == [0, 40, 80, 120, 160]
    assert (capture.state.state, capture.state.reason) == ("ended", None)
    assert capture.reconnects == 0


def test_every_frame_of_a_video_is_delivered(
    start: Started, control: Control, tmp_path: Path
) -> None:
    frames = [np.full((64, 96, 3), 4 * n, np.uint8) for n in range(40)]
    clip = encode(frames, tmp_path / "clip.mp4")
    control.enter(Phase.RUNNING)
    capture, mailbox = start(f"{{type: video, path: {clip}}}")
    assert len(taken_until_end(capture, mailbox)) == 40
    assert capture.state.state == "ended"


def test_a_file_delivers_nothing_before_the_line_runs_and_then_all_of_it(
    start: Started, control: Control, stills: Path
) -> None:
    capture, mailbox = start(f"{{type: images, path: {stills}}}")
    assert capture.tried.wait(30)
    assert capture.state.state == "ok"
    assert mailbox.empty
    control.enter(Phase.RUNNING)
    assert len(taken_until_end(capture, mailbox)) == 5


def test_stopping_ends_an_endless_source_whose_readings_nobody_takes(
    start: Started, control: Control, stills: Path
) -> None:
    control.enter(Phase.RUNNING)
    capture, mailbox = start(f"{{type: images, path: {stills}, loop: true}}")
    until(lambda: not mailbox.empty)
    capture.stop()
    assert capture.finished.wait(30)
    assert capture.state.state == "ok"


def test_stopping_ends_a_source_that_waits_for_the_line(start: Started, stills: Path) -> None:
    capture, _ = start(f"{{type: images, path: {stills}}}")
    assert capture.tried.wait(30)
    capture.stop()
    assert capture.finished.wait(30)


def test_a_file_that_is_not_there_is_refused_and_not_tried_again(
    start: Started, tmp_path: Path
) -> None:
    capture, mailbox = start(f"{{type: video, path: {tmp_path / 'none.mp4'}}}")
    assert capture.finished.wait(30)
    assert capture.tried.is_set()
    assert mailbox.empty
    assert capture.refusal is not None
    assert str(tmp_path / "none.mp4") in str(capture.refusal)


def test_a_file_that_vanishes_is_down_and_goes_on_once_it_is_back(
    start: Started, control: Control, stills: Path
) -> None:
    control.enter(Phase.RUNNING)
    gone = stills.with_name("gone")
    with structlog.testing.capture_logs() as logs:
        capture, mailbox = start(f"{{type: images, path: {stills}, loop: true}}")
        until(lambda: not mailbox.empty)
        stills.rename(gone)
        until(lambda: capture.state.state == "down", step=mailbox.take)
        assert capture.state.reason == "missing"
        while mailbox.take() is not None:
            pass
        until(lambda: capture._backoff.failures > 1)
        assert not capture.finished.is_set()
        gone.rename(stills)
        until(lambda: not mailbox.empty)
    assert (capture.state.state, capture.reconnects, capture.refusal) == ("ok", 1, None)
    (told,) = (entry for entry in logs if entry["log_level"] == "warning")
    assert told["reason"] == "missing"
    assert str(stills) in told["why"]


def test_a_video_that_vanishes_is_down_when_it_is_to_begin_again(
    start: Started, control: Control, tmp_path: Path
) -> None:
    clip = encode([np.full((64, 96, 3), 4 * n, np.uint8) for n in range(9)], tmp_path / "clip.mp4")
    control.enter(Phase.RUNNING)
    capture, mailbox = start(f"{{type: video, path: {clip}, loop: true}}")
    until(lambda: not mailbox.empty)
    clip.unlink()
    until(lambda: capture.state.state == "down", step=mailbox.take)
    assert capture.state.reason == "missing"
    assert not capture.finished.is_set()


def test_a_file_that_is_gone_when_its_worker_is_started_again_is_down_and_not_refused(
    start: Started, control: Control, stills: Path
) -> None:
    control.enter(Phase.RUNNING)
    gone = stills.rename(stills.with_name("gone"))
    capture, mailbox = start(f"{{type: images, path: {stills}}}")
    assert capture.tried.wait(30)
    assert (capture.state.state, capture.state.reason) == ("down", "missing")
    assert capture.refusal is None
    gone.rename(stills)
    assert len(taken_until_end(capture, mailbox)) == 5


def test_a_file_that_is_played_once_and_vanishes_in_between_has_ended(
    start: Started, control: Control, stills: Path
) -> None:
    control.enter(Phase.RUNNING)
    (stills / "3.png").unlink()
    (stills / "3.png").symlink_to(stills / "none.png")
    capture, mailbox = start(f"{{type: images, path: {stills}}}")
    assert len(taken_until_end(capture, mailbox)) == 3
    assert (capture.state.state, capture.state.reason) == ("ended", "missing")


def test_a_call_into_the_driver_hangs_once_it_outlasts_every_time_out(
    start: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x"
        capture, _ = start(f"{{type: rtsp, url: '{url}', open_timeout_s: 4, read_timeout_s: 3}}")
        connection, _ = silent.accept()
        began_ns = monotonic_ns()
        with connection:
            assert not capture.hangs
            # Two steps of opening, a read, and five seconds on top.
            starting, stalled = ("starting", None), ("down", "stalled")
            for after_s, hangs, shown in ((10, False, starting), (17, True, stalled)):
                now_ns = began_ns + after_s * 1_000_000_000
                monkeypatch.setattr(module, "monotonic_ns", lambda now_ns=now_ns: now_ns)
                assert capture.hangs is hangs
                assert capture.shown[:2] == shown
            monkeypatch.undo()
        until(lambda: capture.state.state == "down")
        assert not capture.hangs


def test_a_process_is_held_up_only_if_all_its_cameras_hang(
    start: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, _ = start(f"{{type: video, path: {tmp_path / 'none.mp4'}}}")
    assert ended.finished.wait(30)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = f"{{type: rtsp, url: 'rtsp://127.0.0.1:{silent.getsockname()[1]}/x'}}"
        first, _ = start(source)
        second, _ = start(source)
        connections = [silent.accept()[0] for _ in range(2)]
        later_ns = monotonic_ns() + 10**12
        monkeypatch.setattr(module, "monotonic_ns", lambda: later_ns)
        assert not all_hang([ended])
        assert all_hang([first])
        assert all_hang([ended, first, second])
        connections.pop().close()
        until(lambda: first.hangs != second.hangs)
        assert not all_hang([ended, first, second])
        monkeypatch.undo()
        connections.pop().close()


def test_a_file_never_hangs(start: Started, stills: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture, _ = start(f"{{type: images, path: {stills}}}")
    monkeypatch.setattr(module, "monotonic_ns", lambda: monotonic_ns() + 10**15)
    assert not capture.hangs
    monkeypatch.undo()


def test_a_camera_that_refuses_is_down_with_the_reason_and_tried_again(start: Started) -> None:
    with refusing_port() as port:
        capture, mailbox = start(f"{{type: rtsp, url: 'rtsp://127.0.0.1:{port}/x'}}")
        assert capture.tried.wait(60)
        until(lambda: capture.state.state == "down")
        assert capture.state.reason == "refused"
        assert not capture.finished.is_set()
        assert mailbox.empty
        assert capture.refusal is None


class Breaking:
    """A camera whose library fails in a way that nobody foresaw, at its third frame."""

    live = True
    frames = None
    codec = ""

    def __init__(self) -> None:
        self._left = 2

    def read(self) -> Reading | None:
        if not self._left:
            msg = "no conversion of rtsp://bob:hush@cam/x"
            raise ValueError(msg)
        self._left -= 1
        return reading(self._left)

    def interrupt(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""


def test_a_camera_is_lost_and_tried_again_whatever_its_library_raises(
    start: Started, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    control.enter(Phase.RUNNING)
    monkeypatch.setattr(module, "open_source", lambda _config: Breaking())
    with structlog.testing.capture_logs() as logs:
        capture, mailbox = start("'rtsp://bob:hush@cam/x'")
        until(lambda: capture.reconnects > 0, step=mailbox.take)
        # It comes back again and again.
        until(lambda: capture.state[:2] == ("down", "error"), step=mailbox.take)
    assert not capture.finished.is_set()
    (told,) = [entry for entry in logs if entry["log_level"] == "warning"]
    assert told["why"] == "rtsp://***@cam/x: ValueError: no conversion of rtsp://***@cam/x"


# --- sizes ------------------------------------------------------------------------------------


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Twelve images, every third one wider than the others."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number in range(12):
        width = 64 if number % 3 == 2 else 48
        Image.fromarray(np.zeros((32, width, 3), np.uint8)).save(folder / f"{number:02}.png")
    return folder


@pytest.mark.parametrize(
    ("settings", "misshapen"),
    [
        pytest.param("", [False, False, True], id="the-first-ones-size-is-expected"),
        pytest.param(", size: [64, 32]", [True, True, False], id="the-given-size-is-expected"),
        pytest.param(", on_size_change: accept", [False, False, False], id="any-is-accepted"),
        pytest.param(
            ", on_size_change: accept, roi: [40, 0, 16, 16]",
            [True, True, False],
            id="none-is-accepted-that-the-roi-sticks-out-of",
        ),
    ],
)
def test_a_picture_of_an_unexpected_size_is_marked_and_told_once(
    start: Started, control: Control, mixed: Path, settings: str, misshapen: list[bool]
) -> None:
    control.enter(Phase.RUNNING)
    with structlog.testing.capture_logs() as logs:
        capture, mailbox = start(f"{{type: images, path: {mixed}}}", settings)
        readings = taken_until_end(capture, mailbox)
    assert [r.misshapen for r in readings] == misshapen * 4
    told = [entry["reason"] for entry in logs if entry["log_level"] == "warning"]
    assert told == ["shape"] * any(misshapen)


def test_the_state_says_that_pictures_cannot_be_judged_as_long_as_they_cannot(
    start: Started, control: Control, mixed: Path
) -> None:
    control.enter(Phase.RUNNING)
    capture, mailbox = start(f"{{type: images, path: {mixed}, hold: 100}}", ", size: [64, 32]")
    until(lambda: not mailbox.empty)
    assert (capture.state.state, capture.state.reason) == ("unusable", "shape")
    until(lambda: capture.state.state == "ok", step=mailbox.take)
    assert capture.state.reason is None
    until(lambda: capture.state.state == "unusable", step=mailbox.take)


def test_what_was_expected_before_a_restart_still_is(
    start: Started, control: Control, mixed: Path
) -> None:
    capture, mailbox = start(f"{{type: images, path: {mixed}}}")
    assert capture.tried.wait(30)
    capture.size.expected = (64, 32)
    control.enter(Phase.RUNNING)
    readings = taken_until_end(capture, mailbox)
    assert [r.misshapen for r in readings] == [True, True, False] * 4
