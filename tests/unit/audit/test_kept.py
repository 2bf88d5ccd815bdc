"""What becomes of a camera's evidence, recorded while the disk is full and after."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streamline.audit import kept as module
from streamline.audit.chain import Seal
from streamline.audit.kept import EvidenceChain
from streamline.audit.reading import ChainReader, Findings
from streamline.audit.records import Gap, RemovedEvidence
from streamline.audit.runs import RunFolder
from streamline.evidence.store import Item
from streamline.messages import PinKind
from tests.support.disks import files_no_longer_than


def item(number: int) -> Item:
    return Item(number, PinKind.FAIL, f"left-1-{number}.fail", 100)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Where the chain is."""
    return RunFolder.new(tmp_path / "runs", config="c", key_file=None)


def recorded(run: RunFolder, chain: EvidenceChain) -> tuple[list[object], Findings]:
    chain.close()
    found = Findings()
    path = run.folder / "evidence-left.jsonl"
    reader = ChainReader(path, Seal(), run.folder.name, found)
    return [record for _, record in reader.records()], found


def test_what_goes_while_the_disk_is_full_is_recorded_once_it_is_not(
    run: RunFolder, tmp_path: Path
) -> None:
    lost: list[int] = []
    chain = EvidenceChain(run, "left", tmp_path / "kept", on_lost=lost.append)
    with capture_logs(), files_no_longer_than(64):
        for number in range(3):
            chain.removing(item(number), "disk")
    chain.removing(item(3), "quota")
    records, found = recorded(run, chain)
    gone = [one.item for one in records if isinstance(one, RemovedEvidence)]
    assert gone == [f"left/left-1-{number}.fail" for number in range(4)]
    assert (found.faults, found.notes, lost) == ([], [], [])


def test_of_very_many_the_oldest_are_lost_and_counted(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 5)
    lost: list[int] = []
    chain = EvidenceChain(run, "left", tmp_path / "kept", on_lost=lost.append)
    with capture_logs(), files_no_longer_than(64):
        for number in range(8):
            chain.removing(item(number), "disk")
    chain.removing(item(8), "quota")
    records, found = recorded(run, chain)
    assert sum(isinstance(one, RemovedEvidence) for one in records) == 5
    assert [one.lost for one in records if isinstance(one, Gap)] == [4]
    assert (found.faults, sum(lost)) == ([], 4)
