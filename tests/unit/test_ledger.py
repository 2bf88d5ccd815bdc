"""Counters in a mapped file: what is counted is what is read, whoever dies in between."""

import json
import math
import os
import signal
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamline.errors import InputError
from streamline.ledger import Ledger, LedgerView, Sample, decode, quantiles

Floats = npt.NDArray[np.float64]

FINITE = st.floats(-1e6, 1e6)
BOUNDS = st.lists(FINITE, min_size=1, max_size=8, unique=True).map(sorted)


def found(samples: Sequence[Sample], name: str, **labels: str) -> list[float]:
    """Values of the one series of that name and those labels."""
    matching = [s for s in samples if s.name == name and s.labels == labels]
    assert len(matching) == 1
    return [float(x) for x in matching[0].values]


def of_one_counter() -> tuple[Ledger, "Ledger"]:
    """Two ledgers with equal declarations: a worker's and that of its successor."""
    first, second = Ledger(), Ledger()
    first.counter("seen_total", camera="left")
    second.counter("seen_total", camera="left")
    return first, second


def file_of(head: object, cells: Floats) -> bytes:
    """A ledger file made by hand, so that its header can say what no ledger would."""
    text = json.dumps(head).encode()
    text += b" " * (-(len(text) + 16) % 8)
    return b"STRMLDG1" + struct.pack("<Q", len(text)) + text + cells.tobytes()


# --- what is counted is what is read --------------------------------------------------------


@given(amounts=st.lists(st.integers(0, 1000), max_size=20))
def test_a_counter_holds_the_sum_of_what_was_added(amounts: list[int]) -> None:
    ledger = Ledger()
    seen = ledger.counter("seen_total")
    for amount in amounts:
        seen.add(amount)
    assert seen.value == sum(amounts)


def test_a_view_and_the_bytes_of_the_file_say_what_the_writer_counted(tmp_path: Path) -> None:
    ledger = Ledger()
    left = ledger.counter("seen_total", camera="left")
    right = ledger.counter("seen_total", camera="right")
    depth = ledger.gauge("depth")
    seconds = ledger.histogram("seconds", [0.1, 1.0], stage="infer")
    latest = ledger.ring("latest", 3)
    ledger.open(tmp_path / "a.ledger")
    left.add(3)
    right.add()
    depth.set(-2.5)
    for value in (0.05, 0.5, 5.0):
        seconds.observe(value)
    for number in range(5):
        latest.push(number)
    view = LedgerView(tmp_path / "a.ledger")
    readings = {
        "view": view.samples(rings=True),
        "file": decode((tmp_path / "a.ledger").read_bytes()),
        "writer": ledger.samples(),
    }
    view.close()
    ledger.close()
    for samples in readings.values():
        assert found(samples, "seen_total", camera="left") == [3.0]
        assert found(samples, "seen_total", camera="right") == [1.0]
        assert found(samples, "depth") == [-2.5]
        assert found(samples, "seconds", stage="infer") == [1.0, 1.0, 1.0, 5.55]
        assert found(samples, "latest") == [2.0, 3.0, 4.0]


def test_a_view_follows_the_writer_without_being_opened_again(tmp_path: Path) -> None:
    ledger = Ledger()
    seen = ledger.counter("seen_total", camera="left")
    ledger.open(tmp_path / "a.ledger")
    view = LedgerView(tmp_path / "a.ledger")
    readings = [view.value("seen_total", camera="left")]
    for _ in range(3):
        seen.add()
        readings.append(view.value("seen_total", camera="left"))
    view.close()
    ledger.close()
    assert readings == [0.0, 1.0, 2.0, 3.0]


def test_a_sample_does_not_change_with_later_counts(tmp_path: Path) -> None:
    ledger = Ledger()
    seen = ledger.counter("seen_total")
    ledger.open(tmp_path / "a.ledger")
    view = LedgerView(tmp_path / "a.ledger")
    before = [*view.samples(), *ledger.samples()]
    seen.add()
    view.close()
    ledger.close()
    assert [float(s.values[0]) for s in before] == [0.0, 0.0]


def test_rings_are_read_only_when_asked_for(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.ring("latest", 4)
    ledger.counter("seen_total")
    ledger.open(tmp_path / "a.ledger")
    view = LedgerView(tmp_path / "a.ledger")
    names = [s.name for s in view.samples()]
    view.close()
    ledger.close()
    assert names == ["seen_total"]


def test_labels_and_bounds_come_back_as_they_were_declared() -> None:
    ledger = Ledger()
    ledger.histogram("seconds", (0.1, 0.25), stage="infer", camera='a "b" \\ é')
    (sample,) = ledger.samples()
    assert (sample.kind, sample.bounds) == ("histogram", (0.1, 0.25))
    assert sample.labels == {"stage": "infer", "camera": 'a "b" \\ é'}


def test_asking_a_view_for_an_unknown_series_is_a_key_error(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.counter("seen_total", camera="left")
    ledger.open(tmp_path / "a.ledger")
    view = LedgerView(tmp_path / "a.ledger")
    with pytest.raises(KeyError, match="right"):
        view.value("seen_total", camera="right")
    view.close()
    ledger.close()


# --- histograms, rings, quantiles against their definitions ----------------------------------


@given(bounds=BOUNDS, values=st.lists(FINITE, max_size=40), data=st.data())
def test_each_bucket_counts_what_is_above_the_bound_before_and_not_above_its_own(
    bounds: list[float], values: list[float], data: st.DataObject
) -> None:
    # Values that hit a bound exactly are the ones that tell inclusive from exclusive.
    values += data.draw(st.lists(st.sampled_from(bounds), max_size=8))
    ledger = Ledger()
    histogram = ledger.histogram("seconds", bounds)
    for value in values:
        histogram.observe(value)
    (sample,) = ledger.samples()
    edges = [-math.inf, *bounds, math.inf]
    assert sample.values[:-1].tolist() == [
        sum(low < value <= high for value in values) for low, high in pairwise(edges)
    ]
    assert sample.values[-1] == pytest.approx(math.fsum(values), abs=1e-6)


@pytest.mark.parametrize(
    "bounds",
    [(1.0, 1.0), (2.0, 1.0), (1.0, math.inf), (math.nan,)],
    ids=["equal", "falling", "infinite", "not-a-number"],
)
def test_bounds_that_do_not_increase_or_are_not_finite_are_refused(
    bounds: tuple[float, ...],
) -> None:
    with pytest.raises(ValueError, match="must increase"):
        Ledger().histogram("seconds", bounds)


@given(slots=st.integers(1, 9), values=st.lists(FINITE, max_size=40))
def test_a_ring_keeps_exactly_the_latest_values_in_order(slots: int, values: list[float]) -> None:
    ledger = Ledger()
    ring = ledger.ring("latest", slots)
    for value in values:
        ring.push(value)
    assert found(ledger.samples(), "latest") == list(deque(values, maxlen=slots))


@given(
    values=st.lists(FINITE, min_size=1, max_size=200),
    percent=st.sampled_from([0, 1, 50, 90, 95, 99, 100]),
)
@example(values=[float(n) for n in range(100)], percent=99)
@example(values=[float(n) for n in range(20)], percent=95)
def test_a_quantile_is_the_smallest_value_that_its_share_of_the_values_reaches(
    values: list[float], percent: int
) -> None:
    wanted = Fraction(percent, 100) * len(values)
    truth = min(v for v in values if sum(x <= v for x in values) >= wanted)
    assert quantiles(np.array(values), [percent / 100]) == [truth]


def test_quantiles_of_nothing_are_not_a_number() -> None:
    assert all(math.isnan(q) for q in quantiles(np.empty(0), [0.5, 0.99]))


# --- one file, several lives ------------------------------------------------------------------


def test_a_ledger_opened_again_goes_on_counting(tmp_path: Path) -> None:
    path = tmp_path / "a.ledger"
    readings = []
    for _ in range(3):
        ledger = Ledger()
        seen = ledger.counter("seen_total")
        ledger.open(path)
        readings.append(seen.value)
        seen.add(2)
        ledger.close()
    assert readings == [0.0, 2.0, 4.0]


@given(
    lives=st.lists(st.tuples(st.lists(st.integers(0, 9)), st.lists(st.integers(0, 9))), max_size=5)
)
def test_counters_and_histograms_never_go_backwards_over_any_number_of_lives(
    lives: list[tuple[list[int], list[int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "a.ledger"
    total = 0
    for before_opening, after in lives:
        ledger = Ledger()
        seen = ledger.counter("seen_total")
        sizes = ledger.histogram("size", [4.0])
        for amount in before_opening:
            seen.add(amount)
            sizes.observe(amount)
        ledger.open(path)
        for amount in after:
            seen.add(amount)
            sizes.observe(amount)
        ledger.close()
        total += sum(before_opening) + sum(after)
        samples = decode(path.read_bytes())
        assert found(samples, "seen_total") == [total]
        assert found(samples, "size")[-1] == total
    every = [x for life in lives for part in life for x in part]
    if lives:
        small = sum(x <= 4 for x in every)
        assert found(decode(path.read_bytes()), "size")[:2] == [small, len(every) - small]


def test_a_gauge_starts_afresh_when_its_ledger_is_opened_again(tmp_path: Path) -> None:
    for value in (1.0, 0.0):
        ledger = Ledger()
        ready = ledger.gauge("ready")
        ledger.open(tmp_path / "a.ledger")
        assert ready.value == 0.0
        ready.set(value)
        ledger.close()


def test_a_ring_goes_on_where_its_last_writer_stopped(tmp_path: Path) -> None:
    for start in (0, 3):
        ledger = Ledger()
        ring = ledger.ring("latest", 4)
        ledger.open(tmp_path / "a.ledger")
        for number in range(start, start + 3):
            ring.push(number)
        ledger.close()
    assert found(decode((tmp_path / "a.ledger").read_bytes()), "latest") == [2.0, 3.0, 4.0, 5.0]


def test_closing_leaves_the_file_as_it_was_whatever_is_counted_after(tmp_path: Path) -> None:
    ledger = Ledger()
    seen = ledger.counter("seen_total")
    ledger.open(tmp_path / "a.ledger")
    seen.add(3)
    ledger.close()
    seen.add(100)
    assert found(decode((tmp_path / "a.ledger").read_bytes()), "seen_total") == [3.0]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param([("seen_total", {"camera": "right"})], id="another-label"),
        pytest.param([("read_total", {"camera": "left"})], id="another-name"),
        pytest.param([], id="none"),
        pytest.param([("seen_total", {"camera": "left"})] * 2, id="one-more"),
    ],
)
def test_a_file_with_other_series_is_refused_and_left_alone(
    other: list[tuple[str, dict[str, str]]], tmp_path: Path
) -> None:
    path = tmp_path / "a.ledger"
    theirs = Ledger()
    theirs.counter("seen_total", camera="left").add(7)
    theirs.open(path)
    theirs.close()
    ours = Ledger()
    for name, labels in other:
        ours.counter(name, **labels)
    with pytest.raises(ValueError, match="holds other counters than this pipeline's; remove it"):
        ours.open(path)
    assert found(decode(path.read_bytes()), "seen_total", camera="left") == [7.0]


def test_a_series_declared_after_opening_is_refused(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.counter("seen_total")
    ledger.open(tmp_path / "a.ledger")
    with pytest.raises(RuntimeError, match="after the ledger was opened"):
        ledger.counter("late_total")
    ledger.close()


def test_no_unfinished_file_is_ever_seen_under_the_name(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.counter("seen_total")
    ledger.open(tmp_path / "a.ledger")
    ledger.close()
    assert [p.name for p in tmp_path.iterdir()] == ["a.ledger"]


def test_a_killed_writer_leaves_what_it_counted(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from streamline.ledger import Ledger\n"
        "ledger = Ledger()\n"
        "seen = ledger.counter('seen_total', camera='left')\n"
        "ledger.open(Path(sys.argv[1]))\n"
        "for _ in range(12345):\n"
        "    seen.add()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "a.ledger"
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    _, successor = of_one_counter()
    successor.open(path)
    successor.close()
    assert found(decode(path.read_bytes()), "seen_total", camera="left") == [12345.0]


# --- files and bytes that are no ledgers ------------------------------------------------------


def test_a_second_writer_is_kept_out_until_the_first_has_closed(tmp_path: Path) -> None:
    path = tmp_path / "l"
    first, second = Ledger(), Ledger()
    for ledger in (first, second):
        ledger.counter("seen_total").add(2)
    first.open(path)
    with pytest.raises(InputError, match=rf"^{path}: process {os.getpid()} of a line .*kill -KILL"):
        second.open(path)
    assert decode(path.read_bytes())[0].values == [2]
    first.close()
    second.open(path)
    assert decode(path.read_bytes())[0].values == [4]
    second.close()


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LedgerView(tmp_path / "none.ledger")


def test_a_file_cut_anywhere_is_refused_by_readers_and_by_the_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.ledger"
    first, _ = of_one_counter()
    first.open(path)
    first.close()
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"not a|empty"):
            LedgerView(path)
        with pytest.raises(ValueError, match=r"not a"):
            decode(whole[:length])
        _, second = of_one_counter()
        with pytest.raises(ValueError, match=r"remove it|empty"):
            second.open(path)


@given(noise=st.binary(max_size=200))
def test_noise_is_refused_with_a_value_error(noise: bytes) -> None:
    with pytest.raises(ValueError, match="not a"):
        decode(noise)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)
SERIES = st.tuples(
    st.sampled_from(["counter", "gauge", "histogram", "ring"]) | JSON,
    st.just("x") | JSON,
    st.just([["camera", "left"]]) | JSON,
    st.just([]) | st.just([1.0, 2.0]) | JSON,
    st.integers(-1, 6) | JSON,
)
CELLS = st.lists(st.floats(), max_size=12).map(lambda values: np.array(values, np.float64))


@given(head=st.lists(SERIES, max_size=3) | JSON, cells=CELLS)
@example(head=[["ring", "x", [], [], 1]], cells=np.ones(1))
@example(head=[["ring", "x", [], [], 3]], cells=np.full(3, math.inf))
@example(head=[["ring", "x", [], [], 3]], cells=np.full(3, -1.0))
@example(head=[["histogram", "x", [], [1.0, 2.0], 1]], cells=np.ones(8))
@example(head=[["histogram", "x", [], [10**400], 3]], cells=np.ones(8))
@example(head=[["counter", "x", [], [], 1.5]], cells=np.ones(8))
def test_a_lying_header_is_read_as_it_stands_or_refused_with_a_value_error(
    head: object, cells: Floats
) -> None:
    try:
        samples = decode(file_of(head, cells))
    except ValueError:
        return
    for sample in samples:
        if sample.kind == "histogram":
            assert len(sample.values) == len(sample.bounds) + 2
        elif sample.kind != "ring":
            assert len(sample.values) == 1


def test_a_header_nested_without_end_is_refused_with_a_value_error() -> None:
    text = b"[" * 1_000_000
    with pytest.raises(ValueError, match="not a ledger"):
        decode(b"STRMLDG1" + struct.pack("<Q", len(text)) + text)


@given(at=st.integers(0, 200), bit=st.integers(0, 7))
def test_a_flipped_bit_raises_nothing_but_a_value_error(at: int, bit: int) -> None:
    head = [["histogram", "seconds", [["stage", "infer"]], [0.1, 1.0], 4], ["ring", "x", [], [], 4]]
    data = bytearray(file_of(head, np.ones(8)))
    data[at % len(data)] ^= 1 << bit
    with suppress(ValueError):  # a flipped bit may also go unnoticed
        assert len(decode(bytes(data))) <= 2


# --- tables, and what an heir may do ---------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 7), FINITE), max_size=30))
def test_a_table_holds_what_was_written_last_in_each_place(
    writes: list[tuple[int, float]],
) -> None:
    ledger = Ledger()
    ledger.counter("before_total")
    table = ledger.table("numbers", 8)
    model = [0.0] * 8
    for index, value in writes:
        table[index] = value
        model[index] = value
    assert [table[i] for i in range(len(table))] == model
    assert found(ledger.samples(), "numbers") == model


def test_a_table_outlives_its_writer_while_a_gauge_begins_anew(tmp_path: Path) -> None:
    for life in range(3):
        ledger = Ledger()
        table, gauge = ledger.table("numbers", 3, camera="left"), ledger.gauge("now")
        ledger.open(tmp_path / "l")
        assert [table[i] for i in range(3)] == [life, 0.0, 0.0]
        assert gauge.value == 0.0
        table[0] += 1.0
        gauge.set(5.0)
        ledger.close()


def test_a_view_reads_tables_by_their_labels(tmp_path: Path) -> None:
    ledger = Ledger()
    for camera in ("left", "right"):
        ledger.table("numbers", 2, camera=camera)[1] = len(camera)
    ledger.counter("seen_total")
    ledger.open(tmp_path / "l")
    ledger.close()
    view = LedgerView(tmp_path / "l")
    # What a table held before it was opened is the writer's own.
    assert view.table("numbers", camera="left").tolist() == [0.0, 0.0]
    assert set(view.tables("numbers")) == {(("camera", "left"),), (("camera", "right"),)}
    assert view.has_table("numbers", camera="left")
    assert not view.has_table("numbers", camera="middle")
    assert [sample.name for sample in view.samples()] == ["seen_total"]
    assert len(view.samples(rings=True)) == 3
    view.close()


def test_an_heir_sets_a_gauge_of_a_dead_writer_and_nothing_else(tmp_path: Path) -> None:
    ledger = Ledger()
    seen, held = ledger.counter("seen_total", camera="left"), ledger.gauge("held", camera="left")
    other = ledger.gauge("held", camera="right")
    ledger.open(tmp_path / "l")
    seen.add(3)
    held.set(4.0)
    other.set(5.0)
    heir, reader = LedgerView(tmp_path / "l", heir=True), LedgerView(tmp_path / "l")
    heir.inherit("held", 1.5, camera="left")
    assert (seen.value, held.value, other.value) == (3.0, 1.5, 5.0)
    with pytest.raises(KeyError):
        heir.inherit("seen_total", 0.0, camera="left")
    with pytest.raises(TypeError):
        reader.inherit("held", 2.5, camera="left")
    assert (seen.value, held.value, reader.value("held", camera="left")) == (3.0, 1.5, 1.5)
    for view in (heir, reader):
        view.close()
    ledger.close()


def test_what_threads_of_one_worker_count_under_one_name_is_added_up(tmp_path: Path) -> None:
    ledger = Ledger()
    cells = [ledger.gauge("depth", stage="source") for _ in range(3)]
    ledger.gauge("depth", stage="alert").set(100)
    ledger.open(tmp_path / "a.ledger")
    for cell, value in zip(cells, (1, 20, 300), strict=True):
        cell.set(value)
    view = LedgerView(tmp_path / "a.ledger")
    assert view.value("depth", stage="source") == 321
    assert view.values("depth") == {(("stage", "source"),): 321, (("stage", "alert"),): 100}
    view.close()
    ledger.close()


def test_tables_and_rings_can_not_be_added_up_and_are_declared_once() -> None:
    ledger = Ledger()
    ledger.table("held", 4, camera="left")
    ledger.table("held", 4, camera="right")
    ledger.ring("latest", 4)
    with pytest.raises(ValueError, match=r"table held \{'camera': 'left'\} is declared twice"):
        ledger.table("held", 4, camera="left")
    with pytest.raises(ValueError, match=r"ring latest .* is declared twice"):
        ledger.ring("latest", 4)
