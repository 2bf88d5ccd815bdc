"""Fixtures that every suite may use."""

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
import zmq
from hypothesis import HealthCheck, settings

import streamline.infer.openvino_backend  # noqa: F401 - silences OpenVINO's reports to the web

# The same examples everywhere and every time: a failure seen once can be seen again.  Slowness
# says something about the machine, not about the code.
settings.register_profile(
    "ci",
    derandomize=True,
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("dev", parent=settings.get_profile("ci"), derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def find_shared() -> Path | None:
    """The folder with real data and trained weights, if it is there."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("STREAMLINE_SHARED", beside))
    return folder if (folder / "data").is_dir() else None


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with real data and trained weights; tests that need it skip where it is not."""
    folder = find_shared()
    if folder is None:
        pytest.skip("no real data (set STREAMLINE_SHARED to a folder that has data/ in it)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _state_of_the_tests_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let lines leave nothing in the user's folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A ZeroMQ context that fails the test if it left a socket open."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    end = Thread(target=context.term, daemon=True)
    end.start()
    end.join(timeout=30)
    assert not end.is_alive(), "the test left a ZeroMQ socket open"
