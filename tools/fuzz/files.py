"""Model directories and pipeline files: damaged, or edited with their hashes put right."""

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from streamline.config import load
from streamline.errors import ConfigError, ModelError
from streamline.model import load_model
from tests.support.models import save_tiny_model
from tools.fuzz.mutation import mutated, mutated_value
from tools.fuzz.tally import Tally

__all__ = ["fuzz_models", "fuzz_pipelines"]

_MANIFEST: Final = "manifest.json"
_TENSORS: Final = "tensors.safetensors"
_CALIBRATION: Final = "calibration.json"

_FULL: Final = """\
version: 1
name: line1
model: model
cameras:
  left: rtsp://bob:${PASS:-secret}@10.0.0.7/stream1
  right:
    source: {type: video, path: clip.mp4, pace: 25, loop: true}
    queue: {policy: drop_oldest, depth: 4}
    roi: [16, 16, 64, 64]
    alert: {k: 3, n: 5}
    deadline_ms: 100
queue: &queue {policy: auto, depth: 4}
infer: {backend: openvino, device: CPU, precision: auto, batch: {max: 8, wait_ms: auto}}
alert:
  k: 2
  n: 3
  sinks:
    - {type: jsonl, path: alerts.jsonl}
    - {type: webhook, url: "http://127.0.0.1:1/hook", timeout_s: 2}
    - {type: mqtt, host: 127.0.0.1, topic: plant}
  outbox: {path: outbox.db, max_events: 1000}
record:
  verdicts: verdicts.jsonl
  evidence: {path: kept, max_gb: 1, per_minute: {fails: 6}}
  audit: {path: runs}
links: {prepared: ipc, scores: "tcp://127.0.0.1:5592"}
metrics: {address: 127.0.0.1, port: 9464}
drain_s: 10
"""

_TEXTS: Final = (
    "1e999", "-1", "null", "~", "[]", "{}", "[[[", "!!python/object/apply:os.system ['true']",
    "!!binary x", "&a [*a, *a]", "*queue", "*nowhere", "${HOME}", "${NOT_THERE}", "${", "\t",
    "\x00", "0x7fffffffffffffff", "9" * 400, "2001-01-01", ".nan", "yes", "? ", "- - -",
    "<<: *queue",
    "{a: " * 2000, "[" * 20_000, "x" * 70_000, "é\u2028", "%YAML 9.9", "---", "...", "|+2", "'",
)  # fmt: skip


def fuzz_models(count: int, seed: int, folder: Path) -> Tally:
    """Load mutated model directories."""
    chance = random.Random(seed)  # noqa: S311 - the same again from one seed
    save_tiny_model(folder / "sound")
    ways = (_damaged, _damaged, _edited, _edited, _recalibrated, _other_tensors, _torn)
    with Tally("model directories").measured() as tally:
        for number in range(count):
            made = folder / "made"
            shutil.rmtree(made, ignore_errors=True)
            shutil.copytree(folder / "sound", made)
            way = chance.choice(ways)
            way(made, chance)
            case = partial(load_model, made)
            tally.feed(case, (ModelError,), f"{way.__name__} model {number} of seed {seed}")
    return tally


def _damaged(model: Path, chance: random.Random) -> None:
    """Change bytes of a file."""
    file = model / chance.choice((_MANIFEST, _TENSORS, _CALIBRATION))
    file.write_bytes(mutated(file.read_bytes(), chance))


def _edited(model: Path, chance: random.Random) -> None:
    """Change what the manifest says, and make its hash fit."""
    _rewrite(model / _MANIFEST, lambda entry: mutated_value(entry, chance))


def _recalibrated(model: Path, chance: random.Random) -> None:
    """Do so with the calibration."""
    _rewrite(model / _CALIBRATION, lambda entry: mutated_value(entry, chance))


def _other_tensors(model: Path, chance: random.Random) -> None:
    """Change the tensors' file, and make every hash fit."""
    tensors = model / _TENSORS
    data = mutated(tensors.read_bytes(), chance)
    tensors.write_bytes(data)
    told = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    digest = _rewrite(model / _MANIFEST, lambda entry: {**entry, "tensors": told})
    _rewrite(model / _CALIBRATION, lambda entry: {**entry, "model": digest})


def _torn(model: Path, chance: random.Random) -> None:
    """Put something in a file's place that is none."""
    file = model / chance.choice((_MANIFEST, _TENSORS, _CALIBRATION))
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


def _rewrite(file: Path, change: Callable[[Any], Any]) -> str:
    """Change a JSON file that holds its own hash; return that."""
    entry = change(json.loads(file.read_bytes()))
    if not isinstance(entry, dict):
        file.write_text(_text(entry))
        return ""
    try:
        bare = msgspec.json.encode({**entry, "digest": ""}, order="sorted")
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


def fuzz_pipelines(count: int, seed: int, folder: Path) -> Tally:
    """Read mutated pipeline files."""
    chance = random.Random(seed)  # noqa: S311 - the same again from one seed
    file = folder / "line.yaml"
    with Tally("pipeline files").measured() as tally:
        for number, data in enumerate(_pipelines(chance, count)):
            file.write_bytes(data)
            tally.feed(partial(load, file), (ConfigError,), f"pipeline {number} of seed {seed}")
    return tally


def _pipelines(chance: random.Random, count: int) -> Iterator[bytes]:
    for _ in range(count):
        way = chance.choice((_bytes, _lines, _words, _words))
        yield way(chance)


def _bytes(chance: random.Random) -> bytes:
    return mutated(_FULL.encode(), chance)


def _lines(chance: random.Random) -> bytes:
    """Remove, repeat, exchange or indent lines."""
    lines = _FULL.splitlines()
    for _ in range(chance.choice((1, 2, 4))):
        at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        way = chance.randrange(4)
        if way == 0 and len(lines) > 1:
            del lines[at]
        elif way == 1:
            lines.insert(other, lines[at])
        elif way == 2:
            lines[at], lines[other] = lines[other], lines[at]
        else:
            lines[at] = " " * chance.randrange(1, 5) + lines[at]
    return "\n".join(lines).encode()


def _words(chance: random.Random) -> bytes:
    """Put something else in the place of a word or of a value."""
    words = _FULL.split(" ")
    words[chance.randrange(len(words))] = chance.choice(_TEXTS)
    return " ".join(words).encode(errors="surrogatepass")
