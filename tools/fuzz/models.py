"""Model directories: damaged, or edited with every hash put right, and opened if they load."""

import hashlib
import json
import math
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from safetensors.numpy import save_file

from streamline.errors import ConfigError, InferenceError, ModelError
from streamline.infer import Compute, map_frames, score_frames
from streamline.model import load_model
from streamline.model.entries import DTYPES
from streamline.model.manifest import Manifest
from tests.support.stored import save_each_kind
from tools.fuzz.graphs import mutated_constants, mutated_graph
from tools.fuzz.mutation import mutated, mutated_value
from tools.fuzz.tally import Tally

__all__ = ["fuzz_models", "judge_each_kind"]

_MANIFEST: Final = "manifest.json"
_TENSORS: Final = "tensors.safetensors"
_CALIBRATION: Final = "calibration.json"
_NETWORK: Final = "backbone"
_GRAPH: Final = "f32.xml"
_WEIGHTS: Final = "f32.bin"
_FILES: Final = (
    _MANIFEST,
    _TENSORS,
    _CALIBRATION,
    *(f"{_NETWORK}/{name}" for name in (_MANIFEST, _GRAPH, _WEIGHTS)),
)

_ALONE: Final = Compute(
    device="CPU", precision="f32", max_batch=1, streams=1, threads=1, keep=False
)

_COUNTS: Final = (1, 2, 3, 4, 8, 12, 16, 32, 64, 100, 128, 400, 2000, 6000, 10_000, 1 << 24)
_MOST_NUMBERS: Final = 1 << 19
"""In all tensors that are made to fit."""


def fuzz_models(count: int, seed: int, folder: Path) -> Tally:
    """Load mutated model directories of every kind, and judge a frame by those that load."""
    chance = random.Random(seed)  # noqa: S311 - the same again from one seed
    sound = judge_each_kind(folder / "sound")
    ways = (
        *(_damaged, _edited, _recalibrated, _refitted, _refitted, _other_tensors, _torn),
        *(_other_network, _other_graph, _other_graph, _other_graph, _other_constants),
        _other_layers,
    )
    with Tally("model directories").measured() as tally:
        for number in range(count):
            made = folder / "made"
            shutil.rmtree(made, ignore_errors=True)
            kind = chance.choice(sound)
            shutil.copytree(kind, made)
            way = chance.choice(ways)
            way(made, chance)
            what = f"{way.__name__} {kind.name} model {number} of seed {seed}"
            tally.feed(partial(_use, made), (ModelError, ConfigError, InferenceError), what)
    return tally


def judge_each_kind(folder: Path) -> Sequence[Path]:
    """Write sound models of each kind, and load all that judging by them takes."""
    sound = save_each_kind(folder)
    for model in sound:
        _use(model)
    return sound


def _use(path: Path) -> None:
    """Score a frame and map it."""
    model = load_model(path)
    frames = [np.zeros((model.height, model.width, 3), np.uint8)]
    for results in (score_frames, map_frames):
        with np.errstate(all="ignore"):  # Numbers that are none make scores that are none.
            list(results(model, frames, compute=_ALONE))


def _damaged(model: Path, chance: random.Random) -> None:
    """Change bytes of a file."""
    file = model / chance.choice(_FILES)
    file.write_bytes(mutated(file.read_bytes(), chance))


def _edited(model: Path, chance: random.Random) -> None:
    """Change what the manifest says, and make every hash fit."""
    _rewrite_manifest(model, lambda entry: mutated_value(entry, chance))


def _recalibrated(model: Path, chance: random.Random) -> None:
    """Do so with the calibration."""
    _rewrite(model / _CALIBRATION, lambda entry: mutated_value(entry, chance), {})


def _refitted(model: Path, chance: random.Random) -> None:
    """Change numbers that the manifest says of the detector, and make tensors that fit."""
    entry = json.loads((model / _MANIFEST).read_bytes())
    for _ in range(chance.choice((1, 2, 4))):
        holder, key = chance.choice(list(_numbers_in(entry["detector"])))
        holder[key] = chance.choice(_COUNTS)
    with suppress(msgspec.ValidationError):
        shapes = msgspec.convert(entry, Manifest).detector.shapes()
        if sum(math.prod(shape) for _, shape in shapes.values()) < _MOST_NUMBERS:
            tensors = {
                name: np.ones(shape, DTYPES[dtype]) for name, (dtype, shape) in shapes.items()
            }
            save_file(tensors, model / _TENSORS)
    _sign_tensors(model, entry)


def _numbers_in(entry: Any) -> Iterator[tuple[Any, str]]:  # noqa: ANN401 - of JSON
    """Yield what holds a whole number, and by which key."""
    for key, value in entry.items():
        if isinstance(value, dict):
            yield from _numbers_in(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            yield entry, key


def _other_tensors(model: Path, chance: random.Random) -> None:
    """Change the tensors' file, and make every hash fit."""
    tensors = model / _TENSORS
    tensors.write_bytes(mutated(tensors.read_bytes(), chance))
    _sign_tensors(model, json.loads((model / _MANIFEST).read_bytes()))


def _sign_tensors(model: Path, entry: dict[str, Any]) -> None:
    """Make the hash of the tensors fit, in a manifest that says this."""
    data = (model / _TENSORS).read_bytes()
    told = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    _rewrite_manifest(model, lambda _: {**entry, "tensors": told})


def _other_network(model: Path, chance: random.Random) -> None:
    """Change bytes of the network's graph or weights, and make every hash fit."""
    file = model / _NETWORK / chance.choice((_GRAPH, _WEIGHTS))
    file.write_bytes(mutated(file.read_bytes(), chance))
    _rename_network(model)


def _other_graph(model: Path, chance: random.Random) -> None:
    """Change what the network's graph says, and make every hash fit."""
    file = model / _NETWORK / _GRAPH
    file.write_text(mutated_graph(file.read_text(), chance))
    _rename_network(model)


def _other_constants(model: Path, chance: random.Random) -> None:
    """Change whole numbers among the network's weights, and make every hash fit."""
    folder = model / _NETWORK
    file = folder / _WEIGHTS
    file.write_bytes(mutated_constants((folder / _GRAPH).read_text(), file.read_bytes(), chance))
    _rename_network(model)


def _other_layers(model: Path, chance: random.Random) -> None:
    """Change what the network says of itself."""
    file = model / _NETWORK / _MANIFEST
    file.write_text(_text(mutated_value(json.loads(file.read_bytes()), chance)))


def _rename_network(model: Path) -> None:
    """Make the hashes of a network and of its model fit."""
    folder = model / _NETWORK
    hashes = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in (_GRAPH, _WEIGHTS)
    }
    said = json.loads((folder / _MANIFEST).read_bytes())
    (folder / _MANIFEST).write_text(_text({**said, "sha256": hashes}))
    named = hashlib.sha256("".join(hashes.values()).encode()).hexdigest()
    _rewrite_manifest(
        model, lambda entry: {**entry, "backbone": {**entry["backbone"], "sha256": named}}
    )


def _torn(model: Path, chance: random.Random) -> None:
    """Put something in a file's place that is none."""
    file = model / chance.choice(_FILES)
    file.unlink()
    what = chance.choice(("nothing", "folder", "pipe", "endless", "loop", "empty"))
    if what == "folder":
        file.mkdir()
    elif what == "pipe":
        os.mkfifo(file)
    elif what == "endless":
        file.symlink_to("/dev/zero")
    elif what == "loop":
        file.symlink_to(file.name)
    elif what == "empty":
        file.touch()


def _rewrite_manifest(model: Path, change: Callable[[Any], Any]) -> None:
    digest = _rewrite(model / _MANIFEST, change, {"digest": ""})
    _rewrite(model / _CALIBRATION, lambda entry: {**entry, "model": digest}, {})


def _rewrite(file: Path, change: Callable[[Any], Any], unsigned: dict[str, str]) -> str:
    """Change a JSON file that holds its own hash, which is over what is unsigned; return that."""
    entry = change(json.loads(file.read_bytes()))
    if not isinstance(entry, dict):
        file.write_text(_text(entry))
        return ""
    entry.pop("digest", None)
    try:
        bare = msgspec.json.encode({**entry, **unsigned}, order="sorted")
    except (RecursionError, ValueError, OverflowError):  # Nobody could have written that.
        bare = b""
    digest = hashlib.sha256(bare).hexdigest()
    file.write_text(_text({**entry, "digest": digest}))
    return digest


def _text(entry: Any) -> str:  # noqa: ANN401 - of JSON
    try:
        return json.dumps(entry)
    except RecursionError:
        return '{"format":' + "[" * 100_000
