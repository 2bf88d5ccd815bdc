"""A sample of the hostile input that is fed by the tool, and that the tool sees harm."""

import random
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from tests.support.certificates import needs_openssl
from tests.support.stored import shuffling_network, store_graph
from tools.fuzz import tally as module
from tools.fuzz.figures import fuzz_figures
from tools.fuzz.graphs import mutated_constants, mutated_graph
from tools.fuzz.links import fuzz_inlet, fuzz_outlet, fuzz_telemetry
from tools.fuzz.messages import fuzz_ledgers, fuzz_messages
from tools.fuzz.models import fuzz_models
from tools.fuzz.mutation import mutated
from tools.fuzz.pipelines import fuzz_pipelines
from tools.fuzz.requests import fuzz_requests
from tools.fuzz.strangers import fuzz_strangers
from tools.fuzz.tally import UNDERWAY, Tally

SEED = 20


@pytest.mark.parametrize(
    ("feed", "count"),
    [
        pytest.param(lambda n, _: fuzz_messages(n, SEED), 3000, id="messages"),
        pytest.param(lambda n, _: fuzz_ledgers(n, SEED), 1000, id="ledgers"),
        pytest.param(lambda n, _: fuzz_figures(n, SEED), 500, id="figures"),
        pytest.param(lambda n, folder: fuzz_inlet(n, SEED, folder), 500, id="inlet"),
        pytest.param(lambda n, folder: fuzz_outlet(n, SEED, folder), 500, id="outlet"),
        pytest.param(lambda n, folder: fuzz_telemetry(n, SEED, folder), 500, id="telemetry"),
        pytest.param(lambda n, _: fuzz_strangers(n), 100, id="strangers"),
        pytest.param(lambda n, folder: fuzz_models(n, SEED, folder), 300, id="models"),
        pytest.param(lambda n, folder: fuzz_pipelines(n, SEED, folder), 120, id="pipelines"),
        pytest.param(
            lambda n, folder: fuzz_requests(n, SEED, folder),
            200,
            id="requests",
            marks=needs_openssl,
        ),
    ],
)
def test_hostile_input_is_refused_in_our_own_words(
    feed: Callable[[int, Path], Tally], count: int, tmp_path: Path
) -> None:
    found = feed(count, tmp_path)
    assert found.failures == []
    assert found.failed == 0
    assert found.inputs >= count
    assert found.refused > count / 2


def test_what_a_case_raises_is_a_refusal_only_if_it_is_told_so() -> None:
    found = Tally("some")
    with found.measured():
        found.feed(lambda: int("x"), (ValueError,), "first")
        found.feed(lambda: int("x"), (KeyError,), "second")
        found.feed(lambda: int("1"), (KeyError,), "third")
    assert (found.taken, found.refused, found.failed) == (1, 1, 1)
    assert found.failures == ["second: ValueError: invalid literal for int() with base 10: 'x'"]


def test_a_case_that_never_ends_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HANG_S", 0.05)
    found = Tally("some")
    with found.measured():
        found.feed(lambda: Event().wait(60), (Exception,), "it")
    assert (found.failed, found.failures) == (1, ["it: no end after 0.05 s"])


def test_the_input_that_is_underway_is_named_for_whoever_is_left(tmp_path: Path) -> None:
    """A process that dies, as of a signal, says no more."""
    underway, found, named = tmp_path / "underway", Tally("some"), []
    token = UNDERWAY.set(underway)
    try:
        for what in ("a long one", "second"):
            found.feed(lambda: named.append(underway.read_text()), (), what)
    finally:
        UNDERWAY.reset(token)
    assert named == ["a long one", "second"]


def test_graphs_and_their_numbers_are_changed_in_many_ways(tmp_path: Path) -> None:
    graph = store_graph(tmp_path / "net", shuffling_network()).xml
    text, weights = graph.read_text(), graph.with_suffix(".bin").read_bytes()
    chance = random.Random(6)  # noqa: S311 - on purpose
    made = {mutated_graph(text, chance) for _ in range(300)}
    assert len(made) > 270
    numbers = {mutated_constants(text, weights, chance) for _ in range(300)}
    assert len(numbers) > 100
    assert {len(one) for one in numbers} == {len(weights)}


def test_mutations_differ_and_are_the_same_again_from_one_seed() -> None:
    data = bytes(range(64))
    first, again = (
        [mutated(data, chance) for _ in range(200)]
        for chance in (random.Random(5), random.Random(5))  # noqa: S311 - on purpose
    )
    assert first == again
    assert sum(one != data for one in first) > 190
