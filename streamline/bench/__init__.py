"""What this computer can do: the model alone, a whole line, and how close the two are."""

from streamline.bench.limit import Setting, Trial
from streamline.bench.machine import Machine, this_machine
from streamline.bench.model import ModelBench, bench_model
from streamline.bench.record import to_json

__all__ = [
    "Machine",
    "ModelBench",
    "Setting",
    "Trial",
    "bench_model",
    "this_machine",
    "to_json",
]
