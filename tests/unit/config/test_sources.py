"""A source written as one string, and what an RTSP source makes of its credentials."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamline.config import (
    AnySource,
    DemoSource,
    ImagesSource,
    RtspSource,
    UsbSource,
    VideoSource,
    parse_source,
)
from streamline.errors import InputError

PRINTABLE = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("usb:2", UsbSource(device=2)),
        ("/dev/video2", UsbSource(device="/dev/video2")),
        ("/dev/v4l/by-id/usb-cam", UsbSource(device="/dev/v4l/by-id/usb-cam")),
        ("demo://normal", DemoSource(part="normal")),
        ("demo://inspect?seed=3&pace=25&loop=true", DemoSource(seed=3, pace=25, loop=True)),
        ("clip.mp4", VideoSource(path=Path("/base/clip.mp4"))),
        ("../clip.mp4", VideoSource(path=Path("/clip.mp4"))),
        ("/usr", ImagesSource(path=Path("/usr"))),
        ("a@b.mp4", VideoSource(path=Path("/base/a@b.mp4"))),
    ],
)
def test_a_short_form_is_understood(text: str, source: AnySource) -> None:
    assert parse_source(text, Path("/base")) == source


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://h/x",
        "rtsps://u:p@h:322/x?y=1",
        "RTSP://h",
        "rtsp://[fe80::1]/x",
        "rtsp://kamera-süd.lan./x",
    ],
)
def test_a_network_camera_keeps_its_address(text: str) -> None:
    source = parse_source(text, Path("/base"))
    assert isinstance(source, RtspSource)
    assert source.url.get_secret_value() == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r'^source "" is empty \(must be rtsp://'),
        ("usb:x", r'^source "usb:x" device: is "x" \(must be a path such as /dev/v4l'),
        ("demo://bad", r'^source "demo://bad" part: is "bad" \(must be normal or inspect\)$'),
        ("demo://normal?sed=1", r"^source .* sed: unknown key \(did you mean 'seed'\?\)$"),
        ("demo://normal?seed", r"^source .* has an odd query"),
        ("ftp://u:hunter2@h/x", r'^source "ftp://\*\*\*@h/x" is no known kind of address'),
        ("rtsp:///x", r'^source "rtsp:///x" url: names no host'),
        (
            "rtsp://u:hunter2@cam..lan/x",
            r'^source "rtsp://\*\*\*@cam..lan/x" url: has a wrong host',
        ),
        (f"rtsp://{'k' * 64}.lan/x", r"^source .* url: has a wrong host"),
        ("rtsp://u:hunter2@h:0/x", r'^source "rtsp://\*\*\*@h:0/x" url: has a wrong port'),
        ("rtsp://u:hunter2/@h/x", r'^source "rtsp://\*\*\*@h/x" url: has a wrong port'),
        ("rtsp://u:hunter2 @h/x", r'^source "rtsp://\*\*\*@h/x" url: holds a blank'),
        ("a\0b", r'^source "a\\u0000b" path: "a\\u0000b" holds a zero byte'),
        ("u:hunter2@h/x", r'^source "\*\*\*@h/x" looks like a camera\'s address without rtsp://'),
    ],
)
def test_what_is_no_source_is_told_in_one_sentence(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        parse_source(text, Path("/base"))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_source_or_is_refused(text: str) -> None:
    try:
        source = parse_source(text, Path("/base"))
    except InputError as exc:
        assert "\n" not in str(exc)  # noqa: PT017
    else:
        assert source.label


@settings(deadline=None)
@given(user=PRINTABLE, password=PRINTABLE)
def test_a_password_file_holds_any_password(
    tmp_path_factory: pytest.TempPathFactory, user: str, password: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "camera.secret"
    password = "hunter2" + password
    file.write_text(f"  {password}\n")
    source = RtspSource.model_validate(
        {"url": "rtsp://h:8554/x?y=1", "username": user, "password_file": file}
    )
    real = urlsplit(source.real_url())
    assert (real.hostname, real.port, real.path, real.query) == ("h", 8554, "/x", "y=1")
    assert (unquote(real.username or ""), unquote(real.password or "")) == (user, password)
    assert "hunter2" not in repr(source)


@pytest.mark.parametrize(
    ("password", "real"),
    [
        ("secret", "secret"),
        ("a%40b", "a%40b"),
        ("50%off", "50%25off"),
        ("a@b", "a%40b"),
        ("a:b", "a:b"),
        ("ü", "%C3%BC"),
    ],
)
def test_a_password_in_the_url_is_encoded_where_it_has_to_be(password: str, real: str) -> None:
    source = parse_source(f"rtsp://u:{password}@h/x", Path())
    assert isinstance(source, RtspSource)
    assert source.real_url() == f"rtsp://u:{real}@h/x"


def test_a_changed_password_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "password"
    source = RtspSource.model_validate({"url": "rtsp://u@h/x", "password_file": file})
    file.write_text("old")
    assert source.real_url() == "rtsp://u:old@h/x"
    file.write_text("new")
    assert source.real_url() == "rtsp://u:new@h/x"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"can't read the secret's file .*password: No such file or directory$"),
        (b" \n", r"the secret's file .*password is empty$"),
        (b"x" * 5000, r"the secret's file .*password is too long$"),
        (b"\xff\xfe", r"can't read the secret's file .*password: it is no text$"),
    ],
    ids=["missing", "blank", "long", "binary"],
)
def test_a_password_file_that_cannot_be_used_is_told(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    source = RtspSource.model_validate({"url": "rtsp://u@h/x", "password_file": file})
    with pytest.raises(InputError, match=says):
        source.real_url()


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"url": "rtsp://u@h", "username": "v"}, "the user stands in url and in username"),
        ({"url": "rtsp://u:p@h", "password_file": "f"}, "the password stands in url and in"),
        ({"url": "rtsp://h", "password_file": "f"}, "password_file needs a user"),
    ],
)
def test_credentials_given_twice_or_by_half_are_refused(keys: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        RtspSource.model_validate(keys)


def test_a_password_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_PASSWORD", "pa:ss")
    written = "rtsp://u:${CAMERA_PASSWORD}@h/x"
    assert parse_source(written, Path()) == parse_source("rtsp://u:pa:ss@h/x", Path())
    monkeypatch.delenv("CAMERA_PASSWORD")
    with pytest.raises(InputError, match=r"variable CAMERA_PASSWORD, which is not set"):
        parse_source(written, Path())
