"""Whatever becomes of a link and of its two ends: every message is settled once, and none lost."""

from threading import Event

import zmq
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from streamline.transport.link import Context, Delivery, Outlet
from tests.support.links import Cable, Line, Settled, free_port, offer, token_of
from tests.support.until import until

_MOST_DEATHS = 3
"""Of each end, in one example: starting a successor takes time."""

_MOST_LOSSES = 3
"""The same, for connecting anew does, too."""


class Hop(RuleBasedStateMachine):
    """Any sequence of what the two ends of a link, the cable between them and fate can do.

    The truth is counted here: what was offered is answered, evicted, waiting, unanswered or has
    died with its sender.
    """

    def __init__(self) -> None:
        super().__init__()
        self.context: Context = zmq.Context()
        self.line = Line(self.context)
        self.cable = Cable(("127.0.0.1", free_port()))
        self.offered = 0
        self.settled: Settled = []
        self.died: set[int] = set()
        self.held: list[Delivery] = []
        self.taken: list[list[int]] = []
        """By receiver."""

        self.senders = 0
        self.losses = 0

    @initialize(depth=st.integers(1, 4), window=st.integers(1, 3), evict=st.booleans())
    def start(self, depth: int, window: int, evict: bool) -> None:  # noqa: FBT001 - drawn
        self.depth, self.window, self.evict = depth, window, evict
        self.new_sender()
        self.new_receiver()

    def new_sender(self) -> None:
        self.outlet: Outlet[int] = self.line.outlet(
            self.cable.address, depth=self.depth, evict=self.evict
        )
        self.senders += 1

    def new_receiver(self) -> None:
        self.inlet = self.line.restart(self.cable.target, window=self.window)
        self.held.clear()
        self.taken.append([])

    @rule(n=st.integers(1, 5))
    def offer(self, n: int) -> None:
        for _ in range(n):
            if self.evict or self.outlet.room:
                offer(self.outlet, self.offered)
                self.offered += 1

    @rule()
    def exchange(self) -> None:
        self.settled += self.outlet.exchange()

    @rule(limit=st.integers(1, 4))
    def take(self, limit: int) -> None:
        deliveries = self.inlet.take(limit)
        assert len(deliveries) <= limit
        self.held += deliveries
        self.taken[-1] += [token_of(d) for d in deliveries]

    @rule(which=st.integers(0, 11))
    def answer(self, which: int) -> None:
        # What has arrived by now is up to the sockets, so nothing may be drawn from it.
        if not self.held:
            return
        delivery = self.held.pop(which % len(self.held))
        self.inlet.answer(delivery, b"seen %d" % token_of(delivery))

    @rule()
    def tell(self) -> None:
        self.inlet.exchange()

    @rule()
    def carry(self) -> None:
        self.cable.carry()

    @rule()
    def work(self) -> None:
        """Let everybody work for a moment, as they do between any two events."""
        for _ in range(4):
            self.exchange()
            self.cable.carry()
            self.inlet.socket.poll(3)
            self.take(1)
            self.tell()
            self.cable.carry()
            self.outlet.socket.poll(3)

    @rule(forward=st.booleans(), back=st.booleans())
    def let_pass(self, forward: bool, back: bool) -> None:  # noqa: FBT001 - drawn
        self.cable.forward, self.cable.back = forward, back

    @rule()
    def cut(self) -> None:
        self.cable.cut()

    @rule()
    def cut_at_the_sender(self) -> None:
        self.cable.cut_at_the_sender()

    @precondition(lambda self: self.losses < _MOST_LOSSES)
    @rule(n=st.integers(1, 2), hidden=st.booleans(), late=st.booleans())
    def lose_what_is_on_its_way(self, n: int, hidden: bool, late: bool) -> None:  # noqa: FBT001
        """Messages and outcomes go down with the connection; on the next one data comes first."""
        self.losses += 1
        self.cable.forward = self.cable.back = True
        self.work()
        while self.held:
            self.answer(0)
        self.tell()
        self.offer(n)
        self.exchange()
        Event().wait(0.01)  # ZeroMQ writes in a thread of its own.
        if hidden:
            self.cable.cut_at_the_sender()
        else:
            self.cable.cut()
        self.offer(1)
        until(self.connects_anew, step=self.cable.carry)
        if late:
            self.cable.arrive_late()
        self.exchange()

    def connects_anew(self) -> bool:
        """Whether the sender could send; it says nothing meanwhile."""
        return self.cable.connected() and bool(self.outlet.socket.poll(0, zmq.POLLOUT))

    @rule()
    def arrive_late(self) -> None:
        self.cable.arrive_late()

    @precondition(lambda self: len(self.taken) <= _MOST_DEATHS)
    @rule()
    def restart_the_receiver(self) -> None:
        self.line.kill(self.inlet)
        self.new_receiver()

    @precondition(lambda self: self.senders <= _MOST_DEATHS)
    @rule()
    def restart_the_sender(self) -> None:
        # What it has not been told of dies with it: who started it accounts for that.
        self.died |= set(range(self.offered)) - {token for token, _ in self.settled}
        self.line.outlets.remove(self.outlet)
        self.outlet.socket.close(linger=0)
        self.new_sender()

    @invariant()
    def everything_offered_is_accounted_for(self) -> None:
        if self.taken:
            held = self.outlet.waiting + self.outlet.unanswered
            # What has been evicted is told by the next exchange.
            untold = len(self.outlet._settled)
            assert self.offered == len(self.settled) + len(self.died) + untold + held

    @invariant()
    def nothing_is_settled_twice(self) -> None:
        tokens = [token for token, _ in self.settled]
        assert len(set(tokens)) == len(tokens)
        assert not self.died.intersection(tokens)

    @invariant()
    def no_outcome_is_invented(self) -> None:
        assert all(o is None or o == b"seen %d" % token for token, o in self.settled)

    @invariant()
    def what_a_receiver_has_taken_is_never_evicted(self) -> None:
        taken = {token for tokens in self.taken for token in tokens}
        assert not taken & {token for token, outcome in self.settled if outcome is None}

    @invariant()
    def no_more_is_sent_than_the_receiver_has_room_for(self) -> None:
        if self.taken:
            taken = {token for tokens in self.taken for token in tokens}
            sent = {entry.token for entry in self.outlet._unanswered.values()}
            assert len(sent - taken) <= self.window

    @invariant()
    def each_receiver_takes_messages_in_order_and_once(self) -> None:
        assert all(tokens == sorted(set(tokens)) for tokens in self.taken)

    def teardown(self) -> None:
        """Whatever has happened, the link drains once it is whole again, and is as good as new."""
        try:
            if self.taken:
                self.drain()
                self.fill()
                self.outlive_a_receiver()
                self.fill()
                self.drain()
        finally:
            self.line.close()
            self.cable.close()
            self.context.term()

    def drain(self) -> None:
        self.cable.forward = self.cable.back = True

        def step() -> None:
            self.exchange()
            self.cable.carry()
            self.take(9)
            for delivery in self.held:
                self.inlet.answer(delivery, b"seen %d" % token_of(delivery))
            self.held.clear()
            self.tell()

        until(lambda: len(self.settled) + len(self.died) == self.offered, step=step)
        assert self.died | {token for token, _ in self.settled} == set(range(self.offered))
        assert self.outlet.waiting + self.outlet.unanswered == 0
        self.each_receiver_takes_messages_in_order_and_once()
        self.what_a_receiver_has_taken_is_never_evicted()
        if not self.evict:
            assert all(outcome is not None for _, outcome in self.settled)

    def fill(self) -> None:
        """While the receiver takes nothing, it is sent what it has room for, and no more."""

        def step() -> None:
            if not self.outlet.waiting:
                offer(self.outlet, self.offered)
                self.offered += 1
            self.exchange()
            self.cable.carry()
            self.tell()

        until(lambda: self.outlet.unanswered >= self.window, step=step)
        for _ in range(3):
            step()
        assert self.outlet.unanswered == self.window

    def outlive_a_receiver(self) -> None:
        """A receiver dies with more than its successor has room for; then the queue runs over."""

        def step() -> None:
            if not self.outlet.waiting:
                self.offer(1)
            self.exchange()
            self.cable.carry()
            self.take(1)
            self.tell()

        until(lambda: len(self.held) > self.window, step=step)
        known = self.outlet._start
        self.restart_the_receiver()

        def meet() -> None:
            self.exchange()
            self.cable.carry()
            self.tell()

        until(lambda: self.outlet._start != known, step=meet)
        self.offer(self.depth + 1)
        self.exchange()


TestHop = Hop.TestCase
TestHop.settings = settings(max_examples=12, stateful_step_count=25)
