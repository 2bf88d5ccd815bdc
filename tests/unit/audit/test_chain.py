"""A chain of records: what its hashes are, what is seen of a change, and what a crash leaves."""

import hashlib
import hmac
import json
from pathlib import Path

import pytest

from streamline.audit.chain import Chain, Seal, head_of
from streamline.audit.reading import ChainReader, Findings
from streamline.audit.records import Gap, HeadOf, Opened, Record, Resumed, SkippedEvidence
from streamline.errors import InputError
from streamline.messages import PinKind
from tests.support.disks import files_no_longer_than, require_disk, small_disk

KEY = b"sixteen or more bytes"
RUN = "20261123T000000.000000Z-abcdef"


def record(number: int) -> Record:
    return SkippedEvidence(item=f"left/{number}", kind=PinKind.FAIL, reason="disk")


def opened(path: Path, key: bytes | None = None) -> Chain:
    first = Opened(run=RUN, chain=path.stem, keyed=key is not None, at="then")
    return Chain(path, first, Seal(key))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A chain of four records, closed."""
    path = tmp_path / "some.jsonl"
    chain = opened(path)
    chain.append([record(1), record(2)])
    chain.append([record(3)])
    chain.close()
    return path


def read(path: Path, key: bytes | None = None) -> tuple[list[Record], Findings, HeadOf]:
    found = Findings()
    reader = ChainReader(path, Seal(key), RUN, found)
    records = [one for _, one in reader.records()]
    return records, found, HeadOf(**reader.head._asdict())


def test_each_hash_is_the_digest_of_what_stands_before_it_and_names_the_one_before(
    path: Path,
) -> None:
    before = "0" * 64
    for number, line in enumerate(path.read_bytes().splitlines()):
        body, _, rest = line.rpartition(b',"hash":')
        said = json.loads(line)
        assert (said["n"], said["prev"]) == (number, before)
        assert said["hash"] == json.loads(rest[:-1]) == hashlib.sha256(body).hexdigest()
        before = said["hash"]


def test_with_a_key_the_hash_is_its_hmac_and_no_other_key_fits(tmp_path: Path) -> None:
    path = tmp_path / "keyed.jsonl"
    opened(path, KEY).close()
    body, _, rest = path.read_bytes().rstrip().rpartition(b',"hash":')
    assert json.loads(rest[:-1]) == hmac.new(KEY, body, "sha256").hexdigest()
    assert read(path, KEY)[1].faults == []
    assert len(read(path, KEY + b"!")[1].faults) == 1
    assert len(read(path)[1].faults) == 1


def test_what_was_written_is_read_without_a_fault(path: Path) -> None:
    records, found, head = read(path)
    assert records[1:] == [record(1), record(2), record(3)]
    assert (found.faults, found.notes) == ([], [])
    assert head == HeadOf(**head_of(path, Seal())._asdict())


def test_a_flipped_bit_of_any_byte_is_found_and_only_its_own_record_is_blamed(path: Path) -> None:
    whole = path.read_bytes()
    _, _, head = read(path)
    for place in range(len(whole)):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << place % 7
        path.write_bytes(spoilt)
        found = Findings()
        reader = ChainReader(path, Seal(), RUN, found)
        list(reader.records())
        reader.compare(head, "the end")
        line = whole.count(b"\n", 0, place) + 1
        assert found.faults, place
        if whole[place : place + 1] != b"\n" and spoilt[place] != ord("\n"):
            assert [fault.split()[0] for fault in found.faults] == [f"some.jsonl:{line}:"], place


def test_a_removed_record_is_found_wherever_it_stood(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    _, _, head = read(path)
    for gone in range(len(lines)):
        path.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
        found = Findings()
        reader = ChainReader(path, Seal(), RUN, found)
        list(reader.records())
        reader.compare(head, "the end")
        assert len(found.faults) == 1
        assert f"record {gone} is missing" in found.faults[0]


def test_a_swapped_pair_is_found_and_named(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[2], lines[1], lines[3]]))
    assert read(path)[1].faults == [
        "some.jsonl:2: record 1 is missing before it",
        "some.jsonl:3: is record 1 in the wrong place: moved or repeated",
    ]


def test_a_record_that_was_made_anew_does_not_fit_the_one_after_it(path: Path) -> None:
    lines = path.read_bytes().splitlines()
    body = lines[1].rpartition(b',"hash":')[0].replace(b"disk", b"rate")
    lines[1] = body + b',"hash":"%s"}' % hashlib.sha256(body).hexdigest().encode()
    path.write_bytes(b"\n".join(lines) + b"\n")
    (fault,) = read(path)[1].faults
    assert fault == "some.jsonl:3: the record before it is not the one that it was written after"


def test_a_chain_of_another_run_is_no_part_of_this_one(path: Path) -> None:
    found = Findings()
    list(ChainReader(path, Seal(), "another", found).records())
    assert found.faults == [f"some.jsonl:1: belongs to some of run {RUN}"]


@pytest.mark.parametrize("length", [0, 70, 5000])
def test_what_a_killed_writer_left_half_written_is_cut_off_and_told(
    path: Path, length: int
) -> None:
    torn = (b'{"n":4,"prev":"' + b"x" * length)[:length]
    path.write_bytes(path.read_bytes() + torn)
    chain = opened(path)
    assert chain.resumed
    chain.append([record(4)])
    chain.close()
    records, found, _ = read(path)
    resumed = records[4]
    assert isinstance(resumed, Resumed)
    digest = hashlib.sha256(torn).hexdigest() if torn else None
    assert (resumed.cut_bytes, resumed.cut_sha256) == (len(torn), digest)
    assert records[5] == record(4)
    assert found.faults == []
    assert len(found.notes) == 1


def test_a_writer_that_died_in_its_first_record_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_bytes(b'{"n":0,"pre')
    opened(path).close()
    records, found, _ = read(path)
    assert [type(one) for one in records] == [Opened, Resumed]
    assert found.faults == []


def test_a_chain_under_another_key_is_left_as_it_is(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"is sound; give another path, or its key$"):
        opened(path, KEY)
    assert path.read_bytes() == before


def test_records_that_found_no_room_are_counted_by_the_next_that_does(path: Path) -> None:
    chain = opened(path)
    full = path.stat().st_size + 100
    whole = path.read_bytes()
    for batch in ([record(4), record(5)], [record(6)]):
        with files_no_longer_than(full), pytest.raises(OSError, match="too large"):
            chain.append(batch)
        assert path.read_bytes() == whole
    chain.append([record(7)])
    chain.close()
    records, found, _ = read(path)
    gap = records[5]
    assert isinstance(gap, Gap)
    assert (gap.lost, records[6:]) == (3, [record(7)])
    assert found.faults == []
    assert found.notes[-1].endswith("3 records could not be written before it")


def test_a_chain_that_can_not_be_opened_just_now_is_gone_on_with_once_it_can(
    tmp_path: Path,
) -> None:
    require_disk(tmp_path / "probe")
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        path = disk.folder / "some.jsonl"
        opened(path).close()
        with disk.read_only():
            chain = opened(path)
            assert chain.resumed
            for batch in ([record(1), record(2)], [record(3)]):
                with pytest.raises(OSError, match="Read-only file system"):
                    chain.append(batch)
        chain.append([record(4)])
        chain.close()
        records, found, _ = read(path)
    gap = records[2]
    assert isinstance(records[1], Resumed)
    assert isinstance(gap, Gap)
    assert (gap.lost, records[3:]) == (3, [record(4)])
    assert found.faults == []


@pytest.mark.parametrize("text", [b"", b"short key\n", None])
def test_a_key_that_can_not_be_one_is_refused_with_the_cure(
    tmp_path: Path, text: bytes | None
) -> None:
    path = tmp_path / "key"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(InputError, match=r"openssl rand|give the file"):
        Seal.from_file(path)


def test_white_space_around_a_key_is_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(KEY + b"\n")
    assert Seal.from_file(path)(b"body") == Seal(KEY)(b"body")
