"""When a line is up, gets on and how it is, as a service manager hears it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from streamline.run.control import Phase
from streamline.run.supervision.health import Health
from streamline.run.supervision.herald import Herald
from streamline.run.supervision.manager import ServiceManager
from tests.support.manager import Listener
from tests.support.until import until

OK = {"state": "ok"}
DOWN = {"state": "down", "reason": "refused"}


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    with Listener(str(tmp_path / "notify")) as listener:
        yield listener


@pytest.fixture
def herald(listener: Listener) -> Iterator[Herald]:
    # A sign of life is due every time.
    with closing(ServiceManager(listener.address, watchdog_s=1e-9)) as manager:
        yield Herald(manager)


def health(
    *, judged: bool = True, stuck: tuple[str, ...] = (), **cameras: dict[str, Any]
) -> Health:
    body = {"cameras": cameras or {"left": OK}, "given_up": []}
    return Health(healthy=not stuck, ready=judged, judged=judged, stuck=stuck, body=body)


def lines(listener: Listener, count: int) -> list[str]:
    """The lines of the first messages."""
    until(lambda: len(listener.heard) >= count)
    return [line for one in listener.heard for line in one]


def test_a_line_is_up_with_its_first_verdict_and_is_so_once(
    herald: Herald, listener: Listener
) -> None:
    herald.begin(600)
    herald.look(health(judged=False), 0, Phase.STARTING)
    herald.look(health(judged=False), 0, Phase.RUNNING)
    assert "READY=1" not in lines(listener, 3)
    herald.look(health(), 24.6, Phase.RUNNING)
    herald.look(health(), 24.7, Phase.RUNNING)
    told = lines(listener, 6)
    assert told.count("READY=1") == 1
    assert told[told.index("READY=1") + 1] == "STATUS=1 of 1 cameras ok, 25 frames/s"


def test_without_a_verdict_it_is_up_after_the_time_that_is_set_and_says_why(
    herald: Herald, listener: Listener
) -> None:
    herald.begin(0)
    herald.look(health(judged=False, left=DOWN, right={"state": None}), 0, Phase.STARTING)
    told = lines(listener, 1)
    assert told[:2] == [
        "READY=1",
        "STATUS=0 of 2 cameras ok, 0 frames/s; left down (refused); right starting",
    ]


def test_a_line_that_is_stuck_gives_no_sign_of_life_and_says_which_camera(
    herald: Herald, listener: Listener
) -> None:
    herald.begin(0)
    herald.look(health(stuck=("left",)), 0, Phase.RUNNING)
    assert lines(listener, 1)[1].endswith("; left is not judged")
    herald.look(health(stuck=("left",)), 1, Phase.RUNNING)
    assert "WATCHDOG=1" not in lines(listener, 2)
    herald.look(health(), 1, Phase.RUNNING)
    assert lines(listener, 4)[-1] == "WATCHDOG=1"


def test_a_camera_that_is_down_and_retried_is_no_standstill(
    herald: Herald, listener: Listener
) -> None:
    herald.begin(0)
    herald.look(health(left=DOWN), 0, Phase.RUNNING)
    assert lines(listener, 2)[-1] == "WATCHDOG=1"


def test_a_line_that_drains_gives_signs_of_life_and_no_more_statuses(
    herald: Herald, listener: Listener
) -> None:
    herald.begin(600)
    herald.stop()
    herald.look(health(judged=False), 0, Phase.DRAINING)
    herald.look(health(), 5, Phase.FINISHING)
    assert lines(listener, 3) == ["STOPPING=1", "STATUS=draining", "WATCHDOG=1", "WATCHDOG=1"]


def test_a_status_is_told_when_it_changes(herald: Herald, listener: Listener) -> None:
    herald.begin(0)
    for state in (OK, OK, DOWN, DOWN):
        herald.look(health(left=state), 10, Phase.RUNNING)
    told = [line for line in lines(listener, 6) if line.startswith("STATUS")]
    assert len(told) == 2


def test_a_reload_is_over_with_a_verdict_under_the_new_configuration(
    herald: Herald, listener: Listener
) -> None:
    herald.begin(600)
    herald.look(health(), 10, Phase.RUNNING)
    herald.reload()
    herald.look(health(), 10, Phase.DRAINING)
    herald.begin(600)
    herald.look(health(judged=False), 0, Phase.RUNNING)
    herald.look(health(), 10, Phase.RUNNING)
    told = [line for line in lines(listener, 7) if line in {"READY=1", "RELOADING=1"}]
    assert told == ["READY=1", "RELOADING=1", "READY=1"]
    assert not herald.refused


def test_a_refused_reload_is_told_until_the_next_one(herald: Herald, listener: Listener) -> None:
    herald.begin(600)
    herald.look(health(), 10, Phase.RUNNING)
    herald.reload()
    herald.refuse("line.yaml:3: name: wrong")
    herald.look(health(), 10, Phase.RUNNING)
    until(lambda: "wrong" in listener.status())
    herald.reload()
    herald.look(health(), 10, Phase.RUNNING)
    until(lambda: "wrong" not in listener.status())
    assert sum(one[0] == "READY=1" for one in listener.heard) == 3


def test_signs_of_life_come_four_times_in_the_time_that_is_given(listener: Listener) -> None:
    with closing(ServiceManager(listener.address, watchdog_s=3600)) as manager:
        herald = Herald(manager)
        herald.begin(0)
        for _ in range(5):
            herald.look(health(), 10, Phase.RUNNING)
    assert lines(listener, 2).count("WATCHDOG=1") == 1
