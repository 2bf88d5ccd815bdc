"""What this computer can do: the model alone, a whole line, and how close the two are."""

from streamline.bench.limit import Setting, Trial
from streamline.bench.line import LineBench, LineSettings, Pair, bench_line
from streamline.bench.loads import line_of_clip, line_of_file
from streamline.bench.model import ModelBench, bench_model
from streamline.bench.paced import IN_TIME, Paced, run_paced
from streamline.bench.paper import LayerFigures, PaperBench, PaperPlan, bench_paper
from streamline.bench.published import PublishedSpeeds, published_speeds
from streamline.bench.record import to_json
from streamline.bench.span import Cpu, StageCost

__all__ = [
    "IN_TIME",
    "Cpu",
    "LayerFigures",
    "LineBench",
    "LineSettings",
    "ModelBench",
    "Paced",
    "Pair",
    "PaperBench",
    "PaperPlan",
    "PublishedSpeeds",
    "Setting",
    "StageCost",
    "Trial",
    "bench_line",
    "bench_model",
    "bench_paper",
    "line_of_clip",
    "line_of_file",
    "published_speeds",
    "run_paced",
    "to_json",
]
