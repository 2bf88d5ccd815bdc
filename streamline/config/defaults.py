"""The file's own defaults and short forms, filled into each camera before anything is checked."""

from typing import Final, NamedTuple

from streamline.config.document import KeyPath, Plain

__all__ = ["Filled", "fill_defaults"]

_DEFAULTS: Final = {
    "queue": ("policy", "depth"),
    "alert": ("k", "n"),
    "scene": (
        "frozen",
        "black",
        "white",
        "blur",
        "brightness",
        "contrast",
        "moved",
        "drift",
        "frozen_s",
        "reference",
    ),
}
"""Sections whose keys a camera may override one by one."""


class Filled(NamedTuple):
    """A tree in which every camera is complete."""

    tree: dict[str, Plain]
    origins: dict[KeyPath, KeyPath]
    """Where in the file stands what was filled in."""

    named: list[KeyPath]
    """Cameras that hold a key `name`, which is not theirs to give."""

    def origin(self, path: KeyPath) -> KeyPath:
        """Return where the value at a path of the tree is written in the file."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]] + path[length:]
        return path


def fill_defaults(tree: dict[str, Plain], name: str) -> Filled:
    """Complete a tree; what has the wrong type stays as it is and is told by the validation.

    Parameters
    ----------
    tree : dict
        The file as plain values, variables expanded; not modified.
    name : str
        The line's name unless the file gives one.
    """
    # A section with nothing but comments in it is null: take its defaults.
    filled: dict[str, Plain] = {key: value for key, value in tree.items() if value is not None}
    filled.setdefault("name", name)
    result = Filled(filled, {}, [])
    cameras = filled.get("cameras")
    if isinstance(cameras, dict):
        filled["cameras"] = {key: _camera(key, cameras[key], result) for key in cameras}
    return result


def _camera(name: str, written: Plain, result: Filled) -> Plain:
    path = ("cameras", name)
    if isinstance(written, str):
        result.origins[*path, "source"] = path
        written = {"source": written}
    if not isinstance(written, dict):
        return written
    camera: dict[str, Plain] = {key: value for key, value in written.items() if value is not None}
    if "name" in camera:
        result.named.append((*path, "name"))
    result.origins[*path, "name"] = path
    if "model" not in camera and "model" in result.tree:
        camera["model"] = result.tree["model"]
        result.origins[*path, "model"] = ("model",)
    for section, keys in _DEFAULTS.items():
        camera[section] = _section((*path, section), camera.get(section), keys, result)
    return {**camera, "name": name}


def _section(path: KeyPath, own: Plain, keys: tuple[str, ...], result: Filled) -> Plain:
    """Complete one section of a camera from the section of the same name at the top."""
    section = str(path[-1])
    defaults = result.tree.get(section)
    if own is None:
        result.origins[path] = (section,)
        own = {}
    if not isinstance(own, dict) or not isinstance(defaults, dict):
        return own
    merged = dict(own)
    for key in keys:
        if key in defaults and key not in own:
            merged[key] = defaults[key]
            result.origins[*path, key] = (section, key)
    return merged
