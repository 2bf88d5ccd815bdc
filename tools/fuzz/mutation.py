"""Make of something sound something that is not."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

__all__ = ["mutated", "mutated_parts", "mutated_value"]

_EDGES: Final = (
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xdd\xff\xff\xff\xff",
    b"\xc6\x7f\xff\xff\xff",
)
"""Bytes that begin or end ranges, and msgpack's heads of arrays and bytes of 2 GiB."""

_VALUES: Final[tuple[Any, ...]] = (
    None, True, -1, 0, 1, 2**31, 2**53, 2**63, -(2**63), 10**400, 1e308, 5e-324, "", "\x00",
    "../..", "x" * 100_000, "\ud7ff", [], {}, [[]], {"": None}, "null", "1e999",
)  # fmt: skip
_DEEP: Final = 5000


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return bytes that differ in a few places, in their length, or in how they go on."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        chance.choice(_WAYS)(made, chance)
    return bytes(made)


def _flip(made: bytearray, chance: random.Random) -> None:
    if made:
        made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)


def _overwrite(made: bytearray, chance: random.Random) -> None:
    if made:
        at, edge = chance.randrange(len(made)), chance.choice(_EDGES)
        made[at : at + len(edge)] = edge


def _insert(made: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(made) + 1)
    made[at:at] = chance.randbytes(chance.randrange(1, 9))


def _cut(made: bytearray, chance: random.Random) -> None:
    del made[chance.randrange(len(made) + 1) :]


def _remove(made: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(made) + 1)
    del made[at : at + chance.randrange(1, 9)]


def _repeat(made: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(made) + 1)
    made += made[at : at + 64] * chance.choice((1, 2, 50))


_WAYS: Final[Sequence[Callable[[bytearray, random.Random], None]]] = (
    _flip, _flip, _overwrite, _overwrite, _insert, _cut, _remove, _repeat,
)  # fmt: skip


def mutated_parts(parts: Sequence[bytes], chance: random.Random) -> list[bytes]:
    """Return a message of which one part differs; now and then one is there twice, or missing."""
    made = list(parts)
    at = chance.randrange(len(made))
    made[at] = mutated(made[at], chance)
    if chance.random() < 0.05:
        made.insert(at, made[at])
    elif chance.random() < 0.05 and len(made) > 1:
        del made[at]
    return made


def mutated_value(value: Any, chance: random.Random) -> Any:  # noqa: ANN401 - of JSON
    """Return a value of JSON that differs in one place, anywhere in it."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        return _mutated_object(value, chance)
    if isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        return [*value[:at], mutated_value(value[at], chance), *value[at + 1 :]]
    if chance.random() < 0.02:
        deep: Any = 0
        for _ in range(_DEEP):
            deep = [deep]
        return deep
    if isinstance(value, int | float) and not isinstance(value, bool) and chance.random() < 0.5:
        return value * chance.choice((-1, 0, 2, 1000, 1e9))
    return chance.choice(_VALUES)


def _mutated_object(value: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    key = chance.choice(list(value))
    made = dict(value)
    roll = chance.random()
    if roll < 0.1:
        del made[key]
    elif roll < 0.2:
        made[chance.choice(("", "x", f"{key}2", "\x00"))] = value[key]
    else:
        made[key] = mutated_value(value[key], chance)
    return made
