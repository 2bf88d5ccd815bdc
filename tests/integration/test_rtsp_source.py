"""RTSP cameras, played by a real GStreamer server on loopback."""

import logging
import threading
import time
import traceback
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streamline.config import RtspSource, parse_source
from streamline.errors import SourceError, SourceLostError
from streamline.messages import PixelFormat
from streamline.source import Reading, Source, open_source
from tests.support.clips import encode, encode_images, repeat
from tests.support.rtsp_server import RtspServer

FRAMES = 50
SECRET = "s3cr#t w@rd/:%41"  # noqa: S105 - it must be one to be looked for


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds at 25 frames a second, each frame brighter than the last."""
    path = tmp_path_factory.mktemp("rtsp") / "ramp.mp4"
    ramp = (np.full((96, 128, 3), 30 + 4 * n, np.uint8) for n in range(FRAMES))
    return encode(ramp, path, rate=25)


@pytest.fixture(scope="session")
def long_clip(clip: Path) -> Path:
    return repeat(clip, clip.with_name("long.mp4"), seconds=120)


@pytest.fixture
def server(long_clip: Path) -> Iterator[RtspServer]:
    with RtspServer(long_clip) as running:
        yield running


def opened(url: str, **settings: float | str) -> Source:
    return open_source(RtspSource.model_validate({"url": url, **settings}))


def read_all(source: Source) -> tuple[list[Reading], SourceError]:
    """Read until the source fails."""
    got: list[Reading] = []
    try:
        while (reading := source.read()) is not None:
            got.append(reading)
    except SourceError as exc:
        return got, exc
    pytest.fail("a camera's stream must not end in silence")


def test_frames_arrive_in_real_time_and_all_of_them(clip: Path) -> None:
    with RtspServer(clip) as running:
        asked_s = time.monotonic()
        source = opened(running.url, read_timeout_s=10)
        assert (source.live, source.frames) == (True, None)
        got, end = read_all(source)
    assert isinstance(end, SourceLostError)
    assert end.reason == "ended"
    assert [r.picture.planes[0].shape for r in got] == [(96, 128)] * FRAMES
    levels = [float(r.picture.planes[0].mean()) for r in got]
    assert levels == sorted(levels)
    assert got[0].picture.format is PixelFormat.I420
    assert not any(r.corrupt or r.damaged_unseen or r.missed for r in got)
    # The camera's own time of each frame is kept beside the time it arrived.
    assert np.diff([r.pts_s for r in got[1:]]) == pytest.approx(1 / 25, abs=1e-3)
    captured_s = np.array([r.captured_ns for r in got]) / 1e9
    assert (np.diff(captured_s) > 0).all()
    assert captured_s[-1] - asked_s > 1.5  # paced by the server, not by the disk
    print(f"intervals: {np.percentile(np.diff(captured_s), [1, 50, 99]) * 1e3} ms")  # noqa: T201


def test_images_can_be_served_as_a_stream_that_shows_each_for_some_frames(tmp_path: Path) -> None:
    for number in range(4):
        Image.new("RGB", (80, 80), (60 * number, 60 * number, 60 * number)).save(
            tmp_path / f"{number}.png"
        )
    stills = sorted(tmp_path.glob("*.png"))
    video = encode_images(stills, tmp_path / "stills.mp4", rate=50, hold=12, size=(64, 48))
    with RtspServer(video) as running:
        got, _ = read_all(opened(running.url, read_timeout_s=10))
    shown = [round((float(r.picture.planes[0].mean()) - 16) / 219 * 255 / 60) for r in got]
    assert shown == [number for number in range(4) for _ in range(12)]


def test_a_repeated_clip_goes_on_without_a_gap(clip: Path, tmp_path: Path) -> None:
    rate = Fraction(25)
    video = repeat(clip, tmp_path / "twice.mp4", seconds=2.5)
    with RtspServer(video) as running:
        got, _ = read_all(opened(running.url, read_timeout_s=10))
    assert len(got) == 2 * FRAMES
    assert np.diff([r.pts_s for r in got[1:]]) == pytest.approx(float(1 / rate), abs=1e-3)


# ── what goes wrong ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["basic", "digest"])
def test_the_right_password_opens_a_protected_camera(
    long_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setenv("CAMERA_PASSWORD", SECRET)
    secret_file = tmp_path / "password"
    secret_file.write_text(f"{SECRET}\n")
    login = {"user": "bob", "password": SECRET}
    with RtspServer(long_clip, method="basic" if method == "basic" else "digest", **login) as s:
        opened(s.url_for("bob", SECRET)).close()
        opened(s.url, username="bob", password_file=str(secret_file)).close()
        by_variable = s.url.replace("://", "://bob:${CAMERA_PASSWORD}@")
        open_source(parse_source(by_variable, tmp_path)).close()


def test_a_wrong_password_is_told_from_other_failures_and_never_shown(
    long_clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with RtspServer(long_clip, user="bob", password="right") as s:  # noqa: S106
        for url in (s.url_for("bob", SECRET), s.url):
            with pytest.raises(SourceError, match="refuses the user name or password") as caught:
                opened(url)
            assert caught.value.reason == "auth"
            error = caught.value
            shown = "".join(traceback.format_exception(error)) + repr(error) + caplog.text
            # Not even where a logger walks the chain of contexts by itself.
            contexts = []
            link: BaseException | None = error
            while link is not None:
                contexts.append(repr(link) + str(link))
                link = link.__context__
            for text in (SECRET, "s3cr%23t", "w%40rd"):
                assert text not in shown
                assert text not in "".join(contexts)


def test_a_port_where_nothing_listens_refuses(server: RtspServer) -> None:
    server.stop()
    with pytest.raises(SourceError, match="nothing listens there") as caught:
        opened(server.url)
    assert caught.value.reason == "refused"


def test_a_path_without_a_stream_is_missing(server: RtspServer) -> None:
    with pytest.raises(SourceError, match="no stream of that path") as caught:
        opened(server.url.replace("/stream", "/nothing"))
    assert caught.value.reason == "missing"


def test_a_frozen_camera_is_given_up_within_the_read_time_out(server: RtspServer) -> None:
    source = opened(server.url, read_timeout_s=3)
    for _ in range(5):
        assert source.read() is not None
    server.freeze()
    started = time.monotonic()
    _, error = read_all(source)
    print(f"gave up after {time.monotonic() - started:.2f} s of a limit of 3 s")  # noqa: T201
    assert isinstance(error, SourceLostError)
    assert error.reason == "stalled"
    source.close()  # must not wait for an answer from the frozen server


def test_opening_a_frozen_camera_times_out_and_works_again_once_it_thaws(
    server: RtspServer,
) -> None:
    server.freeze()
    with pytest.raises(SourceError, match="did not answer in time") as caught:
        opened(server.url, open_timeout_s=0.5)
    assert caught.value.reason == "timeout"
    server.thaw()
    opened(server.url).close()


def test_a_killed_server_is_a_lost_source_and_can_be_opened_again(server: RtspServer) -> None:
    source = opened(server.url, read_timeout_s=30)
    assert source.read() is not None
    server.stop()
    _, error = read_all(source)
    assert isinstance(error, SourceLostError)
    assert error.reason == "ended"
    source.close()
    server.start()
    again = opened(server.url)
    assert again.read() is not None
    again.close()


def test_an_interrupted_read_ends_with_the_next_packet(server: RtspServer) -> None:
    source = opened(server.url, read_timeout_s=60)
    ended = threading.Event()

    def read_on() -> None:
        while source.read() is not None:
            pass
        ended.set()

    reading = threading.Thread(target=read_on)
    reading.start()
    source.interrupt()
    assert ended.wait(30)
    reading.join()
    source.close()


def test_something_that_does_not_speak_rtsp_is_told_so(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(SourceError, match="no valid answer"):
            open_source(parse_source(f"rtsp://127.0.0.1:{port}/x", tmp_path))
        thread.join()
