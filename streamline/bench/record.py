"""Results as JSON: every one is a frozen dataclass, and a number has the digits it deserves."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass

__all__ = ["to_json"]

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


def to_json(result: object) -> str:
    """Return a result, and the results in it, as JSON text; what is not a number becomes null.

    Examples
    --------
    >>> print(to_json({"fps": 123.456789, "p99_ms": float("nan")}))
    {
      "fps": 123.46,
      "p99_ms": null
    }
    <BLANKLINE>
    """
    return json.dumps(_plain(result), indent=2) + "\n"


def _plain(value: object) -> Plain:
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return str(value)
