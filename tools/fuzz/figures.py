"""Well-formed ledgers with something odd in them, to all who read another host's figures."""

import json
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from streamline.clock import monotonic_ns, wall_ns
from streamline.ledger import Sample, decode
from streamline.metrics.believed import believed
from streamline.metrics.catalogue import CAMERA_STATES, HISTOGRAMS, LABELS, LATENCY_RING
from streamline.metrics.exporter import Exporter, FrameRates
from streamline.run.supervision.elsewhere import elsewhere
from streamline.run.supervision.health import cameras_down, health_of
from streamline.run.supervision.report import report_of
from streamline.transport.telemetry import GONE_NS, Told
from tools.fuzz.mutation import mutated_value
from tools.fuzz.tally import Tally

__all__ = ["fuzz_figures", "ledger_of", "look_at", "sound_series"]

Series = tuple[str, str, list[list[str]], list[float], list[float]]
"""Kind, name, labels, bounds and cells."""

_CAMERAS: Final = ("left", "right")
_HOUR_NS: Final = 3_600_000_000_000

_NAMES: Final = (*LABELS, LATENCY_RING, "first_verdict_monotonic_seconds", "other")
_KINDS: Final = ("counter", "gauge", "histogram", "ring", "table")
_TEXTS: Final = (
    "",
    "left",
    "strange",
    "ok",
    "down",
    "ended",
    "x" * 5000,
    '\x00\n"\\',
    "é\U0001f600",
)
_NUMBERS: Final = (
    float("nan"), float("inf"), float("-inf"), -1.0, 0.0, 0.5, 2.0**53, 2.0**53 + 2,
    1e300, -1e300, 5e-324,
)  # fmt: skip
_SIGNALLING_NAN: Final = struct.unpack("<d", bytes.fromhex("010000000000f47f"))[0]


class _RefusedError(Exception):
    """Not all of a ledger was believed."""


def fuzz_figures(count: int, seed: int) -> Tally:
    """Let everybody read ledgers that are whole, and of which something is not as it should be."""
    chance = random.Random(seed)  # noqa: S311 - the same again from one seed
    sound = sound_series()
    with Tally("figures, looked at").measured() as tally:
        for number in range(count):
            data = ledger_of(_mutated(sound, chance))
            tally.feed(lambda: _feed(data), (_RefusedError,), f"figures {number} of seed {seed}")  # noqa: B023
    return tally


def _feed(data: bytes) -> None:
    try:
        samples = decode(data)
    except ValueError as exc:
        raise _RefusedError from exc
    sound, doubt = believed(samples, _CAMERAS)
    look_at(sound)
    if doubt is not None:
        raise _RefusedError


def look_at(samples: Sequence[Sample]) -> None:
    """Do with another host's figures all that is done with them, while it talks and afterwards."""
    now_ns = monotonic_ns()
    present = Told(list(samples), now_ns)
    for told in ([present], [present, Told(list(samples), now_ns - GONE_NS - _HOUR_NS)]):
        shown = elsewhere(told)
        health = health_of(shown, {}, running_s=3600.0, now_s=wall_ns() / 1e9)
        json.dumps(health.body, allow_nan=False)
        cameras_down(shown)
        report_of(shown, _CAMERAS, 3600.0).to_json()
        rates = FrameRates()
        rates.note(shown)
        Exporter(lambda: shown, rates, {}).render()  # noqa: B023


def sound_series() -> list[Series]:
    """Return one series of each name in the catalogue, and one for each state of a camera."""
    found = []
    for name, labels in LABELS.items():
        values = {"camera": "left", "stage": "source", "state": "ok"}
        named = [[label, values.get(label, "some")] for label in labels]
        bounds = list(HISTOGRAMS.get(name, ()))
        kind = "counter" if name.endswith("_total") else "gauge"
        cells = [1.0] * (len(bounds) + 2) if bounds else [1.0]
        found.append(("histogram" if bounds else kind, name, named, bounds, cells))
    states: list[Series] = [
        ("gauge", "streamline_camera_state", [["camera", "right"], ["state", state]], [], [1.0])
        for state in CAMERA_STATES
    ]
    return [*found, *states]


def ledger_of(series: Sequence[Any]) -> bytes:
    """Return the bytes of a ledger, whatever it says of its series."""
    described = [[*one[:4], len(one[4])] if _is_series(one) else one for one in series]
    try:
        head = json.dumps(described).encode()
    except RecursionError:  # Nested deeper than anybody could have written.
        head = b"[" * 100_000
    head += b" " * (-len(head) % 8)
    cells = [cell for one in series if _is_series(one) for cell in one[4]]
    return (
        struct.pack("<8sQ", b"STRMLDG1", len(head)) + head + struct.pack(f"<{len(cells)}d", *cells)
    )


def _is_series(one: Any) -> bool:  # noqa: ANN401 - of JSON
    return isinstance(one, tuple)


def _mutated(sound: Sequence[Series], chance: random.Random) -> list[Any]:
    made: list[Any] = list(chance.sample(sound, chance.randrange(1, len(sound))))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 5))):
        at = chance.randrange(len(made))
        if _is_series(made[at]):
            made[at] = chance.choice(_WAYS)(made[at], chance)
    return made


def _renamed(one: Series, chance: random.Random) -> Any:  # noqa: ANN401 - of JSON
    return (one[0], chance.choice(_NAMES), *one[2:])


def _of_another_kind(one: Series, chance: random.Random) -> Any:  # noqa: ANN401 - of JSON
    return (chance.choice(_KINDS), *one[1:])


def _labelled(one: Series, chance: random.Random) -> Any:  # noqa: ANN401 - of JSON
    labels = [list(label) for label in one[2]]
    roll = chance.random()
    if roll < 0.3 and labels:
        del labels[chance.randrange(len(labels))]
    elif roll < 0.5:
        labels.insert(0, [chance.choice(("camera", "state", "x")), chance.choice(_TEXTS)])
    elif roll < 0.6:
        labels.reverse()
    elif labels:
        chance.choice(labels)[1] = chance.choice(_TEXTS)
    return (*one[:2], labels, *one[3:])


def _valued(one: Series, chance: random.Random) -> Any:  # noqa: ANN401 - of JSON
    cells = list(one[4])
    cells[chance.randrange(len(cells))] = chance.choice((*_NUMBERS, _SIGNALLING_NAN))
    return (*one[:4], cells)


def _sized(one: Series, chance: random.Random) -> Any:  # noqa: ANN401 - of JSON
    return (*one[:4], [0.0] * chance.choice((1, 2, 3, 100)))


def _bounded(one: Series, chance: random.Random) -> Any:  # noqa: ANN401 - of JSON
    bounds = sorted(chance.choice((-1.0, 0.0, 0.5, 1e300)) for _ in range(chance.randrange(4)))
    return ("histogram", *one[1:3], bounds, [1.0] * (len(bounds) + 2))


def _broken(one: Series, chance: random.Random) -> Any:  # noqa: ANN401 - of JSON
    return mutated_value([*one[:4], len(one[4])], chance)


_WAYS: Final[Sequence[Callable[[Series, random.Random], Any]]] = (
    _renamed, _of_another_kind, _labelled, _labelled, _valued, _valued, _sized, _bounded, _broken,
)  # fmt: skip
