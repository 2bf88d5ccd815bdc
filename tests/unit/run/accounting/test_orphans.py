"""Frames to ask for survive whoever asks."""

from pathlib import Path

from streamline.ledger import Ledger
from streamline.messages import FrameId
from streamline.run.accounting.orphans import Orphans


def opened(path: Path) -> tuple[Orphans, Ledger]:
    """The orphans as a source finds them that has just been started."""
    ledger = Ledger()
    orphans = Orphans(ledger, "left")
    ledger.open(path)
    orphans.recover()
    return orphans, ledger


def frames(*seqs: int, incarnation: int = 7) -> list[FrameId]:
    """Frames of one incarnation."""
    return [FrameId("left", incarnation, seq) for seq in seqs]


def test_what_has_no_answer_yet_is_there_for_the_next_that_asks(tmp_path: Path) -> None:
    first, ledger = opened(tmp_path / "left.ledger")
    assert first.add(frames(0, 1, 2)) == []
    first.remove(FrameId("left", 7, 1))
    ledger.close()
    second, ledger = opened(tmp_path / "left.ledger")
    assert second.all() == frames(0, 2)
    assert second.add([*frames(0, 2), *frames(0, incarnation=9)]) == []
    assert second.all() == [*frames(0, 2), *frames(0, incarnation=9)]
    for frame in second.all():
        second.remove(frame)
    ledger.close()
    third, ledger = opened(tmp_path / "left.ledger")
    assert third.all() == []
    ledger.close()


def test_what_finds_no_room_is_given_back(tmp_path: Path) -> None:
    orphans, ledger = opened(tmp_path / "left.ledger")
    assert orphans.add(frames(*range(5000))) == frames(*range(4096, 5000))
    orphans.remove(FrameId("left", 7, 3))
    assert orphans.add(frames(4999)) == []
    ledger.close()
