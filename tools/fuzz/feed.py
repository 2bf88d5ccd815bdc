"""Feed inputs of one kind to a process that has little memory to spare."""

import resource
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from tools.fuzz.figures import fuzz_figures
from tools.fuzz.links import fuzz_inlet, fuzz_outlet, fuzz_telemetry
from tools.fuzz.messages import fuzz_ledgers, fuzz_messages
from tools.fuzz.models import fuzz_models, judge_each_kind
from tools.fuzz.pipelines import fuzz_pipelines
from tools.fuzz.requests import fuzz_requests
from tools.fuzz.strangers import fuzz_strangers
from tools.fuzz.tally import UNDERWAY, Tally

__all__ = ["feed"]

_SPARE: Final = 1 << 30
"""Address space that the process may take beyond what it has, bytes: who believes a header and
makes room for what it claims fails."""


def feed(name: str, count: int, seed: int, folder: Path, underway: Path) -> Tally:
    """Feed inputs of one kind to this process; a file says which is underway, should it die."""
    UNDERWAY.set(underway)
    if name == "models":
        judge_each_kind(folder / "before")  # Its libraries' threads reserve much.
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + _SPARE, resource.RLIM_INFINITY))
    kinds: Mapping[str, Callable[[], Tally]] = {
        "messages": partial(fuzz_messages, count, seed),
        "ledgers": partial(fuzz_ledgers, count, seed),
        "figures": partial(fuzz_figures, count, seed),
        "inlet": partial(fuzz_inlet, count, seed, folder),
        "outlet": partial(fuzz_outlet, count, seed, folder),
        "telemetry": partial(fuzz_telemetry, count, seed, folder),
        "strangers": partial(fuzz_strangers, count),
        "models": partial(fuzz_models, count, seed, folder),
        "pipelines": partial(fuzz_pipelines, count, seed, folder),
        "requests": partial(fuzz_requests, count, seed, folder),
    }
    return kinds[name]()


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
