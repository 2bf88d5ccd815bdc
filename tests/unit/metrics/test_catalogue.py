"""The catalogue keeps Prometheus's conventions, and a line exports all of it from the start."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamline.config import Pipeline, load
from streamline.ledger import Ledger, Sample, decode, encode, gauge_sample
from streamline.messages import PinKind
from streamline.metrics import catalogue
from streamline.metrics.believed import believed
from streamline.metrics.benched import BenchFile
from streamline.metrics.exporter import Exporter, FrameRates
from streamline.run.accounting.account import StageAccount
from streamline.run.control import Control
from streamline.run.models import freeze, read_calibrations, read_manifests
from streamline.run.placement import plan
from streamline.run.runtime import Runtime
from streamline.run.supervision.keeper import Keeper
from streamline.run.views import Views
from streamline.run.worker import Worker
from streamline.transport.curve import KeyPair
from tests.support.bench import write_bench
from tests.support.models import save_tiny_model

PIPELINE = """
version: 1
model: model
cameras: {left: {source: demo://inspect, deadline_ms: 80}, right: demo://normal}
alert:
  sinks: [{type: log}, {type: jsonl, path: alerts.jsonl}]
  plc: {host: 127.0.0.1}
record: {evidence: evidence}
links:
  prepared: tcp://127.0.0.1:15600
  keys: {own_file: own.key, hosts: {here: {key: "PUBLIC", address: 127.0.0.1}}}
"""

OF_THE_LINE = catalogue.OF_NO_LEDGER | {"streamline_deadline_seconds"}
"""What the supervisor adds, or is as the pipeline file has it."""


@contextmanager
def workers(pipeline: Pipeline, folder: Path) -> Iterator[list[Sample]]:
    """The counters of a line whose workers have been made and never run."""
    runtime = Runtime(folder / "run")
    runtime.folder.mkdir()
    Control.create(runtime.control)
    models = read_manifests(pipeline)
    freeze(models, read_calibrations(pipeline, models), runtime)
    plans = plan(pipeline)
    made = [Worker(one, pipeline, runtime) for one in plans]
    views = Views(runtime)
    keeper = Keeper(pipeline, plans, runtime, Control(runtime.control), views)
    try:
        yield [sample for view in views.all() for sample in view.samples(rings=True)]
    finally:
        keeper.end_all()
        views.close()
        for worker in made:
            worker._keyring.close()
            worker._context.term()
            worker._ledger.close()


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    """A line of two cameras, with all there is to count."""
    save_tiny_model(tmp_path / "model")
    pair = KeyPair.new()
    pair.write(tmp_path / "own.key")
    (tmp_path / "line.yaml").write_text(PIPELINE.replace("PUBLIC", pair.public))
    return load(tmp_path / "line.yaml")


@pytest.fixture
def page(pipeline: Pipeline, tmp_path: Path) -> str:
    """What it exports before its first frame."""
    information = {
        "streamline_build_info": [{"version": "1"}],
        "streamline_model_info": [{"model": "aa", "backbone": "net"}],
    }
    with workers(pipeline, tmp_path) as samples:
        rates = FrameRates()
        rates.note(samples)
        bench = BenchFile(write_bench(tmp_path / "bench.json"))
        samples.append(gauge_sample("streamline_reload_refused", 0.0))
        return Exporter(lambda: samples, rates, information, bench).render()[0].decode()


def series_of(page: str) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """Names and label sets on a page."""
    return {
        (sample.name, frozenset(sample.labels.items()))
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_a_line_exports_every_series_of_the_catalogue_from_the_start(page: str) -> None:
    found = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")}
    assert found == set(catalogue.HELP)


def test_every_series_has_the_labels_of_the_catalogue(page: str) -> None:
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        name = family.name + ("_total" if family.type == "counter" else "")
        for sample in family.samples:
            found.setdefault(name, set()).update(sample.labels.keys() - {"le"})
    assert found == {name: set(labels) for name, labels in catalogue.LABELS.items()}


def test_every_count_is_0_before_the_first_frame(page: str) -> None:
    for family in text_string_to_metric_families(page):
        if family.name not in OF_THE_LINE | catalogue.MAY_BE_NAN:
            assert {sample.value for sample in family.samples} == {0.0}


@pytest.mark.parametrize(
    ("name", "sets"),
    [
        ("streamline_frames_captured_total", [{}]),
        ("streamline_frames_judged_total", [{"verdict": v} for v in ("pass", "fail", "unknown")]),
        (
            "streamline_frames_dropped_total",
            [
                {"stage": "source", "reason": "overrun"},
                {"stage": "source", "reason": "queue_full"},
                {"stage": "source", "reason": "refused"},
                {"stage": "source", "reason": "shutdown"},
                {"stage": "source", "reason": "crashed"},
                {"stage": "preprocess", "reason": "queue_full"},
            ],
        ),
        ("streamline_stage_left_total", [{"stage": s} for s in catalogue.STAGES]),
        ("streamline_stage_entered_total", [{"stage": s} for s in catalogue.STAGES]),
        ("streamline_fps", [{"stage": s} for s in catalogue.STAGES]),
        ("streamline_camera_state", [{"state": s} for s in catalogue.CAMERA_STATES]),
        ("streamline_camera_down_reason", [{"reason": r} for r in catalogue.CAMERA_REASONS]),
        ("streamline_alert_active", [{}]),
        ("streamline_evidence_stored_total", [{"kind": k} for k in PinKind]),
        ("streamline_evidence_removed_total", [{"kind": k} for k in PinKind]),
        (
            "streamline_evidence_skipped_total",
            [{"reason": r} for reasons in catalogue.SKIP_REASONS.values() for r in reasons],
        ),
    ],
)
def test_every_label_set_of_every_camera_is_there_from_the_start(
    page: str, name: str, sets: list[dict[str, str]]
) -> None:
    found = {labels for series, labels in series_of(page) if series == name}
    assert found == {
        frozenset({"camera": camera, **labels}.items())
        for camera in ("left", "right")
        for labels in sets
    }


def test_what_another_host_sends_of_a_line_is_believed_and_is_all_that_is_published(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    with workers(pipeline, tmp_path) as samples:
        told = [sample for sample in samples if sample.kind not in {"ring", "table"}]
        sound, doubt = believed(decode(encode(told)), pipeline.cameras)
    assert doubt is None
    assert {sample.name for sample in sound} == set(catalogue.HELP) - catalogue.OF_NO_LEDGER
    assert len(sound) == sum(sample.name in catalogue.HELP for sample in told)


def test_every_sink_has_all_outcomes_from_the_start(page: str) -> None:
    found = {
        labels for name, labels in series_of(page) if name == "streamline_alerts_delivered_total"
    }
    assert found == {
        frozenset({"sink": sink, "outcome": outcome}.items())
        for sink in ("log", "jsonl")
        for outcome in ("ok", "failed", "rejected")
    }


def test_only_what_counts_is_called_total_and_all_that_counts_is(page: str) -> None:
    kinds = dict(line.split()[2:4] for line in page.splitlines() if line.startswith("# TYPE"))
    for name, kind in kinds.items():
        assert name.endswith("_total") == (kind == "counter")


def test_names_have_base_units_and_the_lines_prefix() -> None:
    for name in catalogue.HELP:
        assert re.fullmatch(r"streamline(_[a-z]+)+", name)
        assert not re.search(r"_(ms|millis\w*|minutes|hours|percent|ns|us|kb|mb)(_|$)", name)


def test_help_is_one_sentence() -> None:
    for text in catalogue.HELP.values():
        assert re.fullmatch(r"[A-Z1].*[^.]\.", text)
        assert "\n" not in text


@pytest.mark.parametrize("name", [name for name in catalogue.__all__ if name.endswith("_BUCKETS")])
def test_buckets_increase_and_are_positive(name: str) -> None:
    bounds = getattr(catalogue, name)
    assert all(low < high for low, high in pairwise((0.0, *bounds)))


def test_the_threshold_itself_is_a_bucket_of_the_score() -> None:
    assert 1.0 in catalogue.SCORE_BUCKETS


def test_every_stage_counts_the_drops_that_the_catalogue_names() -> None:
    for stage in catalogue.STAGES:
        account = StageAccount(Ledger(), stage, ["left"])
        assert {reason for _, reason in account.dropped} == set(
            catalogue.DROP_REASONS.get(stage, ())
        )


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_has_no_complaints(page: str) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=page,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
