"""What may happen to a line and to all that it depends on, one thing at a time."""

import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

from tests.support.disks import SmallDisk
from tests.support.line import eventually
from tools.faults.rig import Rig

__all__ = ["INJURIES", "Injury", "Outcome", "possible", "suffer"]

Hurt = Callable[[Rig, random.Random], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Injury:
    """Something that happens, lasts and is over."""

    hurt: Hurt
    """Holds for as long as its context is open."""

    needs: str = ""
    """What a rig must have for it: ``served``, ``broker``, ``disk``, ``breaking`` or ``clock``."""

    lasts: bool = True
    """False for a blow, which is over at once."""

    kills: bool = False
    """Whether processes of the line die of it: of everything else none may."""

    limit_s: float = 10.0
    """How long all may take to be as before, from its end on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One injury, and what followed."""

    name: str
    lasted_s: float
    recovered_s: float
    """From its end until every camera was judged again and no alert waited any more."""

    limit_s: float
    raised: int
    """Alerts that began meanwhile, recovery included."""

    killed: int
    """Workers that had to be started again and should have lived."""

    @property
    def wrong(self) -> Iterator[str]:
        """What should not be so, each in a sentence."""
        if self.recovered_s > self.limit_s:
            yield f"{self.name}: recovered after {self.recovered_s:.1f} s, not {self.limit_s:g} s"
        if self.killed:
            yield f"{self.name}: {self.killed} workers had to be started again"

    @property
    def met(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.wrong)


def possible(rig: Rig) -> list[str]:
    """Names of the injuries that the rig can have."""
    there = {
        "": True,
        "served": bool(rig.served),
        "broker": rig.broker is not None,
        "disk": rig.disk is not None,
        "breaking": rig.breaking is not None,
        "clock": rig.clock is not None,
    }
    return [name for name, injury in INJURIES.items() if there[injury.needs]]


def suffer(
    rig: Rig,
    name: str,
    *,
    lasting_s: float,
    alerts: int = 0,
    patience: float = 1.0,
    chance: random.Random | None = None,
) -> Outcome:
    """Let something happen to a rig, and wait until all is as before.

    Parameters
    ----------
    rig : Rig
    name : str
        One of `INJURIES`.
    lasting_s : float
        How long it lasts.
    alerts : int
        How many alerts must have begun before it is over.
    patience : float
        How many times as long recovery may take, where other work keeps the processors busy.
    chance : random.Random, optional
        Picks whom it hits.
    """
    injury, before, restarts = INJURIES[name], rig.raised, rig.restarts
    began_s = time.monotonic()
    with injury.hurt(rig, chance or random.Random(0)):  # noqa: S311 - nobody is to guess it
        if injury.lasts:
            time.sleep(lasting_s)
            eventually(lambda: rig.raised >= before + alerts, f"{name}: alerts begin meanwhile")
    ended_s = time.monotonic()
    rig.await_verdicts(2)
    eventually(lambda: rig.are_up() and rig.is_told(), f"{name}: all is as before")
    return Outcome(
        name=name,
        lasted_s=ended_s - began_s,
        recovered_s=time.monotonic() - ended_s,
        limit_s=injury.limit_s * patience,
        raised=rig.raised - before,
        killed=0 if injury.kills else rig.restarts - restarts,
    )


@contextmanager
def _server_killed(rig: Rig, chance: random.Random) -> Iterator[None]:
    server = chance.choice(rig.served).server
    server.stop()
    yield
    server.start()


@contextmanager
def _server_frozen(rig: Rig, chance: random.Random) -> Iterator[None]:
    server = chance.choice(rig.served).server
    server.freeze()
    yield
    server.thaw()


@contextmanager
def _other_size(rig: Rig, chance: random.Random) -> Iterator[None]:
    served = chance.choice(rig.served)
    served.show(rig.other_film)
    yield
    served.show(rig.film)


@contextmanager
def _packets_damaged(rig: Rig, chance: random.Random) -> Iterator[None]:
    proxy = chance.choice(rig.served).proxy
    proxy.lost = proxy.damaged = 0.02
    yield
    proxy.lost = proxy.damaged = 0.0


@contextmanager
def _broker_down(rig: Rig, _chance: random.Random) -> Iterator[None]:
    if rig.broker is not None:
        rig.broker.down()
        yield
        rig.broker.up()


@contextmanager
def _hook_hangs(rig: Rig, _chance: random.Random) -> Iterator[None]:
    rig.hook.answers.clear()
    yield
    rig.hook.answers.set()


@contextmanager
def _hook_fails(rig: Rig, _chance: random.Random) -> Iterator[None]:
    rig.hook.status = 500
    yield
    rig.hook.status = 204


@contextmanager
def _disk_full(rig: Rig, _chance: random.Random) -> Iterator[None]:
    if rig.disk is None:
        return
    lost = rig.lines_lost()
    rig.disk.fill()
    yield
    _while_full(rig.disk, lambda: rig.lines_lost() > lost, "a full disk costs lines of a log")
    rig.disk.free()


@contextmanager
def _disk_full_and_killed(rig: Rig, _chance: random.Random) -> Iterator[None]:
    """Kill the alert stage while alerts wait in its memory, and let it start on the full disk."""
    if rig.disk is None:
        return
    rig.hook.status = 500  # Else they need not wait.
    rig.disk.fill()
    _while_full(rig.disk, lambda: not rig.is_durable(), "alerts wait in memory")
    raised = rig.raised
    _while_full(rig.disk, lambda: rig.raised > raised + 1, "so do alerts of which no disk knows")
    restarts = rig.restarts
    rig.processes()["alert"].kill()
    _while_full(rig.disk, lambda: rig.restarts > restarts and rig.are_up(), "alert is restarted")
    yield
    rig.disk.free()
    rig.hook.status = 204


@contextmanager
def _disk_full_and_supervisor_killed(rig: Rig, _chance: random.Random) -> Iterator[None]:
    """Kill the line on a full disk, and start it again there."""
    if rig.disk is None:
        return
    lost = rig.lines_lost()
    rig.disk.fill()
    _while_full(rig.disk, lambda: rig.lines_lost() > lost, "a full disk costs lines of a log")
    rig.kill_line()
    rig.disk.fill()
    rig.start()
    rig.disk.fill()
    yield
    rig.disk.free()


@contextmanager
def _disk_hangs(rig: Rig, _chance: random.Random) -> Iterator[None]:
    if rig.breaking is not None:
        with rig.breaking.frozen():
            yield


def _while_full(disk: SmallDisk, holds: Callable[[], bool], what: str) -> None:
    """Wait for something on a disk that is kept full, whatever has to go of the evidence."""

    def look() -> bool:
        disk.fill()
        return holds()

    # The outbox' log has room of its own: it may take a while until it needs more.
    eventually(look, what, limit_s=600)


@contextmanager
def _no_descriptors(rig: Rig, _chance: random.Random) -> Iterator[None]:
    with rig.short_of_descriptors():
        yield


@contextmanager
def _no_descriptors_and_killed(rig: Rig, chance: random.Random) -> Iterator[None]:
    """Kill a camera's worker when nobody can open anything: it must be accounted for all the same.

    It can only be started again afterwards.
    """
    name = chance.choice(rig.layout.cameras)
    restarts = rig.restarts
    with rig.short_of_descriptors():
        rig.await_frame_under_way(camera=name)
        rig.processes()[f"camera-{name}"].kill()
        eventually(lambda: rig.restarts > restarts, f"the death of {name}'s worker is counted")
        yield


def _worker_hit(signum: signal.Signals, kind: str) -> Hurt:
    """Send a worker of a kind a signal; over when the supervisor has started it again."""

    @contextmanager
    def hurt(rig: Rig, chance: random.Random) -> Iterator[None]:
        name = chance.choice([one for one in rig.workers if one.startswith(kind)])
        restarts = rig.restarts
        rig.processes()[name].send_signal(signum)
        yield
        eventually(lambda: rig.restarts > restarts, f"{name} is restarted")

    return hurt


@contextmanager
def _supervisor_killed(rig: Rig, _chance: random.Random) -> Iterator[None]:
    rig.kill_line()
    yield
    rig.start()


def _clock_set(by_s: int) -> Hurt:
    """Set the wall clock, start a camera's worker anew by it, and set it right after a while."""

    @contextmanager
    def hurt(rig: Rig, chance: random.Random) -> Iterator[None]:
        if rig.clock is None:
            return
        rig.clock.set(by_s)
        with _worker_hit(signal.SIGKILL, "camera")(rig, chance):
            yield
        rig.clock.set(0)

    return hurt


def _blow(hurt: Hurt, limit_s: float = 10.0) -> Injury:
    return Injury(hurt=hurt, lasts=False, kills=True, limit_s=limit_s)


_RETRIED_S: Final = 45.0
"""A sink that was away is tried again within half a minute, and connects within some seconds."""

INJURIES: Final[Mapping[str, Injury]] = {
    "camera's server killed": Injury(hurt=_server_killed, needs="served", limit_s=45.0),
    "camera's server frozen": Injury(hurt=_server_frozen, needs="served", limit_s=45.0),
    "camera of another size": Injury(hurt=_other_size, needs="served", limit_s=45.0),
    "packets lost and damaged": Injury(hurt=_packets_damaged, needs="served", limit_s=45.0),
    "broker down": Injury(hurt=_broker_down, needs="broker", limit_s=_RETRIED_S),
    "webhook hangs": Injury(hurt=_hook_hangs, limit_s=_RETRIED_S),
    "webhook answers 500": Injury(hurt=_hook_fails, limit_s=_RETRIED_S),
    "disk full": Injury(hurt=_disk_full, needs="disk", limit_s=_RETRIED_S),
    "disk full, and alert killed": Injury(
        hurt=_disk_full_and_killed, needs="disk", kills=True, limit_s=_RETRIED_S
    ),
    "disk full, and supervisor killed": Injury(
        hurt=_disk_full_and_supervisor_killed, needs="disk", kills=True, limit_s=_RETRIED_S
    ),
    "disk hangs": Injury(hurt=_disk_hangs, needs="breaking", limit_s=_RETRIED_S),
    "no descriptors left": Injury(hurt=_no_descriptors, limit_s=_RETRIED_S),
    "no descriptors left, and a camera's worker killed": Injury(
        hurt=_no_descriptors_and_killed, kills=True, limit_s=_RETRIED_S
    ),
    "infer killed": _blow(_worker_hit(signal.SIGKILL, "infer")),
    "infer stopped": _blow(_worker_hit(signal.SIGSTOP, "infer")),
    "alert killed": _blow(_worker_hit(signal.SIGKILL, "alert")),
    "alert stopped": _blow(_worker_hit(signal.SIGSTOP, "alert")),
    "camera's worker killed": _blow(_worker_hit(signal.SIGKILL, "camera")),
    "camera's worker stopped": _blow(_worker_hit(signal.SIGSTOP, "camera")),
    "supervisor killed": _blow(_supervisor_killed, limit_s=20.0),
    "clock set back an hour": Injury(hurt=_clock_set(-3600), needs="clock", kills=True),
    "clock set a day ahead": Injury(hurt=_clock_set(86_400), needs="clock", kills=True),
}
"""By what is said of them."""
