"""Show the ledgers of a line as Prometheus metrics."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock
from typing import Final

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from streamline.clock import monotonic_ns
from streamline.ledger import Sample
from streamline.metrics.benched import BenchFile
from streamline.metrics.catalogue import HELP

__all__ = ["Exporter", "FrameRates", "merged"]

Labels = tuple[tuple[str, str], ...]

_FPS_WINDOW_NS: Final = 10_000_000_000


def merged(samples: Iterable[Sample]) -> dict[tuple[str, Labels], Sample]:
    """Add up series that several workers count under one name and label set."""
    total: dict[tuple[str, Labels], Sample] = {}
    for sample in samples:
        key = (sample.name, tuple(sample.labels.items()))
        held = total.get(key)
        if held is None or sample.kind in {"ring", "table"}:
            total[key] = sample
            continue
        total[key] = Sample(
            kind=sample.kind,
            name=sample.name,
            labels=sample.labels,
            bounds=sample.bounds,
            values=held.values + sample.values,
        )
    return total


class FrameRates:
    """Frames per second that left each stage, over the last ten seconds.

    Parameters
    ----------
    clock : callable
        Gives the present time in ns.
    """

    def __init__(self, clock: Callable[[], int] = monotonic_ns) -> None:
        self._clock = clock
        self._past: dict[tuple[str, str], deque[tuple[int, float]]] = defaultdict(deque)
        self._lock = Lock()

    def note(self, samples: Iterable[Sample]) -> None:
        """Take down the counts as they stand now; call about once a second."""
        now_ns = self._clock()
        for sample in samples:
            if sample.name == "streamline_stage_left_total":
                key = sample.labels.get("camera", ""), sample.labels.get("stage", "")
                with self._lock:
                    self._enter(self._past[key], now_ns, float(sample.values[0]))

    def rates(self) -> list[tuple[str, str, float]]:
        """Return camera, stage and frames per second; any thread may ask."""
        with self._lock:
            return [(*key, _rate(past)) for key, past in self._past.items()]

    @staticmethod
    def _enter(past: deque[tuple[int, float]], now_ns: int, count: float) -> None:
        past.append((now_ns, count))
        # The last entry before the window is its left edge.
        while len(past) > 1 and past[1][0] <= now_ns - _FPS_WINDOW_NS:
            past.popleft()


def _rate(past: deque[tuple[int, float]]) -> float:
    elapsed_ns = past[-1][0] - past[0][0]
    return (past[-1][1] - past[0][1]) * 1e9 / elapsed_ns if elapsed_ns else 0.0


class Exporter:
    """Renders whatever the ledgers hold, plus what describes the line as a whole.

    Parameters
    ----------
    samples : callable
        Reads all ledgers.
    rates : FrameRates
    information : mapping of metric name to label sets
        For ``…_info`` metrics, whose value is always 1.
    bench : BenchFile, optional
        Published figures of a benchmark.
    """

    def __init__(
        self,
        samples: Callable[[], Iterable[Sample]],
        rates: FrameRates,
        information: Mapping[str, Iterable[Mapping[str, str]]],
        bench: BenchFile | None = None,
    ) -> None:
        self._samples = samples
        self._rates = rates
        self._information = information
        self._bench = bench
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the exposition and its content type, for an HTTP Accept header."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family; called by the registry."""
        families: dict[str, Metric] = {}
        for sample in merged(self._samples()).values():
            if sample.name in HELP:
                _add(families, sample)
        yield from families.values()
        fps = GaugeMetricFamily(
            "streamline_fps", HELP["streamline_fps"], labels=["camera", "stage"]
        )
        for camera, stage, rate in self._rates.rates():
            fps.add_metric([camera, stage], rate)
        yield fps
        if self._bench is not None:
            yield from _benched(self._bench)
        for name, label_sets in self._information.items():
            family = InfoMetricFamily(name.removesuffix("_info"), HELP[name])
            for labels in label_sets:
                family.add_metric([], dict(labels))
            yield family

    def describe(self) -> list[Metric]:
        """Nothing is known before the ledgers are; called by the registry."""
        return []


def _benched(bench: BenchFile) -> Iterator[Metric]:
    """Yield what a benchmark came to; nothing where there is none."""
    rows = bench.rows()
    if not rows:
        return
    columns = {
        "streamline_bench_fps": [(one.row, one.fps) for one in rows],
        "streamline_bench_fit_seconds": [(one.row, one.fit_s) for one in rows],
    }
    for name, column in columns.items():
        family = GaugeMetricFamily(name, HELP[name], labels=["row"])
        for row, value in column:
            family.add_metric([row], value)
        yield family
    written = "streamline_bench_timestamp_seconds"
    yield GaugeMetricFamily(written, HELP[written], value=bench.written_s)


def _add(families: dict[str, Metric], sample: Sample) -> None:
    name, labels = sample.name, list(sample.labels.values())
    if name not in families:
        families[name] = _family(sample)
    family = families[name]
    if isinstance(family, HistogramMetricFamily):
        cumulative = np.cumsum(sample.values[:-1])
        bounds = [*map(str, sample.bounds), "+Inf"]
        buckets = list(zip(bounds, cumulative.tolist(), strict=True))
        family.add_metric(labels, buckets, sum_value=float(sample.values[-1]))
    elif isinstance(family, CounterMetricFamily | GaugeMetricFamily):
        family.add_metric(labels, float(sample.values[0]))


def _family(sample: Sample) -> Metric:
    label_names, text = list(sample.labels), HELP[sample.name]
    if sample.kind == "counter":
        return CounterMetricFamily(sample.name.removesuffix("_total"), text, labels=label_names)
    if sample.kind == "histogram":
        return HistogramMetricFamily(sample.name, text, labels=label_names)
    return GaugeMetricFamily(sample.name, text, labels=label_names)
