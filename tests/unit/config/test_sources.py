"""A source written as one string, and what an RTSP source makes of its credentials."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamline.config import (
    AnySource,
    DemoSource,
    ImagesSource,
    RtspSource,
    UsbSource,
    VideoSource,
    load,
    parse_source,
)
from streamline.errors import ConfigError, InputError

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
        ("demo://inspect?part=normal", r"^source .* says something twice, type and part included"),
        ("demo://inspect?seed=1&seed=2", r"^source .* says something twice"),
        ("ftp://u:hunter2@h/x", r'^source "ftp://\*\*\*@h/x" is no known kind of address'),
        ("rtsp:///x", r'^source "rtsp:///x" url: names no host'),
        (
            "rtsp://u:hunter2@cam..lan/x",
            r'^source "rtsp://\*\*\*@cam..lan/x" url: has a wrong host',
        ),
        (f"rtsp://{'k' * 64}.lan/x", r"^source .* url: has a wrong host"),
        ("rtsp://u:hunter2@h:0/x", r'^source "rtsp://\*\*\*@h:0/x" url: has a wrong port'),
        ("rtsp://u:hunter2/@h/x", r'^source "rtsp://\*\*\*@h/x" url: holds / \? or # before an at'),
        (
            "rtsp://u:x@hunter2/1@h/x",
            r'^source "rtsp://\*\*\*@h/x" url: holds / \? or # before an at',
        ),
        (
            "rtsp://hunter2:12/s@h/x",
            r'^source "rtsp://\*\*\*@h/x" url: holds / \? or # before an at',
        ),
        ("rtsp://u:p@h/x?to=hunter2@h", r"^source .* behind the host write the at sign as %40\)$"),
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
    assert parse_source(written, Path()) == parse_source("rtsp://u:pa%3Ass@h/x", Path())
    monkeypatch.delenv("CAMERA_PASSWORD")
    with pytest.raises(InputError, match=r"variable CAMERA_PASSWORD, which is not set"):
        parse_source(written, Path())


BY_VARIABLE = "rtsp://inspector:${CAMERA_PASSWORD}@10.0.0.7:8554/live?y=1"


def by_shorthand(url: str, folder: Path) -> RtspSource:
    source = parse_source(url, folder)
    assert isinstance(source, RtspSource)
    return source


def by_file(url: str, folder: Path) -> RtspSource:
    file = folder / "line.yaml"
    written = {"version": 1, "model": "m", "cameras": {"a": {"source": url}}}
    file.write_text(json.dumps(written))
    source = load(file).cameras["a"].source
    assert isinstance(source, RtspSource)
    return source


@pytest.mark.parametrize("read", [by_shorthand, by_file])
@settings(deadline=None)
@given(password=st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126)))
@example("x@sesame#1")
@example("p@ss/w")
@example("12/secret")
@example("a%40b")
@example("${HOME}")
def test_any_password_may_stand_in_a_variable(
    tmp_path_factory: pytest.TempPathFactory,
    read: Callable[[str, Path], RtspSource],
    password: str,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAMERA_PASSWORD", password)
        source = read(BY_VARIABLE, tmp_path_factory.getbasetemp())
    real = urlsplit(source.real_url())
    assert (real.hostname, real.port, real.path, real.query) == ("10.0.0.7", 8554, "/live", "y=1")
    assert (real.username, unquote(real.password or "")) == ("inspector", password)
    assert source.label == "rtsp://***@10.0.0.7:8554/live?y=***"


@pytest.mark.parametrize("read", [by_shorthand, by_file])
@settings(deadline=None)
@given(password=st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126)))
@example("x@hunter2#1")
@example("12/secret")
def test_a_password_written_out_leads_to_the_right_host_or_is_refused_unseen(
    tmp_path_factory: pytest.TempPathFactory,
    read: Callable[[str, Path], RtspSource],
    password: str,
) -> None:
    url = f"rtsp://inspector:hunter2{password}hunter2@10.0.0.7/live"
    folder = tmp_path_factory.getbasetemp()
    try:
        source = read(url.replace("${", "$${"), folder)
    except (InputError, ConfigError) as exc:
        assert set(password) & set("/?#")
        assert "hunter2" not in str(exc)  # noqa: PT017
        assert "in a password write / as %2F" in str(exc)  # noqa: PT017
    else:
        assert not set(password) & set("/?#")
        assert urlsplit(source.real_url()).hostname == "10.0.0.7"
        assert source.label == "rtsp://***@10.0.0.7/live"


@pytest.mark.parametrize(
    ("written", "real"),
    [
        ("rtsp://${V}@h/x", "rtsp://u:p:%40%2F@h/x"),
        ("rtsp://${V}:a@h/x", "rtsp://u%3Ap%3A%40%2F:a@h/x"),
        ("rtsp://u:${NONE:-a/b@c}@h/x", "rtsp://u:a%2Fb%40c@h/x"),
        ("rtsp://u:a${V}b${V}@${H:-h}/x", "rtsp://u:au%3Ap%3A%40%2Fbu%3Ap%3A%40%2F@h/x"),
        ("${S:-rtsp}://h/${P:-a/b}?c=${Q:-d%20/e}", "rtsp://h/a/b?c=d%20/e"),
        ("${U:-rtsp://u:a%40b@h/x}", "rtsp://u:a%40b@h/x"),
    ],
)
def test_a_variable_is_encoded_before_the_host_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, written: str, real: str
) -> None:
    monkeypatch.setenv("V", "u:p:@/")
    assert by_shorthand(written, Path()).real_url() == real


def test_a_variable_may_hold_what_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("V", "\udcff")
    assert by_shorthand("rtsp://u:${V}@h/x", Path()).real_url() == "rtsp://u:%FF@h/x"
