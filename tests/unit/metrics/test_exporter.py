"""What is exported, as Prometheus's own parser reads it, against the ledgers."""

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from streamline.ledger import Ledger, Sample
from streamline.metrics.catalogue import HELP
from streamline.metrics.exporter import Exporter, FrameRates, merged

Labels = frozenset[tuple[str, str]]
Read = dict[tuple[str, Labels], float]

NS = 1_000_000_000
LEFT = "streamline_stage_left_total"


def exported(
    *ledgers: Ledger, information: Mapping[str, Iterable[Mapping[str, str]]] | None = None
) -> str:
    """The text of ``/metrics`` for these ledgers."""

    def samples() -> list[Sample]:
        return [sample for ledger in ledgers for sample in ledger.samples()]

    body, kind = Exporter(samples, FrameRates(), information or {}).render()
    assert kind.startswith("text/plain; version=")
    return body.decode()


def read(text: str) -> Read:
    """Every sample by name and labels, as Prometheus reads it; none may come twice."""
    found: Read = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def labels(**pairs: str) -> Labels:
    """A label set."""
    return frozenset(pairs.items())


def test_counters_and_gauges_are_exported_with_their_values_and_labels() -> None:
    ledger = Ledger()
    ledger.counter("streamline_frames_judged_total", camera="left", verdict="pass").add(12)
    ledger.counter("streamline_frames_judged_total", camera="left", verdict="fail")
    ledger.gauge("streamline_frames_in_flight", camera="left").set(3)
    assert read(exported(ledger)) == {
        ("streamline_frames_judged_total", labels(camera="left", verdict="pass")): 12,
        ("streamline_frames_judged_total", labels(camera="left", verdict="fail")): 0,
        ("streamline_frames_in_flight", labels(camera="left")): 3,
    }


@given(values=st.lists(st.floats(0, 10), max_size=30))
def test_a_histogram_is_exported_cumulatively_with_count_and_sum(values: list[float]) -> None:
    bounds = (0.1, 1.0, 2.5)
    ledger = Ledger()
    histogram = ledger.histogram("streamline_latency_seconds", bounds, camera="left")
    for value in values:
        histogram.observe(value)
    found = read(exported(ledger))
    name = "streamline_latency_seconds"
    for bound in bounds:
        key = (f"{name}_bucket", labels(camera="left", le=str(bound)))
        assert found[key] == sum(value <= bound for value in values)
    assert found[f"{name}_bucket", labels(camera="left", le="+Inf")] == len(values)
    assert found[f"{name}_count", labels(camera="left")] == len(values)
    assert found[f"{name}_sum", labels(camera="left")] == pytest.approx(sum(values))


def test_label_values_of_any_kind_survive() -> None:
    ledger = Ledger()
    ledger.counter("streamline_alerts_total", camera='a"b\\c\nd é').add()
    assert read(exported(ledger)) == {("streamline_alerts_total", labels(camera='a"b\\c\nd é')): 1}


@given(parts=st.lists(st.tuples(st.integers(0, 9), st.lists(st.floats(0, 4))), min_size=1))
def test_what_several_workers_count_under_one_name_is_added_up(
    parts: list[tuple[int, list[float]]],
) -> None:
    ledgers = []
    for count, values in parts:
        ledger = Ledger()
        ledger.counter("streamline_alerts_total", camera="left").add(count)
        histogram = ledger.histogram("streamline_stage_seconds", (1.0, 2.0), stage="preprocess")
        for value in values:
            histogram.observe(value)
        ledgers.append(ledger)
    whole = Ledger()
    whole.counter("streamline_alerts_total", camera="left").add(sum(n for n, _ in parts))
    together = whole.histogram("streamline_stage_seconds", (1.0, 2.0), stage="preprocess")
    for _, values in parts:
        for value in values:
            together.observe(value)
    assert read(exported(*ledgers)) == pytest.approx(read(exported(whole)))


def test_merging_keeps_what_differs_in_a_label_apart() -> None:
    ledger = Ledger()
    for camera in ("left", "right"):
        ledger.counter("streamline_alerts_total", camera=camera).add()
    assert len(merged(ledger.samples() + ledger.samples())) == 2


def test_merging_leaves_the_samples_as_they_were() -> None:
    ledger = Ledger()
    ledger.counter("streamline_alerts_total", camera="left").add()
    samples = ledger.samples()
    total = merged(samples + ledger.samples())
    assert [float(s.values[0]) for s in total.values()] == [2.0]
    assert float(samples[0].values[0]) == 1.0


def test_series_that_are_not_in_the_catalogue_are_not_exported() -> None:
    ledger = Ledger()
    ledger.gauge("first_verdict_monotonic_seconds", camera="left").set(1)
    ledger.ring("streamline_latency_ring_seconds", 4, camera="left").push(1)
    ledger.gauge("streamline_worker_connected", worker="infer").set(1)
    assert read(exported(ledger)) == {}


def test_information_is_exported_as_series_that_are_always_1() -> None:
    text = exported(
        information={
            "streamline_build_info": [{"version": "1.2"}],
            "streamline_model_info": [
                {"model": "aa", "backbone": "net"},
                {"model": "bb", "backbone": "net"},
            ],
        }
    )
    assert read(text) == {
        ("streamline_build_info", labels(version="1.2")): 1,
        ("streamline_model_info", labels(model="aa", backbone="net")): 1,
        ("streamline_model_info", labels(model="bb", backbone="net")): 1,
    }


def test_each_family_has_its_help_and_type_once_and_its_samples_together() -> None:
    ledger = Ledger()
    for camera in ("left", "right"):
        ledger.counter("streamline_alerts_total", camera=camera)
        ledger.gauge("streamline_alert_active", camera=camera)
    lines = exported(ledger).splitlines()
    for name, kind in (
        ("streamline_alerts_total", "counter"),
        ("streamline_alert_active", "gauge"),
    ):
        assert lines.count(f"# HELP {name} {HELP[name]}") == 1
        assert lines.count(f"# TYPE {name} {kind}") == 1
        at = [i for i, line in enumerate(lines) if line.startswith(f"{name}{{")]
        assert at == [at[0], at[0] + 1]


def test_a_scraper_that_asks_for_openmetrics_gets_it() -> None:
    ledger = Ledger()
    ledger.counter("streamline_alerts_total", camera="left").add(2)
    ledger.histogram("streamline_latency_seconds", (0.1,), camera="left").observe(1)
    information = {"streamline_build_info": [{"version": "1.2"}]}
    exporter = Exporter(ledger.samples, FrameRates(), information)
    body, kind = exporter.render("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    families = openmetrics.text_string_to_metric_families(body.decode())  # type: ignore[no-untyped-call]
    values = {s.name: s.value for family in families for s in family.samples}
    assert values["streamline_alerts_total"] == 2
    assert values["streamline_latency_seconds_count"] == 1
    assert values["streamline_build_info"] == 1


# --- frames per second ------------------------------------------------------------------------


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_ns = 5 * NS

    def __call__(self) -> int:
        return self.now_ns


def rates_of(counts: list[tuple[float, float]]) -> list[tuple[str, str, float]]:
    """Rates after noting each count at its second."""
    clock = Clock()
    rates = FrameRates(clock)
    for second, count in counts:
        clock.now_ns = 5 * NS + round(second * NS)
        ledger = Ledger()
        ledger.counter(LEFT, camera="left", stage="infer").add(count)
        ledger.counter("streamline_stage_entered_total", camera="left", stage="infer").add(9)
        rates.note(ledger.samples())
    return list(rates.rates())


@pytest.mark.parametrize(
    ("counts", "rate"),
    [
        pytest.param([(0, 7)], 0.0, id="one-note-is-no-rate"),
        pytest.param([(0, 7), (1, 32)], 25.0, id="two-notes"),
        pytest.param([(0, 0), (1, 10), (4, 100)], 25.0, id="uneven-notes"),
        pytest.param([(s, 1000 if s < 5 else 30 * s) for s in range(5, 30)], 30.0, id="steady"),
        pytest.param([(s, 50) for s in range(30)], 0.0, id="stopped"),
        pytest.param([(0, 0), (1, 990), (11, 1000)], 1.0, id="older-than-ten-seconds-is-forgotten"),
        pytest.param([(s, 30 * min(s, 20)) for s in range(26)], 15.0, id="half-the-window"),
    ],
)
def test_a_rate_is_what_left_the_stage_over_the_last_ten_seconds(
    counts: list[tuple[float, float]], rate: float
) -> None:
    assert rates_of(counts) == [("left", "infer", rate)]


def test_rates_are_exported_by_camera_and_stage() -> None:
    clock = Clock()
    rates = FrameRates(clock)
    ledger = Ledger()
    cells = [ledger.counter(LEFT, camera="left", stage=stage) for stage in ("source", "infer")]
    rates.note(ledger.samples())
    clock.now_ns += NS
    for cell, count in zip(cells, (30, 25), strict=True):
        cell.add(count)
    rates.note(ledger.samples())
    body, _ = Exporter(list, rates, {}).render()
    assert read(body.decode()) == {
        ("streamline_fps", labels(camera="left", stage="source")): 30,
        ("streamline_fps", labels(camera="left", stage="infer")): 25,
    }
