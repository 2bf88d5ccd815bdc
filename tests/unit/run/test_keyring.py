"""Who a host is, and what it needs at either end of a link."""

from pathlib import Path

import pytest

from streamline.config.links import HostKey, LinkKeys, Links
from streamline.errors import InputError
from streamline.ledger import Ledger
from streamline.run.keyring import Keyring
from streamline.transport.curve import KeyPair, Lock
from streamline.transport.sockets import Context

HERE, THERE = "10.0.0.20", "10.0.0.30"


@pytest.fixture
def own(tmp_path: Path) -> KeyPair:
    pair = KeyPair.new()
    pair.write(tmp_path / "own.key")
    return pair


def links(folder: Path, here: KeyPair, there: KeyPair) -> Links:
    hosts = {
        "here": HostKey(key=here.public, address=HERE),
        "there": HostKey(key=there.public, address=THERE),
    }
    return Links(
        prepared=f"tcp://{HERE}:5701",
        scores=f"tcp://{THERE}:5702",
        keys=LinkKeys(own_file=folder / "own.key", hosts=hosts),
    )


def test_a_lock_opens_to_the_host_at_the_links_address(tmp_path: Path, own: KeyPair) -> None:
    there = KeyPair.new()
    keyring = Keyring(links(tmp_path, own, there))
    assert keyring.lock("scores") == Lock(own, there.public)
    assert keyring.lock("prepared") == Lock(own, own.public)
    assert keyring.lock("frames") is None


def test_doors_are_where_links_over_tcp_end_and_count_who_is_refused(
    tmp_path: Path, own: KeyPair, context: Context
) -> None:
    keyring = Keyring(links(tmp_path, own, KeyPair.new()))
    refusals = keyring.refusals(Ledger(), ("frames", "prepared"))
    assert set(refusals) == {("prepared", "key"), ("prepared", "handshake")}
    keyring.guard(context, refusals)
    assert keyring.door("prepared") is not None
    assert keyring.door("frames") is None
    keyring.close()


def test_a_door_that_nobody_guards_is_not_opened(tmp_path: Path, own: KeyPair) -> None:
    keyring = Keyring(links(tmp_path, own, KeyPair.new()))
    assert keyring.door("frames") is None
    with pytest.raises(RuntimeError, match="nobody guards the door of link prepared"):
        keyring.door("prepared")


def test_without_keys_there_are_neither_locks_nor_doors(context: Context) -> None:
    keyring = Keyring(Links(prepared="tcp://10.0.0.20:5701", plain=True))
    assert keyring.refusals(Ledger(), ("prepared",)) == {}
    keyring.guard(context, {})
    assert keyring.lock("prepared") is None
    assert keyring.door("prepared") is None
    keyring.close()


def test_a_host_that_is_not_on_its_own_list_is_told(tmp_path: Path, own: KeyPair) -> None:
    sentence = rf"^links\.keys: no host has the key of this one, {own.public} \(from .*own\.key\)"
    with pytest.raises(InputError, match=sentence):
        Keyring(links(tmp_path, KeyPair.new(), KeyPair.new()))


def test_a_link_that_ends_at_another_host_is_not_opened_here(
    tmp_path: Path, own: KeyPair, context: Context
) -> None:
    keyring = Keyring(links(tmp_path, own, KeyPair.new()))
    keyring.guard(context, keyring.refusals(Ledger(), ("scores",)))
    with pytest.raises(InputError, match=r"^links\.scores ends on this host, but links\.keys has "):
        keyring.door("scores")
    keyring.close()
