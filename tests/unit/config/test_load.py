"""What a right pipeline file becomes: every camera complete, every default filled in."""

import copy
import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from streamline.config import (
    Alert,
    Batch,
    Camera,
    Debounce,
    DemoSource,
    Evidence,
    ImagesSource,
    Infer,
    JsonlSink,
    Links,
    LogSink,
    Metrics,
    ModelChoice,
    Pipeline,
    Queue,
    QueuePolicy,
    Record,
    Roi,
    RtspSource,
    Scene,
    UsbSource,
    VideoSource,
    WebhookSink,
    ZmqSink,
    dump_effective,
    load,
)
from streamline.config.fields import SecretPathUrl
from streamline.config.links import HostKey, LinkKeys
from streamline.messages import SCENE_FAULTS

SMALL = "version: 1\nmodel: m\ncameras: {left: demo://inspect}\n"
PASSWORD = "hunter2"  # noqa: S105 the one that must not appear


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "line1.yaml"


def loaded(file: Path, text: str, **variables: str) -> Pipeline:
    file.write_text(text)
    return load(file, variables=variables)


def test_a_small_file_gets_all_defaults(file: Path) -> None:
    pipeline = loaded(file, SMALL)
    assert pipeline.name == "line1"
    assert pipeline.infer == Infer(
        backend="openvino",
        device="CPU",
        precision="auto",
        streams="auto",
        threads="auto",
        batch=Batch(max=8, wait_ms="auto"),
    )
    assert pipeline.alert == Alert(k=3, n=5, sinks=(LogSink(),))
    assert pipeline.record == Record(verdicts=None, drops=None, evidence=None)
    assert pipeline.links == Links(frames="inproc", prepared="ipc", scores="ipc", telemetry=None)
    assert pipeline.metrics == Metrics(address="127.0.0.1", port=9464)
    assert pipeline.drain_s == 10
    assert pipeline.cameras == {
        "left": Camera(
            name="left",
            source=DemoSource(part="inspect", seed=0, pace="max", loop=False),
            model=ModelChoice(path=file.parent / "m"),
            queue=Queue(policy=QueuePolicy.BLOCK, depth=4),
            roi=None,
            alert=Debounce(k=3, n=5),
        )
    }


def test_every_setting_arrives(file: Path) -> None:
    pipeline = loaded(
        file,
        """
version: 1
name: hall-2
cameras:
  left:
    source: {type: usb, device: /dev/v4l/by-id/cam, width: 640, height: 480, fps: 30, fourcc: MJPG}
    model: {path: m, learn: {source: {type: images, path: ok, hold: 2}, seconds: 5, every: 3}}
    queue: {policy: block, depth: 9}
    roi: [1, 2, 30, 40]
    alert: {k: 1, n: 1}
infer: {device: "AUTO:GPU,CPU", precision: bf16, streams: 4, threads: 6,
  batch: {max: 3, wait_ms: 1.5}, max_fps: 50}
alert: {sinks: [{type: jsonl, path: a.jsonl}, {type: zmq, address: "tcp://*:5590"}]}
record: {verdicts: v, drops: /d, evidence: ../e}
links:
  frames: ipc
  prepared: "tcp://[::1]:1"
  scores: inproc
  telemetry: "tcp://host:65535"
  keys:
    own_file: own.key
    hosts: {here: {key: HERE, address: "::1"}, there: {key: THERE, address: host}}
metrics: {address: 0.0.0.0, port: 1, plain: true}
drain_s: 0
""".replace("THERE", "b" * 64).replace("HERE", "a" * 64),
    )
    here = file.parent
    camera = pipeline.cameras["left"]
    assert pipeline.name == "hall-2"
    assert camera.source == UsbSource(
        device="/dev/v4l/by-id/cam", width=640, height=480, fps=30, fourcc="MJPG"
    )
    assert camera.model.path == here / "m"
    assert camera.model.learn is not None
    assert camera.model.learn.source == ImagesSource(path=here / "ok", hold=2)
    assert (camera.model.learn.seconds, camera.model.learn.every) == (5, 3)
    assert camera.queue == Queue(policy=QueuePolicy.BLOCK, depth=9)
    assert camera.roi == Roi(1, 2, 30, 40)
    assert camera.alert == Debounce(k=1, n=1)
    assert pipeline.infer == Infer(
        device="AUTO:GPU,CPU",
        precision="bf16",
        streams=4,
        threads=6,
        batch=Batch(max=3, wait_ms=1.5),
        max_fps=50,
    )
    assert pipeline.alert.sinks == (
        JsonlSink(path=here / "a.jsonl"),
        ZmqSink(address="tcp://*:5590"),
    )
    assert pipeline.record == Record(
        verdicts=here / "v", drops=Path("/d"), evidence=Evidence(path=here.parent / "e")
    )
    hosts = {
        "here": HostKey(key="a" * 64, address="::1"),
        "there": HostKey(key="b" * 64, address="host"),
    }
    assert pipeline.links == Links(
        frames="ipc",
        prepared="tcp://[::1]:1",
        scores="inproc",
        telemetry="tcp://host:65535",
        keys=LinkKeys(own_file=here / "own.key", hosts=hosts),
    )
    assert pipeline.metrics == Metrics(address="0.0.0.0", port=1, plain=True)  # noqa: S104 never bound
    assert pipeline.drain_s == 0


def test_a_camera_overrides_defaults_key_by_key(file: Path) -> None:
    pipeline = loaded(
        file,
        """
version: 1
model: all
queue: {policy: drop_oldest, depth: 7}
alert: {k: 2, n: 4}
cameras:
  plain: demo://inspect
  other:
    source: demo://inspect
    model: own
    queue: {depth: 1}
    alert: {n: 8}
""",
    )
    plain, other = pipeline.cameras["plain"], pipeline.cameras["other"]
    assert plain.model.path.name == "all"
    assert plain.queue == Queue(policy=QueuePolicy.DROP_OLDEST, depth=7)
    assert plain.alert == Debounce(k=2, n=4)
    assert other.model.path.name == "own"
    assert other.queue == Queue(policy=QueuePolicy.DROP_OLDEST, depth=1)
    assert other.alert == Debounce(k=2, n=8)


@pytest.mark.parametrize(
    ("source", "live"),
    [
        ("rtsp://10.0.0.7/live", True),
        ("usb:0", True),
        ("demo://inspect", False),
        ("clip.mp4", False),
        ("{type: video, path: clip.mp4, pace: native}", True),
        ("{type: images, path: ok, pace: 25}", True),
        ("{type: demo, pace: 12.5}", True),
    ],
)
def test_auto_blocks_what_can_wait_and_drops_what_cannot(
    file: Path, source: str, *, live: bool
) -> None:
    camera = loaded(file, f"version: 1\nmodel: m\ncameras: {{a: {{source: {source}}}}}\n").cameras[
        "a"
    ]
    assert camera.live is live
    assert camera.queue.policy is (QueuePolicy.DROP_OLDEST if live else QueuePolicy.BLOCK)


def test_every_check_of_a_scene_is_a_setting_that_cameras_override_key_by_key(file: Path) -> None:
    pipeline = loaded(
        file,
        """
version: 1
model: m
scene: {blur: unknown, frozen_s: 2}
cameras:
  plain: rtsp://10.0.0.7/live
  other: {source: rtsp://10.0.0.8/live, scene: {blur: off, reference: start}, deadline_ms: 80}
""",
    )
    plain, other = pipeline.cameras["plain"], pipeline.cameras["other"]
    checks = {fault.value for fault in SCENE_FAULTS}
    assert checks == set(Scene.model_fields) - {"frozen_s", "reference"}
    written = {"frozen", "black", "white"}
    assert plain.scene == Scene(frozen="unknown", blur="unknown", frozen_s=2)  # type: ignore[arg-type]
    assert {c for c in checks if getattr(Scene(), c) == "unknown"} == written - {"frozen"}
    assert (other.scene.blur, other.scene.frozen_s, other.scene.reference) == ("off", 2, "start")
    assert (plain.deadline_ms, other.deadline_ms) == (None, 80)


@pytest.mark.parametrize(
    ("source", "written", "frozen"),
    [
        ("rtsp://10.0.0.7/live", "", "unknown"),
        ("clip.mp4", "", "unknown"),
        ("{type: images, path: ok, pace: 25}", "", "off"),
        ("{type: images, path: ok, pace: 25}", "frozen: warn", "warn"),
        ("usb:0", "frozen: off", "off"),
    ],
)
def test_a_picture_that_is_shown_for_long_is_not_frozen_unless_somebody_says_so(
    file: Path, source: str, written: str, frozen: str
) -> None:
    text = f"version: 1\nmodel: m\ncameras: {{a: {{source: {source}, scene: {{{written}}}}}}}\n"
    assert loaded(file, text).cameras["a"].scene.frozen == frozen


def test_variables_are_replaced_in_texts_and_numbers(file: Path) -> None:
    pipeline = loaded(
        file,
        "version: 1\nname: ${LINE}-${HALL:-2}\nmodel: ${EMPTY:-m}/$${x}\n"
        "cameras: {left: 'usb:${N}'}\nqueue: {depth: '${N}'}\n",
        LINE="packing",
        EMPTY="",
        N="12",
    )
    assert pipeline.name == "packing-2"
    assert pipeline.cameras["left"].model.path == file.parent / "m" / "${x}"
    assert pipeline.cameras["left"].source == UsbSource(device=12)
    assert pipeline.queue.depth == 12


def test_variables_come_from_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMLINE_TEST_LINE", "from-outside")
    file.write_text(SMALL + "name: ${STREAMLINE_TEST_LINE}\n")
    assert load(file).name == "from-outside"


def test_a_tilde_is_the_home_directory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/op")
    text = SMALL.replace("model: m", "model: ${XDG_CACHE_HOME:-~/.cache}/m")
    assert loaded(file, text).cameras["left"].model.path == Path("/home/op/.cache/m")


def test_relative_paths_start_at_the_file_wherever_the_program_runs(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(SMALL)
    monkeypatch.chdir(file.parent)
    assert load(file.name).cameras["left"].model.path == file.parent / "m"


def test_a_folder_is_images_and_anything_else_a_video(file: Path) -> None:
    (file.parent / "pictures").mkdir()
    pipeline = loaded(file, "version: 1\nmodel: m\ncameras: {a: pictures, b: missing.mp4}\n")
    assert pipeline.cameras["a"].source == ImagesSource(path=file.parent / "pictures")
    assert pipeline.cameras["b"].source == VideoSource(path=file.parent / "missing.mp4")


def test_anchors_and_merge_keys_share_settings(file: Path) -> None:
    pipeline = loaded(
        file,
        """
version: 1
model: m
cameras:
  a: &camera
    source: {type: rtsp, url: "rtsp://h/a", open_timeout_s: 3}
    queue: {depth: 9}
  b:
    <<: *camera
    source: usb:0
""",
    )
    assert pipeline.cameras["b"].queue.depth == 9
    assert pipeline.cameras["b"].source == UsbSource(device=0)


def test_sections_with_nothing_but_comments_take_their_defaults(file: Path) -> None:
    pipeline = loaded(file, SMALL + "record:\n  # verdicts: v.jsonl\nqueue:\nmetrics:\n")
    assert pipeline.record == Record()
    assert pipeline.metrics == Metrics()


@pytest.mark.parametrize("stem", ["Line_1", "line 1", "ünï", "..", "-x-", "a" * 99])
def test_the_name_of_any_file_becomes_a_usable_name(tmp_path: Path, stem: str) -> None:
    pipeline = loaded(tmp_path / f"{stem}.yaml", SMALL)
    assert 1 <= len(pipeline.name) <= 63
    assert pipeline.name.replace("-", "").replace("_", "").isascii()


def test_where_tells_file_and_line_of_a_key_or_of_the_nearest_above(file: Path) -> None:
    pipeline = loaded(file, SMALL)
    assert pipeline.where("model") == f"{file}:2: model"
    assert pipeline.where("cameras.left.source") == f"{file}:3: cameras.left.source"
    assert pipeline.where("record.verdicts") == "record.verdicts"


SECRET = f"""
version: 1
model: m
cameras:
  a: rtsp://inspector:{PASSWORD}@10.0.0.7/live
  b: {{source: {{type: rtsp, url: "rtsp://10.0.0.8/x?password={PASSWORD}"}}}}
"""


def test_a_password_shows_nowhere_but_in_the_real_url(file: Path) -> None:
    pipeline = loaded(file, SECRET)
    camera = pipeline.cameras["a"].source
    assert isinstance(camera, RtspSource)
    shown = [
        repr(pipeline),
        str(pipeline),
        f"{pipeline.model_dump()}",
        pipeline.model_dump_json(),
        dump_effective(pipeline),
        camera.label,
        f"{camera.url}",
    ]
    assert all(PASSWORD not in text for text in shown)
    assert "rtsp://***@10.0.0.7/live" in shown[-3]
    assert camera.real_url() == f"rtsp://inspector:{PASSWORD}@10.0.0.7/live"


def test_the_effective_configuration_hides_credentials_even_where_none_belong(file: Path) -> None:
    camera = f"{{source: {{type: usb, device: '/dev/u:{PASSWORD}@h'}}}}"
    assert PASSWORD not in dump_effective(loaded(file, SMALL.replace("demo://inspect", camera)))


def test_the_effective_configuration_loads_as_the_same(file: Path) -> None:
    pipeline = loaded(file, SMALL + "queue: {depth: 3}\nalert: {k: 1, n: 2}\n")
    text = dump_effective(pipeline)
    again = loaded(file.with_name("again.yaml"), text)
    assert again.model_dump() == pipeline.model_dump()
    assert YAML(typ="safe").load(text)["cameras"]["left"]["queue"] == {
        "policy": "block",
        "depth": 3,
    }


def send_back(pipeline: Pipeline, end: Connection) -> None:
    """Tell from another process what arrived there."""
    source = pipeline.cameras["left"].source
    assert isinstance(source, RtspSource)
    end.send_bytes(f"{source.real_url()} {pipeline.where('model')}".encode())


def test_a_pipeline_reaches_a_forkserver_child_whole(file: Path) -> None:
    text = f"version: 1\nmodel: m\ncameras: {{left: 'rtsp://u:{PASSWORD}@h/x'}}\n"
    pipeline = loaded(file, text)
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    child = context.Process(target=send_back, args=(pipeline, theirs))
    child.start()
    theirs.close()
    assert ours.recv_bytes().decode() == f"rtsp://u:{PASSWORD}@h/x {file}:2: model"
    ours.close()
    child.join()
    child.close()


def test_a_copy_is_equal_and_nothing_can_be_changed(file: Path) -> None:
    pipeline = loaded(file, SMALL)
    assert copy.copy(pipeline) == pipeline
    assert copy.deepcopy(pipeline) == pipeline
    with pytest.raises(ValueError, match="frozen"):
        pipeline.drain_s = 3


def test_a_sink_is_called_the_same_wherever_it_stands_and_whoever_stands_beside_it() -> None:
    """What it has yet to be told waits under its name."""
    plain = WebhookSink(url=SecretPathUrl("http://a/"))
    named = WebhookSink(url=SecretPathUrl("http://b/"), name="shift")
    log = LogSink()
    for sinks in ((log, plain, named), (named, log, plain), (named,), (plain, log)):
        told = Alert(sinks=sinks).by_name
        assert {name: told[name] for name in told} == {
            name: sink
            for name, sink in (("log", log), ("webhook", plain), ("shift", named))
            if sink in sinks
        }
