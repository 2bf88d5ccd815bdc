"""What is printed for a camera loads, means the same camera, and holds no password."""

import re
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamline.config import RtspSource, UsbSource, load, parse_source
from streamline.doctor.fragment import pipeline_for
from streamline.doctor.probe import Probe, Rhythm


def seen(codec: str = "h264") -> Probe:
    return Probe(
        width=1280,
        height=720,
        codec=codec,
        first_frame_s=0.4,
        live=True,
        frames=50,
        corrupt=0,
        rhythm=Rhythm(fps=25.0, jitter_ms=1.0, longest_gap_ms=44.0),
    )


@pytest.mark.parametrize(
    ("written", "variables"),
    [
        ("rtsp://10.0.0.7/live", {}),
        ("rtsp://bob@10.0.0.7:8554/live?channel=1&subtype=0", {}),
        ("rtsp://bob:hunter2@10.0.0.7/live", {"CAMERA_PASSWORD": "hunter2"}),
        ("rtsps://b%40b:hunter2@[fd00::7]:322/a", {"CAMERA_PASSWORD": "hunter2"}),
        (
            "rtsp://10.0.0.7/live?user=bob&password=hunter2&x-auth=hunter2%26",
            {"CAMERA_USER": "bob", "CAMERA_PASSWORD": "hunter2", "CAMERA_X_AUTH": "hunter2%26"},
        ),
        ("rtsp://10.0.0.7/live?hunter2", {"CAMERA_QUERY_1": "hunter2"}),
        ("rtsp://bob:${MY_OWN}@10.0.0.7/live", {"MY_OWN": "hunter2"}),
        ("rtsp://bob:hunter2@10.0.0.7/live?real_stream", {"CAMERA_PASSWORD": "hunter2"}),
        ("rtsps://10.0.0.7:7441/abc?enableSrtp", {}),
        (
            "rtsp://10.0.0.7/user=bob_password=hunter2_channel=1_stream=0.sdp?real_stream",
            {"CAMERA_USER": "bob_password=hunter2_channel=1_stream=0.sdp"},
        ),
        (
            "rtsp://bob:hunter2@10.0.0.7/?password=hunter2%26&a-b=3&a.b=4&hunter2&5",
            {
                "CAMERA_PASSWORD": "hunter2",
                "CAMERA_PASSWORD_2": "hunter2%26",
                "CAMERA_A_B": "3",
                "CAMERA_A_B_2": "4",
                "CAMERA_QUERY_1": "hunter2",
                "CAMERA_QUERY_2": "5",
            },
        ),
        (
            "rtsp://10.0.0.7/?authorization=hunter2&channel=1",
            {"CAMERA_AUTHORIZATION": "hunter2&channel=1"},
        ),
        ("rtsp://10.0.0.7/$${a}?x=hunter2", {"CAMERA_X": "hunter2"}),
    ],
    ids=[
        *("open", "user", "password", "ipv6", "query", "bare-query", "variable", "dahua", "unifi"),
        *("xmeye", "names-twice", "header", "no-variable"),
    ],
)
def test_a_network_camera_is_the_same_once_the_variable_is_set(
    written: str, variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    source = parse_source(written, tmp_path)
    text = pipeline_for(written, source, seen())
    assert "hunter2" not in text
    assert "***" not in text
    (tmp_path / "line.yaml").write_text(text)
    camera = load(tmp_path / "line.yaml", variables=variables).cameras["camera1"]
    assert isinstance(camera.source, RtspSource)
    assert isinstance(source, RtspSource)
    assert camera.source.real_url() == source.real_url()
    assert camera.size == (1280, 720)
    assert re.findall(r"^#   (\w+): ", text, re.MULTILINE) == list(variables)


def test_a_password_beside_a_variable_is_not_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMERA_HOST", "10.0.0.7")
    for written in ("bob:hunter2@${CAMERA_HOST}/live", "${CAMERA_HOST}/live?a=hunter2"):
        text = pipeline_for(
            f"rtsp://{written}", parse_source(f"rtsp://{written}", tmp_path), seen()
        )
        assert "hunter2" not in text
        assert "//10.0.0.7/" in text or "@10.0.0.7/" in text


WORD = st.text(st.sampled_from("ab1é😀$${}%-_.~!'()*+,:="), max_size=8)


@settings(deadline=None)
@given(
    login=st.none() | st.tuples(WORD, st.none() | WORD),
    path=st.lists(WORD, max_size=3),
    query=st.lists(
        st.tuples(st.sampled_from(["", "a=", "a-b=", "password=", "channel=", "auth="]), WORD),
        max_size=4,
    ),
)
def test_every_address_comes_back_from_its_file(
    tmp_path_factory: pytest.TempPathFactory,
    login: tuple[str, str | None] | None,
    path: list[str],
    query: list[tuple[str, str]],
) -> None:
    user, password = login or ("", None)
    before = "" if login is None else quote(user, safe="!$&'()*+,;=")
    before += "" if password is None else f":{quote(password, safe='')}"
    before += "" if login is None else "@"
    behind = "/".join(["", *path]) + "?" + "&".join(name + value for name, value in query)
    url = f"rtsp://{before}10.0.0.7{behind}"
    source = RtspSource.model_validate({"url": url})
    text = pipeline_for(url.replace("${", "$${"), source, seen())
    assert "***" not in text or "***" in url
    file = tmp_path_factory.mktemp("any") / "line.yaml"
    file.write_text(text)
    names = re.findall(r"^#   (\w+): ", text, re.MULTILINE)
    # What each variable stands for is read off by laying the printed address over the given one.
    marks = {name: f"<{number}>" for number, name in enumerate(names)}
    marked = address(file, marks)
    if password is not None:
        marked = marked.replace(quote(marks["CAMERA_PASSWORD"]), quote(password, safe=""), 1)
    pieces = [re.escape(piece) for piece in re.split(r"<\d+>", marked)]
    found = re.fullmatch("(.+?)".join(pieces), source.real_url(), re.DOTALL)
    assert found, (marked, source.real_url())
    order = [int(number) for number in re.findall(r"<(\d+)>", marked)]
    values = {names[number]: found[1 + place] for place, number in enumerate(order)}
    if password is not None:
        values["CAMERA_PASSWORD"] = password
    assert sorted(values) == sorted(names)
    assert unquote(address(file, values)) == unquote(source.real_url())


def address(file: Path, variables: dict[str, str]) -> str:
    source = load(file, variables=variables).cameras["camera1"].source
    assert isinstance(source, RtspSource)
    return source.real_url()


def test_a_usb_camera_is_asked_for_the_mode_that_was_seen(tmp_path: Path) -> None:
    text = pipeline_for("usb:3", parse_source("usb:3", tmp_path), seen("MJPG"))
    (tmp_path / "line.yaml").write_text(text)
    assert load(tmp_path / "line.yaml").cameras["camera1"].source == UsbSource(
        device="/dev/video3", width=1280, height=720, fourcc="MJPG"
    )


@pytest.mark.parametrize("written", ["demo://inspect?seed=3", "a clip: no. 1.mp4", "pictures"])
def test_files_and_the_demonstration_too(written: str, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    source = parse_source(written, tmp_path)
    (tmp_path / "line.yaml").write_text(pipeline_for(written, source, seen()))
    assert load(tmp_path / "line.yaml").cameras["camera1"].source.label == source.label
