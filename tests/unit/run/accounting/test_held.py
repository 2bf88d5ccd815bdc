"""What a source holds is read from its ledger after its death, whatever has passed meanwhile."""

from pathlib import Path

from streamline.ledger import Ledger, LedgerView
from streamline.run.accounting.held import HeldFrames, held_at_death


def test_a_frame_that_waits_long_is_still_found(tmp_path: Path) -> None:
    ledger = Ledger()
    held = HeldFrames(ledger, "left")
    ledger.open(tmp_path / "ledger")
    held.clear()
    held.add(7)
    for seq in range(8, 20_000):
        held.add(seq)
        held.remove(seq)
    held.add(20_000)
    view = LedgerView(tmp_path / "ledger")
    assert held_at_death(view, "left", 20_001) == {7, 20_000}
    assert held.left_over(20_001) == {7, 20_000}
    # Written down, and dead before it was counted: never captured.
    assert held_at_death(view, "left", 20_000) == {7}
    view.close()
    held.clear()
    assert held.left_over(20_001) == set()
    ledger.close()


def test_more_than_there_are_cells_for_hurts_none_of_those_written(tmp_path: Path) -> None:
    ledger = Ledger()
    held = HeldFrames(ledger, "left")
    ledger.open(tmp_path / "ledger")
    held.clear()
    for seq in range(5000):
        held.add(seq)
    for seq in range(1, 5000):
        held.remove(seq)
    held.add(5000)
    assert held.left_over(5001) == {0, 5000}
    ledger.close()
