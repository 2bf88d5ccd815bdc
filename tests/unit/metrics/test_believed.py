"""Of another host's figures those are believed that are as the catalogue has them."""

import math
import re
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamline.ledger import Kind, Sample
from streamline.metrics.believed import believed
from streamline.metrics.catalogue import (
    BATCH_BUCKETS,
    HISTOGRAMS,
    LABELS,
    LATENCY_RING,
    OF_NO_LEDGER,
)
from tools.fuzz.figures import look_at

CAMERAS = {"left", "right"}


def sample(
    name: str,
    labels: Mapping[str, str],
    *values: float,
    kind: Kind = "gauge",
    bounds: tuple[float, ...] = (),
) -> Sample:
    """A series as it comes from somewhere."""
    return Sample(kind=kind, name=name, labels=labels, bounds=bounds, values=np.array(values))


LEFT = {"camera": "left"}
IN_FLIGHT = "streamline_frames_in_flight"
STATE = "streamline_camera_state"
SIZES = "streamline_batch_size"
COUNTS = (0.0,) * (len(BATCH_BUCKETS) + 1)

SOUND = {
    "a gauge": sample(IN_FLIGHT, LEFT, 3.0),
    "a state": sample(STATE, {"camera": "left", "state": "ok"}, 1.0),
    "a count": sample("streamline_alerts_total", LEFT, 2.0, kind="counter"),
    "a histogram": sample(SIZES, {}, *COUNTS, -2.5, kind="histogram", bounds=BATCH_BUCKETS),
    "a ratio that is not known": sample(
        "streamline_scene_ratio", {"camera": "left", "check": "blur"}, math.nan
    ),
}

DOUBTFUL = {
    "a state without its label": (sample(STATE, LEFT, 1.0), "labels camera,"),
    "a state without labels": (sample(STATE, {}, 1.0), "labels ,"),
    "a label too many": (sample(IN_FLIGHT, {**LEFT, "x": "y"}, 1.0), "labels camera, x,"),
    "labels in another order": (
        sample(STATE, {"state": "ok", "camera": "left"}, 1.0),
        "labels state, camera,",
    ),
    "a label without a value": (sample(STATE, {"camera": "left", "state": ""}, 1.0), "a label"),
    "a label too long": (sample(STATE, {"camera": "left", "state": "x" * 257}, 1.0), "a label"),
    "no number": (sample(IN_FLIGHT, LEFT, math.nan), r"values \[nan\]"),
    "infinite": (sample(IN_FLIGHT, LEFT, math.inf), r"values \[inf\]"),
    "too large to add up": (sample(IN_FLIGHT, LEFT, 1e300), r"values \[1e\+300\]"),
    "an infinite ratio": (
        sample("streamline_scene_ratio", {"camera": "left", "check": "blur"}, -math.inf),
        r"values \[-inf\]",
    ),
    "a count below nothing": (
        sample("streamline_alerts_total", LEFT, -1.0, kind="counter"),
        r"values \[-1\.0\]",
    ),
    "a bucket below nothing": (
        sample(SIZES, {}, -1.0, *COUNTS, kind="histogram", bounds=BATCH_BUCKETS),
        r"values \[-1\.0, 0\.0, 0\.0, 0\.0\]",
    ),
    "other buckets": (
        sample(SIZES, {}, 0.0, 0.0, 0.0, kind="histogram", bounds=(1.0,)),
        "other buckets",
    ),
    "an empty ring": (sample(IN_FLIGHT, LEFT, kind="ring"), "a ring, not a gauge"),
    "a count that is a gauge": (sample("streamline_alerts_total", LEFT, 1.0), "a gauge, not a"),
    "a camera of nobody": (
        sample(IN_FLIGHT, {"camera": "strange"}, 1.0),
        "camera 'strange' is not in the pipeline file here",
    ),
}


@pytest.mark.parametrize("what", SOUND)
def test_a_series_that_is_as_the_catalogue_has_it_is_believed(what: str) -> None:
    assert believed([SOUND[what]], CAMERAS) == ([SOUND[what]], None)


@pytest.mark.parametrize("what", DOUBTFUL)
def test_one_that_is_not_is_left_out_alone_and_the_first_is_told(what: str) -> None:
    wrong, why = DOUBTFUL[what]
    later = sample("streamline_camera_state", {}, 1.0)
    sound, doubt = believed([SOUND["a gauge"], wrong, SOUND["a count"], later], CAMERAS)
    assert sound == [SOUND["a gauge"], SOUND["a count"]]
    assert doubt is not None
    assert re.match(f"{wrong.name}: .*{why}", doubt)


@pytest.mark.parametrize("name", ["fence_changes", LATENCY_RING, "other", *sorted(OF_NO_LEDGER)])
def test_what_no_ledger_publishes_is_left_out_and_not_told(name: str) -> None:
    assert believed([sample(name, {}, 1.0)], CAMERAS) == ([], None)


TEXTS = st.sampled_from(["left", "right", "strange", "ok", "down", "ended", ""]) | st.text(
    max_size=5
)
NAMES = st.sampled_from(sorted(LABELS))


@st.composite
def anything(draw: st.DrawFn) -> Sample:
    """A series that is more or less as the catalogue has it."""
    name = draw(NAMES)
    names = draw(st.just(LABELS[name]) | st.permutations([*LABELS[name], "camera"]))
    bounds = draw(st.just(HISTOGRAMS.get(name, ())) | st.just((1.0,)))
    kind: Kind = "counter" if name.endswith("_total") else "histogram" if bounds else "gauge"
    cells = len(bounds) + 2 if bounds else draw(st.just(1) | st.integers(0, 3))
    values = draw(st.lists(st.floats() | st.just(1.0), min_size=cells, max_size=cells))
    labels = {label: draw(TEXTS) for label in names}
    kind = draw(st.just(kind) | st.sampled_from(["counter", "gauge", "ring", "table"]))
    return sample(name, labels, *values, kind=kind, bounds=bounds)


@given(told=st.lists(anything(), max_size=8))
@example(told=[sample(STATE, LEFT, 1.0)])
@example(told=[sample(STATE, {}, 1.0)])
@example(told=[sample(IN_FLIGHT, LEFT, math.nan)])
@example(told=[sample(IN_FLIGHT, LEFT, math.inf)])
@example(told=[sample(LATENCY_RING, LEFT, kind="ring")])
@example(told=[sample("streamline_fps", {"camera": "left", "stage": "source"}, 1.0)])
def test_whatever_is_believed_does_no_harm_to_whoever_reads_figures(told: list[Sample]) -> None:
    look_at(believed(told, CAMERAS)[0])
