"""Pipeline files: damaged, rearranged, or grown without end."""

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from streamline.config import load
from streamline.errors import ConfigError
from tools.fuzz.mutation import mutated
from tools.fuzz.tally import Tally

__all__ = ["fuzz_pipelines"]

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
    "\x00", "0x7fffffffffffffff", "9" * 400, "0x" + "f" * 4000, "0o" + "7" * 5000, "2001-01-01",
    ".nan", "yes", "? ", "- - -", "<<: *queue", "&a {<<: *a}", "? " + "k" * 9000,
    "'" + "${HOME}" * 900 + "'", "{a: " * 2000, "[" * 20_000, "x" * 70_000, "é\u2028",
    "%YAML 9.9", "---", "...", "|+2", "'",
)  # fmt: skip


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
        way = chance.choice((_bytes, _lines, _words, _words, _grown))
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


def _grown(chance: random.Random) -> bytes:
    """Repeat something that repeats something, by aliases."""
    inside = chance.choice(("a: 1, ", "[]: 1, ", "{}, ", "k, ", "? [], ", "<<: *queue, "))
    opened, closed = chance.choice(("{}", "[]"))
    grown = f"x: &x {opened}{inside * chance.choice((1, 30, 400))}{closed}\n"
    again = f"y: &y [{'*x, ' * chance.choice((2, 60, 900))}]\n"
    twice = f"z: [{'*y, ' * chance.choice((2, 60, 900))}]\n"
    return (_FULL + grown + again + twice).encode()
