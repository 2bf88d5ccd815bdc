"""Alert events for subscribers, who may be on their way and who may say anything."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from threading import Event, Thread

import pytest
import zmq

from streamline.errors import InputError
from streamline.transport import publisher as publisher_module
from streamline.transport.link import Context
from streamline.transport.publisher import Publisher
from tests.support.ports import free_port
from tests.support.until import until


@pytest.fixture
def address() -> str:
    """A free TCP address of this host."""
    return f"tcp://127.0.0.1:{free_port()}"


def subscribed(context: Context, address: str) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.SUB)
    socket.linger = 0
    socket.subscribe(b"alert")
    socket.connect(address)
    return socket


def test_a_subscriber_gets_each_event_as_topic_and_json(context: Context, address: str) -> None:
    publisher = Publisher(context, address)
    subscriber = subscribed(context, address)
    publisher.deliver("left-ff-7", b'{"n":1}')
    assert subscriber.recv_multipart() == [b"alert", b'{"n":1}']
    subscriber.close()
    publisher.close()


def test_events_are_published_over_ipv6_too(context: Context) -> None:
    address = f"tcp://[::1]:{free_port()}"
    publisher = Publisher(context, address)
    subscriber = context.socket(zmq.SUB)
    subscriber.ipv6 = True
    subscriber.subscribe(b"alert")
    subscriber.connect(address)
    publisher.deliver("left-ff-7", b"{}")
    assert subscriber.recv_multipart() == [b"alert", b"{}"]
    subscriber.close(linger=0)
    publisher.close()


class Listener(Thread):
    """Somebody who subscribes, and looks all the time for what comes, as programs do."""

    def __init__(self, context: Context, address: str) -> None:
        super().__init__()
        self._context, self._address = context, address
        self._over = Event()
        self.heard: list[bytes] = []
        self.start()

    def run(self) -> None:
        subscriber = subscribed(self._context, self._address)
        while not self._over.is_set():
            if subscriber.poll(10):
                self.heard.append(subscriber.recv_multipart()[1])
        subscriber.close()

    def close(self) -> None:
        self._over.set()
        self.join()


def publisher_anew(context: Context, address: str) -> Publisher:
    """One in place of another that was just closed: ZeroMQ frees an address a little later."""
    made: list[Publisher] = []

    def bind() -> None:
        with suppress(InputError):
            made.append(Publisher(context, address))

    until(lambda: bool(made), step=bind)
    return made[0]


def test_those_who_subscribed_get_what_waited_while_the_publisher_was_away(
    context: Context, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All three must be there by then: this machine may have other work too.
    monkeypatch.setattr(publisher_module, "_GATHER_NS", 3_000_000_000)
    publisher = Publisher(context, address)
    listeners = [Listener(context, address) for _ in range(3)]
    for start in range(2):
        for n in range(10):
            publisher.deliver("left-ff-7", b"%d" % (10 * start + n))
        publisher.close()
        publisher = publisher_anew(context, address)
    for listener in listeners:
        until(lambda heard=listener.heard: len(heard) == 20)  # type: ignore[misc]
        assert listener.heard == [b"%d" % n for n in range(20)]
        listener.close()
    publisher.close()


def test_where_the_only_subscriber_has_gone_it_is_waited_for(
    context: Context, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "_ALONE_NS", 100_000_000_000)
    with ThreadPoolExecutor(1) as thread:
        publisher = thread.submit(Publisher, context, address).result()
        first = Listener(context, address)
        thread.submit(publisher.deliver, "left-ff-7", b"0").result()
        first.close()
        for n in count():
            # At first the publisher may not know yet that he has gone.
            latest = thread.submit(publisher.deliver, "left-ff-7", b"%d" % n)
            until(lambda: latest.done() or not publisher._wanted)  # noqa: B023
            if not publisher._wanted:
                break
        second = Listener(context, address)
        until(lambda: second.heard == [b"%d" % n])
        second.close()
        thread.submit(publisher.close).result()


def test_publishing_to_nobody_waits_once_and_for_a_little(
    context: Context, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "_ALONE_NS", 200_000_000)
    publisher = Publisher(context, address)
    other = context.socket(zmq.SUB)
    other.subscribe(b"something else")
    other.connect(address)
    for _ in range(2000):
        publisher.deliver("left-ff-7", b"{}")
    other.close(linger=0)
    publisher.close()


def test_one_who_comes_and_goes_again_and_again_holds_up_no_event_for_good(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "_ALONE_NS", 200_000_000)
    publisher = Publisher(context, "inproc://alerts")
    stranger = context.socket(zmq.SUB)
    stranger.connect("inproc://alerts")
    hear, visits = publisher._hear, count()

    def hear_who_came_and_went() -> None:
        assert next(visits) < 20, "the event still waits"
        stranger.subscribe(b"alert")
        stranger.unsubscribe(b"alert")
        hear()

    monkeypatch.setattr(publisher, "_hear", hear_who_came_and_went)
    publisher.deliver("left-ff-7", b"{}")
    stranger.close(linger=0)
    publisher.close()


def test_one_who_says_more_than_subscribers_do_holds_up_no_event(
    context: Context, address: str
) -> None:
    publisher = Publisher(context, address)
    subscriber, stranger = subscribed(context, address), context.socket(zmq.XSUB)
    stranger.connect(address)
    over = Event()

    def talk() -> None:
        while not over.is_set():
            with suppress(zmq.Again):
                stranger.send(b"2 is no subscription", zmq.NOBLOCK)

    talker = Thread(target=talk)
    talker.start()
    for n in range(200):
        publisher.deliver("left-ff-7", b"%d" % n)
        assert subscriber.recv_multipart() == [b"alert", b"%d" % n]
    over.set()
    talker.join()
    stranger.close(linger=0)
    subscriber.close()
    publisher.close()


def test_a_subscription_that_is_too_long_is_not_taken_in(context: Context, address: str) -> None:
    """One of a megabyte would end the process: ZeroMQ forgets it letter by letter, recursively."""
    publisher = Publisher(context, address)
    subscriber = context.socket(zmq.SUB)
    monitor = subscriber.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    subscriber.subscribe(bytes(8192))
    subscriber.connect(address)
    assert monitor.poll(60_000), "it is cut off"
    monitor.close()
    subscriber.close(linger=0)
    publisher.close()


def test_a_publishers_address_in_use_is_refused_in_one_sentence(
    context: Context, address: str
) -> None:
    first = Publisher(context, address)
    with pytest.raises(InputError, match=rf"can't publish alerts on {address}: .*another address"):
        Publisher(context, address)
    first.close()
