"""A wrong pipeline file is refused with every mistake, each with its line, in plain words."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamline.config import Pipeline, load
from streamline.config.document import parse
from streamline.errors import ConfigError

GOOD = """\
version: 1
model: ./model
cameras:
  left: rtsp://inspector:${PASS}@10.0.0.7/stream1
  right:
    source: {type: rtsp, url: "rtsp://10.0.0.8/stream1", open_timeout_s: 10}
    queue: {depth: 8}
    alert: {k: 2}
alert:
  k: 3
  n: 5
  sinks:
    - type: log
    - type: jsonl
      path: alerts.jsonl
infer:
  batch: {max: 8, wait_ms: auto}
links:
  prepared: ipc
"""

SOURCES = (
    "rtsp://HOST/STREAM, usb:NUMBER, /dev/v4l/by-id/NAME, demo://inspect, "
    "a video file, a folder of images"
)
NAMES = "names have letters, digits, - and _, begin with a letter or digit, at most 63"


def refusal(file: Path, text: str | bytes, **variables: str) -> list[str]:
    """Return the lines of the refusal, without the file's path in front."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(file, variables={"PASS": "hunter2", **variables})
    lines = str(caught.value).split("\n")
    assert all(line.startswith(f"{file}:") for line in lines)
    return [line.removeprefix(f"{file}:") for line in lines]


def test_the_file_that_the_mistakes_are_made_in_is_right(tmp_path: Path) -> None:
    (tmp_path / "line1.yaml").write_text(GOOD)
    assert load(tmp_path / "line1.yaml", variables={"PASS": "x"}).name == "line1"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param(
            "depth: 8",
            "dept: 8",
            "7: cameras.right.queue.dept: unknown key (did you mean 'depth'?)",
            id="typo-in-a-key",
        ),
        pytest.param(
            "queue: {depth: 8}",
            "depth: 8",
            "7: cameras.right.depth: unknown key (known as queue.depth)",
            id="key-of-a-section",
        ),
        pytest.param(
            "queue: {depth: 8}",
            "scene: {blur: unknwon}",
            '7: cameras.right.scene.blur: is "unknwon" '
            "(did you mean 'unknown'? must be off, warn or unknown)",
            id="unknown-response",
        ),
        pytest.param(
            "queue: {depth: 8}",
            "scene: {focus: warn}",
            "7: cameras.right.scene.focus: unknown key (known here: black, blur, brightness, "
            "contrast, drift, frozen, frozen_s, moved, reference, white)",
            id="unknown-check",
        ),
        pytest.param(
            "queue: {depth: 8}",
            "deadline_ms: 0",
            "7: cameras.right.deadline_ms: is 0 (must be a number above 0 up to 60000 ms or null)",
            id="deadline-of-nothing",
        ),
        pytest.param(
            "depth: 8",
            "zzz: 8",
            "7: cameras.right.queue.zzz: unknown key (known here: depth, policy)",
            id="unknown-key",
        ),
        pytest.param(
            "depth: 8",
            "depth: many",
            '7: cameras.right.queue.depth: is "many" '
            "(must be a whole number from 1 to 1024 frames)",
            id="wrong-type",
        ),
        pytest.param(
            "depth: 8",
            "depth: 2.5",
            "7: cameras.right.queue.depth: is 2.5 (must be a whole number from 1 to 1024 frames)",
            id="not-whole",
        ),
        pytest.param(
            "depth: 8",
            "depth: true",
            "7: cameras.right.queue.depth: is true (must be a whole number from 1 to 1024 frames)",
            id="true-is-no-number",
        ),
        pytest.param(
            "depth: 8",
            "depth: 0",
            "7: cameras.right.queue.depth: is 0 (must be a whole number from 1 to 1024 frames)",
            id="out-of-range",
        ),
        pytest.param(
            "open_timeout_s: 10",
            "open_timeout_s: .inf",
            "6: cameras.right.source.open_timeout_s: is Infinity "
            "(must be a number from 0.1 to 300 s)",
            id="infinite",
        ),
        pytest.param(
            "depth: 8",
            "policy: drop_newest",
            '7: cameras.right.queue.policy: is "drop_newest" '
            "(did you mean 'drop_oldest'? must be auto, block or drop_oldest)",
            id="unknown-policy",
        ),
        pytest.param(
            "{type: rtsp,",
            "{type: rtps,",
            '6: cameras.right.source.type: is "rtps" '
            "(did you mean 'rtsp'? must be rtsp, usb, video, images or demo)",
            id="unknown-source-type",
        ),
        pytest.param(
            "{type: rtsp,",
            "{",
            "6: cameras.right.source.type: is missing (must be rtsp, usb, video, images or demo)",
            id="no-source-type",
        ),
        pytest.param(
            'url: "rtsp://10.0.0.8/stream1", ',
            "",
            "6: cameras.right.source.url: is missing (must be rtsp://HOST/STREAM)",
            id="no-url",
        ),
        pytest.param(
            '"rtsp://10.0.0.8/stream1"',
            "1234",
            "6: cameras.right.source.url: can't be used (must be rtsp://HOST/STREAM)",
            id="a-secret-of-another-type-is-not-shown",
        ),
        pytest.param(
            "rtsp://inspector:${PASS}@10.0.0.7/stream1",
            "http://inspector:${PASS}@10.0.0.7/stream1",
            f'4: cameras.left: "http://***@10.0.0.7/stream1" is no known kind of address '
            f"(must be {SOURCES})",
            id="unknown-scheme",
        ),
        pytest.param(
            "rtsp://inspector:${PASS}@10.0.0.7/stream1",
            "[1, 2]",
            f"4: cameras.left: is [1, 2] (must be {SOURCES}, or a mapping with source and more)",
            id="camera-is-a-list",
        ),
        pytest.param(
            "rtsp://inspector:${PASS}@10.0.0.7/stream1",
            "inspector:${PASS}@10.0.0.7/stream1",
            '4: cameras.left: "***@10.0.0.7/stream1" looks like a camera\'s address '
            "without rtsp:// in front",
            id="no-scheme",
        ),
        pytest.param(
            "  left:",
            "  left one:",
            f"4: cameras.left one: can't be a name here ({NAMES})",
            id="camera-name",
        ),
        pytest.param(
            "version: 1",
            "version: 1\nname: ../up",
            '2: name: is "../up" (must be letters, digits, - and _, '
            "starting with a letter or digit, at most 63)",
            id="line-name",
        ),
        pytest.param(
            "  right:",
            "  left:",
            "5: cameras.left: is written twice, first on line 4 (keep one, or rename it)",
            id="two-cameras-of-one-name",
        ),
        pytest.param(
            "    queue: {depth: 8}",
            "    name: right",
            "7: cameras.right.name: unknown key (a camera's name is its key under cameras)",
            id="name-within-a-camera",
        ),
        pytest.param(
            "prepared: ipc",
            "prepared: tcp://10.0.0.20",
            '19: links.prepared: "tcp://10.0.0.20" is no link address '
            "(must be inproc, ipc or tcp://HOST:PORT, port 1 to 65535)",
            id="address-without-port",
        ),
        pytest.param(
            "prepared: ipc",
            "prepared: tcp://10.0.0.20:65536",
            '19: links.prepared: "tcp://10.0.0.20:65536" is no link address '
            "(must be inproc, ipc or tcp://HOST:PORT, port 1 to 65535)",
            id="port-too-large",
        ),
        pytest.param(
            "prepared: ipc",
            "prepared: tcp://127.0.0.1:5701\n  scores: tcp://127.0.0.1:5701",
            "20: links.scores: wants the address 127.0.0.1:5701, "
            "which links.prepared on line 19 has already",
            id="two-links-at-one-address",
        ),
        pytest.param(
            "prepared: ipc",
            "prepared: tcp://10.0.0.20:5701",
            "18: links: prepared goes beyond this computer (give keys, made by streamline keys "
            "FILE, or plain: true where everybody in the network is trusted)",
            id="door-without-a-lock",
        ),
        pytest.param(
            "prepared: ipc",
            "prepared: tcp://10.0.0.20:5701\n  keys:\n    own_file: a\n"
            f"    hosts: {{server: {{key: {'a' * 64}, address: 10.0.0.2}}}}",
            "18: links: prepared goes to 10.0.0.20, and no host in keys.hosts has that address "
            "(write address: beside the key of the host that listens there)",
            id="lock-without-a-key",
        ),
        pytest.param(
            "open_timeout_s: 10",
            "ca_file: ca.pem",
            "6: cameras.right.source: ca_file needs TLS (write rtsps:// in url)",
            id="certificate-without-tls",
        ),
        pytest.param(
            "  prepared: ipc",
            "  prepared: ipc\nmetrics: {address: 0.0.0.0, token_file: token}",
            "20: metrics: opens the endpoint to the network (give certificate_file, key_file and "
            "token_file, or plain: true where everybody in the network is trusted)",
            id="endpoint-for-everybody",
        ),
        pytest.param(
            "  prepared: ipc",
            "  prepared: ipc\nmetrics: {certificate_file: a}",
            "20: metrics: has one of certificate_file and key_file (give both)",
            id="certificate-without-key",
        ),
        pytest.param(
            "prepared: ipc",
            "keys:\n    own_file: a\n"
            f"    hosts: {{here: {{key: {'a' * 64}}}, there: {{key: {'a' * 64}}}}}",
            "19: links.keys: has two hosts with the same key (each host has a key of its own)",
            id="one-key-for-two-hosts",
        ),
        pytest.param(
            "    - type: log",
            '    - {type: zmq, address: "tcp://*:5590"}',
            "18: links: has no keys, and alerts are published beyond this computer, on "
            "tcp://*:5590 (give keys, or plain: true beside that address)",
            id="alerts-for-everybody",
        ),
        pytest.param(
            "k: 2",
            "k: 6",
            "8: cameras.right.alert: k is 6, more than n, which is 5 (k must be at most n)",
            id="k-above-the-default-n",
        ),
        pytest.param(
            "  k: 3\n",
            "  plc: {host: controller, address: 65531}\n",
            "9: alert: has plc.address 65531, but this line's cameras need 6 registers from there "
            "on (must be at most 65530)",
            id="registers-beyond-the-last",
        ),
        pytest.param(
            "  k: 3\n",
            "  plc: {host: controller, period_ms: 5000, stale_ms: 100}\n",
            "10: alert.plc: stale_ms is 100, less than period_ms, which is 5000 "
            "(stale_ms must be at least period_ms)",
            id="verdicts-that-are-never-shown",
        ),
        pytest.param(
            "  k: 3\n",
            "  plc: {host: controller, period_ms: 5000}\n",
            "10: alert.plc: stale_ms is 2000, less than period_ms, which is 5000 "
            "(stale_ms must be at least period_ms)",
            id="verdicts-that-are-not-shown-by-default",
        ),
        pytest.param(
            "  k: 3\n",
            "  k: 6\n",
            "9: alert: k is 6, more than n, which is 5 (k must be at most n)",
            id="k-above-n",
        ),
        pytest.param(
            "    queue: {depth: 8}",
            "    mask: [[[0, 0], [9, 0], [0, 9]]]",
            "7: cameras.right.mask: needs the camera's size or roi, to say what it lies in "
            "(give one of them too)",
            id="mask-of-nobody-knows-what",
        ),
        pytest.param(
            "    queue: {depth: 8}",
            "    roi: [640, 0, 640, 720]\n    mask: [[[0, 0], [600, 0], [0, 600]]]",
            "8: cameras.right.mask: polygon 1 of the mask lies outside the view, or has no area",
            id="mask-outside-the-region",
        ),
        pytest.param(
            "    queue: {depth: 8}",
            "    size: [1280, 720]\n    mask: [[[0, 0], [1280, 0], [1280, 720], [0, 720]]]",
            "8: cameras.right.mask: the mask covers everything, so there is nothing to judge",
            id="mask-of-everything",
        ),
        pytest.param(
            "    queue: {depth: 8}",
            "    size: [1280, 720]\n    mask: [[[0, 0], [1280, 0]]]",
            "8: cameras.right.mask: is a list (must be a list of polygons, each a list of 3 "
            "corners [x, y] or more, in px; "
            "2048 corners in all)",
            id="mask-of-two-corners",
        ),
        pytest.param(
            "    queue: {depth: 8}",
            "    size: [1280, 720]\n    roi: [640, 0, 641, 720]",
            "8: cameras.right.roi: does not lie in the picture of 1280x720 px",
            id="roi-out-of-the-picture",
        ),
        pytest.param(
            "    queue: {depth: 8}",
            "    size: [1280, 720]\n    on_size_change: accept",
            '8: cameras.right.on_size_change: "accept" contradicts size, '
            "which says what is accepted (keep one of them)",
            id="a-size-and-any-size",
        ),
        pytest.param(
            "rtsp://inspector:${PASS}@10.0.0.7/stream1",
            "usb:0\n  file: {source: a.mp4, on_size_change: reopen}",
            '5: cameras.file.on_size_change: "reopen" is for cameras: '
            "a file stays as it is (use unknown or accept)",
            id="a-file-opened-again",
        ),
        pytest.param(
            "${PASS}",
            "${PASSWORT}",
            "4: cameras.left: names the environment variable PASSWORT, which is not set "
            "(set it, or write ${PASSWORT:-default})",
            id="unset-variable",
        ),
        pytest.param(
            "depth: 8",
            'depth: "${"',
            "7: cameras.right.queue.depth: has a malformed variable "
            "(must be ${NAME} or ${NAME:-default}; a literal ${ is written $${)",
            id="malformed-variable",
        ),
        pytest.param(
            "      path: alerts.jsonl",
            "      path: alerts.jsonl\nrecord: {verdicts: ./alerts.jsonl}",
            "15: alert.sinks.1.path: wants the file {folder}/alerts.jsonl, "
            "which record.verdicts on line 16 has already",
            id="one-file-for-two",
        ),
        pytest.param(
            "    - type: log\n",
            "    - {type: jsonl, name: a, path: x/../alerts.jsonl}\n",
            "15: alert.sinks.1.path: wants the file {folder}/alerts.jsonl, "
            "which alert.sinks.0.path on line 13 has already",
            id="two-sinks-to-one-file",
        ),
        pytest.param(
            "    - type: log\n",
            "    - type: log\n    - {type: webhook, url: http://a/}\n"
            "    - {type: webhook, url: http://b/}\n",
            "12: alert.sinks: has two sinks that are called webhook "
            "(give each a name of its own; one without is called by its type)",
            id="two-sinks-without-a-name",
        ),
        pytest.param(
            "    - type: log\n",
            "    - {type: log, name: jsonl}\n",
            "12: alert.sinks: has two sinks that are called jsonl "
            "(give each a name of its own; one without is called by its type)",
            id="a-sink-with-anothers-name",
        ),
        pytest.param(
            "    - type: log\n",
            "    - {type: command, run: [page], env: [PAGER=secret]}\n",
            "13: alert.sinks.0.env.0: can't be used "
            "(must be the name of a variable alone, without its value)",
            id="variable-with-a-value",
        ),
        pytest.param(
            "    - type: log\n",
            "    - {type: command, run: [page], env: PAGER=secret}\n",
            "13: alert.sinks.0.env: can't be used (must be a list)",
            id="variable-with-a-value-and-no-list",
        ),
        pytest.param(
            "rtsp://inspector:${PASS}@10.0.0.7/stream1",
            "usb:0\n  third: /dev/video0",
            "5: cameras.third: wants the camera /dev/video0, "
            "which cameras.left on line 4 has already",
            id="one-device-for-two",
        ),
        pytest.param(
            "    queue: {depth: 8}",
            "    model: {path: model, learn: {source: usb:0}}",
            "7: cameras.right.model: is learnt otherwise than the same model of camera 'left' "
            "(write one learn: and mask:)",
            id="one-model-learnt-in-two-ways",
        ),
        pytest.param(
            "model: ./model\ncameras:\n",
            "model: {path: ./model, learn: {source: usb:0}}\ncameras:\n"
            "  up: {source: usb:1, roi: [0, 0, 90, 90], mask: [[[0, 0], [9, 0], [0, 9]]]}\n",
            "2: model: is learnt otherwise than the same model of camera 'up' "
            "(write one learn: and mask:)",
            id="one-model-learnt-under-two-masks",
        ),
        pytest.param(
            "model: ./model\n",
            "",
            None,
            id="no-model",
        ),
        pytest.param(
            "    queue: {depth: 8}",
            "    roi: [0, 0, 640]",
            "7: cameras.right.roi: is [0, 0, 640] "
            "(must be [x, y, width, height] in px, at least 16 by 16)",
            id="roi-too-short",
        ),
        pytest.param(
            "    queue: {depth: 8}",
            "    roi: [0, 0, 640, 8]",
            "7: cameras.right.roi: is [0, 0, 640, 8] "
            "(must be [x, y, width, height] in px, at least 16 by 16)",
            id="roi-too-small",
        ),
    ],
)
def test_a_mistake_is_told_in_these_words(
    tmp_path: Path, old: str, new: str, says: str | None
) -> None:
    assert GOOD.count(old) == 1
    found = refusal(tmp_path / "line1.yaml", GOOD.replace(old, new))
    if says is None:
        needs = "is missing (must be the folder of a model, here or for all cameras at the top)"
        assert found == [f"3: cameras.left.model: {needs}", f"4: cameras.right.model: {needs}"]
    else:
        assert found == [says.replace("{folder}", str(tmp_path))]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", ["1: holds nothing (must begin with version: 1)"], id="empty"),
        pytest.param("# x\n", ["1: holds nothing (must begin with version: 1)"], id="comments"),
        pytest.param(
            "- a\n",
            ["1: is a list (must be a mapping that begins with version: 1)"],
            id="list",
        ),
        pytest.param(
            "hello\n",
            ['1: is "hello" (must be a mapping that begins with version: 1)'],
            id="text",
        ),
        pytest.param(
            "model: m\ncameras: 7\n",
            ["1: version: is missing (write version: 1 as the first line)"],
            id="no-version",
        ),
        pytest.param(
            "# new\nversion: 2\ncameras: 7\n",
            [
                (
                    "2: version: is 2, but this Streamline reads version 1 "
                    "(install the Streamline that wrote it, or rewrite it)"
                )
            ],
            id="newer-version",
        ),
        pytest.param(
            '{\n  "format": "streamline-model",\n  "version": 2\n}\n',
            [
                (
                    '2: format: is "streamline-model": this is part of a model, no pipeline file '
                    "(give one that has the model's folder under model)"
                )
            ],
            id="manifest-of-a-model",
        ),
        pytest.param(
            "version: true\n",
            [
                (
                    "1: version: is true, but this Streamline reads version 1 "
                    "(install the Streamline that wrote it, or rewrite it)"
                )
            ],
            id="version-true",
        ),
        pytest.param(
            "version: 1\n\tname: x\n",
            ["2: is no valid YAML: a tab can't indent or start a value (use blanks)"],
            id="tab",
        ),
        pytest.param(
            "version: 1\nlinks: {scores: ipc\n",
            ["3: is no valid YAML: something is opened and never closed"],
            id="unclosed-brace",
        ),
        pytest.param(
            "version: 1\nname: a: b\n",
            ["2: is no valid YAML: a ':' where no key can be (indent it, or quote the value)"],
            id="two-colons",
        ),
        pytest.param(
            "version: 1\n  name: x\n",
            ["2: is no valid YAML: a ':' where no key can be (indent it, or quote the value)"],
            id="wrong-indentation",
        ),
        pytest.param(
            "version: 1\nqueue: {depth: ${DEPTH}}\n",
            [
                (
                    "2: is no valid YAML: a ',' or a closing bracket is missing "
                    "(quote a value that holds { or [)"
                )
            ],
            id="unquoted-variable-in-braces",
        ),
        pytest.param(
            "version: 1\n---\nversion: 1\n",
            ["2: is no valid YAML: a second document (keep one, remove ---)"],
            id="two-documents",
        ),
        pytest.param(
            "version: 1\nname: \0\n",
            ["2: holds a character that YAML doesn't allow"],
            id="zero-byte",
        ),
        pytest.param(
            b"version: 1\nname: \xff\n",
            ["2: is no text in UTF-8 (save it as UTF-8, or give another file)"],
            id="latin-1",
        ),
        pytest.param(
            "version: 1\nmodel: m\ncameras: {a: demo://inspect}\n"
            "name: !!python/object/apply:os.system [id]\n",
            None,
            id="python-tag",
        ),
        pytest.param(
            "version: 1\nmodel: m\ncameras:\n",
            [
                (
                    "3: cameras: is missing (must be a mapping of names to cameras, "
                    "with one camera at least)"
                )
            ],
            id="no-cameras",
        ),
        pytest.param(
            "version: 1\nmodel: m\ncameras: {}\n",
            ["3: cameras: is empty (must have at least one entry)"],
            id="empty-cameras",
        ),
        pytest.param("{" * 4000, None, id="deeply-nested"),
        pytest.param("version: 1\na: &a [*a]\n", None, id="recursive"),
        pytest.param(
            "version: 1\na0: &a0 [x]\n"
            + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)),
            None,
            id="billion-laughs",
        ),
        pytest.param("a" * 300_000, None, id="too-large"),
    ],
)
def test_a_file_that_is_no_pipeline_is_told_in_these_words(
    tmp_path: Path, text: str | bytes, says: list[str] | None
) -> None:
    found = refusal(tmp_path / "line1.yaml", text)
    assert says is None or found == says


def test_all_mistakes_are_told_at_once_each_with_its_line(tmp_path: Path) -> None:
    wrong = (
        GOOD.replace("${PASS}", "${NOPE}")
        .replace("depth: 8", "depth: -8")
        .replace("k: 2", "k: 7")
        .replace("type: jsonl", "type: json")
        .replace("max: 8", "max: a lot")
        .replace("infer:", "infers:")
        .replace("links:", "links:\n  prepard: ipc")
    )
    found = refusal(tmp_path / "line1.yaml", wrong)
    assert [line.split(": ")[:2] for line in found] == [
        ["4", "cameras.left"],
        ["7", "cameras.right.queue.depth"],
        ["8", "cameras.right.alert"],
        ["14", "alert.sinks.1.type"],
        ["16", "infers"],
        ["19", "links.prepard"],
    ]


@pytest.mark.parametrize(
    ("infer", "says"),
    [
        ("{device: cuda}", "is a device of torch, not of OpenVINO (set infer.backend to torch)"),
        ("{backend: torch, device: GPU}", "is no device of torch (must be CPU, cuda, cuda:1 or"),
    ],
)
def test_a_device_of_the_other_library_is_told_apart(tmp_path: Path, infer: str, says: str) -> None:
    text = GOOD.replace("infer:\n  batch: {max: 8, wait_ms: auto}", f"infer: {infer}")
    (found,) = refusal(tmp_path / "line1.yaml", text)
    assert found.startswith("16: infer.device: ")
    assert says in found


@pytest.mark.parametrize(
    ("infer", "says"),
    [
        ("{backend: torch, devices: [CPU, GPU]}", "has GPU, which is no device of torch"),
        ("{backend: torch, device: cuda:0, devices: [cuda:1]}", "stands beside device (write one"),
    ],
)
def test_several_devices_are_of_one_library_and_stand_alone(
    tmp_path: Path, infer: str, says: str
) -> None:
    text = GOOD.replace("infer:\n  batch: {max: 8, wait_ms: auto}", f"infer: {infer}")
    (found,) = refusal(tmp_path / "line1.yaml", text)
    assert found.startswith("16: infer.devices: ")
    assert says in found


@pytest.mark.parametrize(
    ("links", "says"),
    [
        ("{scores: inproc}", "has scores: inproc, one process, but infer.devices are several"),
        (
            '{prepared: "tcp://127.0.0.1:5001", scores: "tcp://127.0.0.1:5002"}',
            "the address 127.0.0.1:5002",
        ),
    ],
)
def test_infer_stages_of_several_devices_have_ends_of_their_own(
    tmp_path: Path, links: str, says: str
) -> None:
    infer = "infer: {devices: [CPU, CPU]}"
    text = GOOD.replace("infer:\n  batch: {max: 8, wait_ms: auto}", infer)
    text = text[: text.index("links:")] + f"links: {links}\n"
    found = refusal(tmp_path / "line1.yaml", text)
    assert any(says in line for line in found), found


def test_a_wrong_default_is_told_once_not_once_per_camera(tmp_path: Path) -> None:
    found = refusal(tmp_path / "line1.yaml", GOOD + "queue: {policy: wait}\n")
    assert found == ['20: queue.policy: is "wait" (must be auto, block or drop_oldest)']


def test_the_value_of_a_variable_is_never_shown(tmp_path: Path) -> None:
    wrong = GOOD.replace("depth: 8", "depth: '${PASS}'").replace(
        "prepared: ipc", "prepared: ${PASS}"
    )
    found = refusal(tmp_path / "line1.yaml", wrong)
    assert len(found) == 2
    assert "hunter2" not in "".join(found)
    assert "${PASS}" in found[0]
    assert "${PASS}" in found[1]


@pytest.mark.parametrize("password", ["hunter2", "hun@ter2", "hun/ter2", "hun:ter2", "hun ter2"])
def test_a_password_in_a_wrong_place_is_never_shown(tmp_path: Path, password: str) -> None:
    address = f"admin:{password}@10.0.0.7:99999/live"
    wrong = f"""\
version: 1
model: m
rtsp://{address}: 1
cameras:
  a: "rtsp://{address}"
  b: "{address}"
  c: {{source: {{type: rtsp, url: "rtsp://{address}"}}}}
  d: {{source: {{type: rtsp, url: "{address}", password: "{password}"}}}}
  e: {{source: {{type: video, path: "rtsp://{address}", pace: "rtsp://{address}"}}}}
  f: {{source: "http://{address}", model: {{path: m, learn: {{source: "rtsp://{address}"}}}}}}
links: {{scores: "rtsp://{address}"}}
metrics: {{port: "rtsp://{address}"}}
"""
    told = "\n".join(refusal(tmp_path / "line1.yaml", wrong))
    assert told.count("\n") >= 8
    for part in (password, "hun@", "hun/", "hun:", "hun ", "ter2", "admin"):
        assert part not in told


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda _: None, "no such file (give the path of a pipeline file)"),
        (lambda path: path.mkdir(), "is a folder (give the path of a pipeline file in it)"),
        (lambda path: path.symlink_to(path), "can't be read: Too many levels of symbolic links"),
    ],
    ids=["missing", "folder", "loop"],
)
def test_a_file_that_cannot_be_read_is_told_in_one_sentence(
    tmp_path: Path, make: "object", says: str
) -> None:
    path = tmp_path / "line1.yaml"
    assert callable(make)
    make(path)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: {says}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_told_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "line1.yaml"
    path.touch(mode=0)
    with pytest.raises(ConfigError, match=r"line1\.yaml: can't be read: Permission denied$"):
        load(path)


@pytest.mark.parametrize(
    "digits",
    [
        pytest.param("0x" + "f" * 4000, id="hexadecimal"),
        pytest.param("9" * 5000, id="decimal"),
        pytest.param("0o" + "7" * 5000, id="octal"),
    ],
)
def test_a_number_nobody_can_mean_is_the_text_it_is_written_as(tmp_path: Path, digits: str) -> None:
    (found,) = refusal(tmp_path / "line1.yaml", GOOD.replace("depth: 8", f"depth: {digits}"))
    assert found.startswith(f'7: cameras.right.queue.depth: is "{digits[:50]}')
    assert len(found) < 200


@pytest.mark.parametrize(
    "repeated",
    [
        pytest.param(f"{{{'a: 1, ' * 400}}}", id="keys-written-twice"),
        pytest.param(f"{{{'[]: 1, ' * 400}}}", id="keys-that-are-none"),
        pytest.param(f"{{<<: [{'1, ' * 400}]}}", id="merges"),
        pytest.param(f"[{'{}, ' * 400}]", id="values"),
        pytest.param("b" * 4000, id="text"),
    ],
)
def test_aliases_that_explode_are_given_up_soon(tmp_path: Path, repeated: str) -> None:
    text = f"version: 1\nx: &a {repeated}\ny: [{'*a, ' * 40_000}]\n"
    document = parse(text)
    assert document.tree is None
    assert len(document.mistakes) <= 20_001
    assert document.mistakes[-1].what.startswith("is too large: more than 20000 values")
    assert sum(map(len, refusal(tmp_path / "line1.yaml", text))) < 100_000


def test_a_file_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    (found,) = refusal(tmp_path / "line1.yaml", f"version: 1\nmodel: {'[' * 5000}\n")
    assert found == "2: is no valid YAML: it is nested too deeply (write it flatter)"


@pytest.mark.parametrize("text", ["&a {<<: *a}", "&a [*a]", "&a {b: *a}", "&a {<<: [*a, *a]}"])
def test_what_holds_itself_is_refused(tmp_path: Path, text: str) -> None:
    found = refusal(tmp_path / "line1.yaml", f"version: 1\nmodel: {text}\n")
    assert any(line.startswith("2: model") and "nested too deeply" in line for line in found)


def test_a_key_as_long_as_a_page_is_refused_and_not_shown(tmp_path: Path) -> None:
    (found,) = refusal(tmp_path / "line1.yaml", GOOD + f"? {'k' * 5000}\n: [1, 2]\n")
    assert found == "20: has a key of more than 128 characters"


def test_no_more_mistakes_are_told_than_anybody_reads(tmp_path: Path) -> None:
    text = GOOD + "".join(f"k{number}: 1\n" for number in range(300))
    found = refusal(tmp_path / "line1.yaml", text)
    assert len(found) == 101
    assert found[0].startswith("20: k0: unknown key")
    assert found[-1] == " and more mistakes (mend these first)"


def test_variables_that_are_repeated_without_end_are_refused(tmp_path: Path) -> None:
    text = GOOD + f"x: &a ['{'${PASS}' * 50}', '{'${PASS}' * 50}']\ny: [{'*a, ' * 500}]\n"
    found = refusal(tmp_path / "line1.yaml", text, PASS="x" * 2000)
    assert any("is too large, with its variables replaced" in line for line in found)


def loads_or_refuses(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", errors="replace")
    try:
        pipeline = load(file, variables={"PASS": "x"})
    except ConfigError as exc:
        assert all(line.startswith(str(file)) for line in str(exc).split("\n"))  # noqa: PT017
    else:
        assert isinstance(pipeline, Pipeline)


@pytest.fixture(scope="module")
def junk_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("junk") / "line1.yaml"


@settings(deadline=None)
@given(text=st.text())
def test_random_text_is_refused_and_nothing_else(junk_file: Path, text: str) -> None:
    loads_or_refuses(junk_file, text)


@settings(deadline=None)
@given(
    cuts=st.lists(
        st.tuples(
            st.integers(0, len(GOOD)),
            st.integers(0, 12),
            st.one_of(
                st.text(max_size=8),
                st.sampled_from(
                    [
                        *(
                            "\t",
                            "- ",
                            ": ",
                            "{",
                            "}",
                            "[",
                            "]",
                            "&a ",
                            "*a",
                            "<<: *a",
                            "!!int ",
                            "? ",
                        ),
                        *("'", '"', "|\n", ">\n", "%YAML 1.1\n", "---\n", "...\n", "#", "@", "0o9"),
                        *("null", ".nan", "-1", "1e999", "2024-99-99", "!!binary ", "${", "${X}"),
                    ]
                ),
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_damaged_file_is_loaded_or_refused_and_nothing_else(
    junk_file: Path, cuts: list[tuple[int, int, str]]
) -> None:
    text = GOOD
    for start, length, instead in cuts:
        text = text[:start] + instead + text[start + length :]
    loads_or_refuses(junk_file, text)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
WORDS = """
    version name model cameras queue infer alert record links metrics drain_s source type url path
    learn roi k n sinks policy depth batch max wait_ms device pace left rtsp usb video
"""
KEYS = st.sampled_from(sorted(WORDS.split()))


@settings(max_examples=60, deadline=None)
@given(
    tree=st.dictionaries(
        KEYS, PLAIN | st.dictionaries(KEYS, PLAIN | st.dictionaries(KEYS, PLAIN)), max_size=6
    )
)
def test_random_values_under_known_keys_are_refused_and_nothing_else(
    junk_file: Path, tree: dict[str, object]
) -> None:
    import json

    # JSON is YAML, nearly: what isn't becomes one more kind of junk.
    loads_or_refuses(junk_file, json.dumps({"version": 1, **tree}))
