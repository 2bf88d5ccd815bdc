"""Frames from memory: every setting is tried, and what it is found to give is what it gives."""

import os
from pathlib import Path

import pytest

from streamline.bench.limit import Setting, latency, layouts, measure, survey
from streamline.errors import ModelError
from streamline.infer import Compute, precisions
from streamline.infer.openvino_backend.cache import kept_graphs

_COMPUTE = Compute(precision="f32")


def test_every_batch_is_tried_with_and_without_a_request_to_spare(model: Path) -> None:
    single, *_ = layouts(_COMPUTE, cores=2)
    trials = survey([model], single, batches=(1, 3), rounds=1, seconds=0.01)
    assert [(t.setting.batch, t.setting.requests) for t in trials] == [
        (batch, requests) for batch in (1, 3) for requests in (1, 2)
    ]
    assert all(t.fps > 0 and t.cpu_ms > 0 for t in trials)


def test_a_setting_that_was_found_can_be_measured_again(model: Path) -> None:
    setting = Setting(precision="f32", hint="throughput", streams=2, requests=3, batch=4)
    trial = measure([model], _COMPUTE, setting, seconds=0.1)
    assert trial.setting == setting
    # At most all cores are at work all the time, and so much was done in that time.
    cores = len(os.sched_getaffinity(0))
    assert 0 < trial.cpu_ms * trial.fps / 1e3 <= 1.1 * cores


def test_models_on_one_network_share_a_batch(model: Path) -> None:
    setting = Setting(precision="f32", hint="latency", streams=None, requests=1, batch=2)
    assert measure([model, model], _COMPUTE, setting, seconds=0.01).fps > 0


def test_the_latency_of_a_frame_is_ordered(model: Path) -> None:
    found = latency([model], _COMPUTE, frames=20)
    assert found.frames == 20
    assert 0 < found.p50 <= found.p99


def test_graphs_that_are_only_tried_are_not_kept(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    latency([model], _COMPUTE, frames=1)
    assert not kept_graphs().exists()


def test_a_cpu_always_has_f32(model: Path) -> None:
    assert "f32" in precisions(Compute())
    with pytest.raises(ModelError):
        latency([model.parent / "none"], _COMPUTE, frames=1)
