"""Things that only one part of a line can have: a file to write, a port to listen on, a camera."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from streamline.config.document import KeyPath, Plain
from streamline.config.fields import endpoint, resolve
from streamline.config.links import LINKS
from streamline.config.schema import Camera, Pipeline

__all__ = ["Claim", "conflicts", "learnt_twice"]


class Claim(NamedTuple):
    """One key's claim to something."""

    path: KeyPath
    """The key."""

    what: str
    """The thing, in words; two claims to the same words are a conflict."""


def conflicts(tree: dict[str, Plain], base: Path) -> Iterator[tuple[Claim, Claim]]:
    """Yield each claim to what an earlier one has already, as (earlier, later).

    Parameters
    ----------
    tree : dict
        The file as plain values; wrong types are passed over, the validation tells of them.
    base : Path
        Folder where relative paths start.
    """
    first: dict[str, Claim] = {}
    for claim in (*_files(tree, base), *_endpoints(tree), *_devices(tree)):
        earlier = first.setdefault(claim.what, claim)
        if earlier is not claim:
            yield earlier, claim


def learnt_twice(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Yield two cameras, in their order, that would have one model learnt in different ways."""
    first: dict[Path, Camera] = {}
    for camera in pipeline.cameras.values():
        earlier = first.setdefault(camera.model.path, camera)
        masked = camera.model.learn is not None and earlier.view_mask != camera.view_mask
        if masked or earlier.model != camera.model:
            yield earlier.name, camera.name


def _at(tree: Plain, *path: str | int) -> Plain:
    """Return the value at a path, None where there is none."""
    node = tree
    for part in path:
        if isinstance(node, dict):
            node = node.get(str(part))
        elif isinstance(node, list) and isinstance(part, int):
            node = node[part]
        else:
            return None
    return node


def _texts(tree: Plain, *paths: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    for path in paths:
        if isinstance(text := _at(tree, *path), str) and text and "\0" not in text:
            yield path, text


def _sinks(tree: Plain, key: str) -> list[KeyPath]:
    sinks = _at(tree, "alert", "sinks")
    return [("alert", "sinks", i, key) for i in range(len(sinks) if isinstance(sinks, list) else 0)]


def _files(tree: Plain, base: Path) -> Iterator[Claim]:
    keys: list[KeyPath] = [("record", "verdicts"), ("record", "drops"), ("alert", "outbox", "path")]
    keys += _sinks(tree, "path")
    for path, text in _texts(tree, *keys):
        yield Claim(path, f"the file {resolve(text, base)}")


def _endpoints(tree: Plain) -> Iterator[Claim]:
    links: list[KeyPath] = [("links", key) for key in LINKS]
    for path, text in _texts(tree, *links, *_sinks(tree, "address")):
        if found := endpoint(text):
            for number in range(_ends(tree) if path == ("links", "prepared") else 1):
                yield Claim(path, f"the address {found[0]}:{found[1] + number}")
        elif text.startswith("ipc://"):
            yield Claim(path, f"the address {text}")
    port = _at(tree, "metrics", "port")
    if isinstance(port, int) and port:
        address = _at(tree, "metrics", "address") or "127.0.0.1"
        yield Claim(("metrics", "port"), f"the address {address}:{port}")


def _ends(tree: Plain) -> int:
    """Count the infer stages: each has a port of its own."""
    devices = _at(tree, "infer", "devices")
    return max(1, len(devices)) if isinstance(devices, list) else 1


def _devices(tree: Plain) -> Iterator[Claim]:
    cameras = _at(tree, "cameras")
    for name in cameras if isinstance(cameras, dict) else ():
        source = _at(cameras, name, "source")
        if isinstance(source, dict) and source.get("type") == "usb":
            device = str(source.get("device"))
        elif isinstance(source, str) and source.startswith(("usb:", "/dev/")):
            device = source.removeprefix("usb:")
        else:
            continue
        number = device.removeprefix("/dev/video")
        yield Claim(("cameras", name, "source"), f"the camera {_device_words(number)}")


def _device_words(device: str) -> str:
    return f"/dev/video{device}" if device.isdecimal() else device
