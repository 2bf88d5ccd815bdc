"""What has to go when room is short, and what a crash leaves."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamline.clock import wall_ns
from streamline.evidence.store import Limits, NoRoomError, Store
from streamline.messages import PinKind

BLOCK = 4096
ITEM = 3 * BLOCK
"""What an item of two small files and their folder takes."""

FILES = {"frame.png": b"x" * 100, "alert.json": b"{}"}
RANK = {kind: rank for rank, kind in enumerate(("pass", "unknown", "fail", "begin"))}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Store]:
    """Open a store, as a process that starts does."""

    def made(
        items: int,
        *,
        min_free_bytes: int = 0,
        max_age_ns: int | None = None,
        removed: list[PinKind] | None = None,
    ) -> Store:
        told: list[PinKind] = [] if removed is None else removed
        store = Store(
            tmp_path / "left",
            Limits(items * ITEM, min_free_bytes, max_age_ns),
            on_removing=lambda item, _: told.append(item.kind),
        )
        store.open()
        return store

    return made


def names(store: Store) -> set[str]:
    return {path.name for path in store.folder.iterdir()}


def test_passes_go_first_then_unknowns_then_fails_and_begins_last(
    make: Callable[..., Store],
) -> None:
    removed: list[PinKind] = []
    store = make(4, removed=removed)
    for number, kind in enumerate((PinKind.BEGIN, PinKind.FAIL, PinKind.PASS, PinKind.UNKNOWN)):
        store.put(f"a{number}", kind, FILES)
    for number in range(5):
        store.put(f"b{number}", PinKind.BEGIN, FILES)
    assert removed == ["pass", "unknown", "fail", "begin", "begin"]
    assert names(store) == {"b1", "b2", "b3", "b4"}
    assert store.used_bytes == 4 * ITEM


def test_what_is_too_old_goes_whatever_it_is_passes_first(make: Callable[..., Store]) -> None:
    store = make(9)
    kinds = (PinKind.BEGIN, PinKind.PASS, PinKind.FAIL)
    for kind in kinds:
        for age_s in (7200, 10):
            store.put(f"{kind}{age_s}", kind, FILES)
            written_ns = wall_ns() - age_s * 10**9
            os.utime(store.folder / kind.item(f"{kind}{age_s}"), ns=(written_ns, written_ns))
    removed: list[PinKind] = []
    store = make(9, max_age_ns=3600 * 10**9, removed=removed)
    assert removed == ["pass", "fail", "begin"]
    assert names(store) == {kind.item(f"{kind}10") for kind in kinds}
    assert store.used_bytes == 3 * ITEM


def test_a_clock_that_is_set_ahead_makes_nothing_old(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(9, max_age_ns=3600 * 10**9)
    store.put("a", PinKind.BEGIN, FILES)
    days_ahead_ns = wall_ns() + 10 * 86_400 * 10**9
    monkeypatch.setattr("streamline.evidence.store.wall_ns", lambda: days_ahead_ns)
    store.expire()
    assert names(store) == {"a"}


def test_nothing_goes_for_something_worth_less(make: Callable[..., Store]) -> None:
    removed: list[PinKind] = []
    store = make(2, removed=removed)
    store.put("a", PinKind.FAIL, FILES)
    store.put("b", PinKind.BEGIN, FILES)
    with pytest.raises(NoRoomError, match="share is used up") as caught:
        store.put("c", PinKind.UNKNOWN, FILES)
    assert caught.value.reason == "quota"
    assert (removed, names(store)) == ([], {"a.fail", "b"})


def test_something_larger_than_the_share_removes_nothing(make: Callable[..., Store]) -> None:
    store = make(2)
    store.put("a", PinKind.PASS, FILES)
    with pytest.raises(NoRoomError):
        store.put("b", PinKind.BEGIN, {"alert.json": b"{}", "frame.png": b"x" * 3 * ITEM})
    assert names(store) == {"a.pass"}


@settings(max_examples=30)
@given(
    moves=st.lists(st.tuples(st.sampled_from(PinKind), st.booleans()), max_size=30),
    share=st.integers(1, 5),
)
def test_whatever_comes_the_best_and_newest_stay_across_restarts(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[PinKind, bool]], share: int
) -> None:
    """A model in four lines: sorted by worth and age, the best so many stay."""
    folder = tmp_path_factory.mktemp("store")

    def opened() -> Store:
        store = Store(folder, Limits(share * ITEM), on_removing=lambda *_: None)
        store.open()
        return store

    store = opened()
    model: list[tuple[PinKind, int]] = []
    for number, (kind, restarts) in enumerate(moves):
        if restarts:
            store = opened()
        try:
            store.put(f"n{number}", kind, FILES)
        except NoRoomError:
            assert all(RANK[one] > RANK[kind] for one, _ in model)
            continue
        # So that ages are told apart on any file system.
        name = f"n{number}" if kind is PinKind.BEGIN else f"n{number}.{kind}"
        os.utime(folder / name, ns=(number, number))
        model.append((kind, number))
        model.sort(key=lambda item: (RANK[item[0]], item[1]))
        model = model[-share:]
    kept = {f"n{n}" if kind is PinKind.BEGIN else f"n{n}.{kind}" for kind, n in model}
    assert {path.name for path in folder.iterdir()} == kept
    assert store.used_bytes == len(kept) * ITEM


def test_what_a_dead_process_left_half_done_is_cleared(make: Callable[..., Store]) -> None:
    store = make(5)
    store.put("whole", PinKind.FAIL, FILES)
    for name in (".a.partial", ".b.fail.partial", ".c.removed"):
        (store.folder / name).mkdir()
        (store.folder / name / "alert.json").write_bytes(b"half")
    again = make(5)
    assert names(again) == {"whole.fail"}
    assert again.used_bytes == ITEM


def test_what_is_not_ours_is_neither_counted_nor_removed(make: Callable[..., Store]) -> None:
    store = make(1)
    store.folder.mkdir()
    (store.folder / "notes.txt").write_text("keep")
    (store.folder / "mine").mkdir()
    (store.folder / "mine" / "holiday.png").write_bytes(b"x" * 100_000)
    store = make(1)
    for number in range(3):
        store.put(f"a{number}", PinKind.BEGIN, FILES)
    assert names(store) == {"notes.txt", "mine", "a2"}


def test_an_item_removed_by_hand_is_no_trouble(make: Callable[..., Store]) -> None:
    store = make(1)
    store.put("a", PinKind.BEGIN, FILES)
    for path in (store.folder / "a").iterdir():
        path.unlink()
    (store.folder / "a").rmdir()
    store.put("b", PinKind.BEGIN, FILES)
    assert names(store) == {"b"}


def test_while_the_disk_is_short_new_items_take_the_place_of_old_ones(
    make: Callable[..., Store],
) -> None:
    store = make(100)
    store.put("a", PinKind.FAIL, FILES)
    store.put("b", PinKind.BEGIN, FILES)
    short = make(100, min_free_bytes=2**62)
    with pytest.raises(NoRoomError, match="almost full") as caught:
        short.put("c", PinKind.PASS, FILES)
    assert caught.value.reason == "disk"
    short.put("d", PinKind.FAIL, FILES)
    assert names(short) == {"b", "d.fail"}
