"""A line from its start to its report, through every configuration that it is given meanwhile."""

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import Final

import structlog

from streamline.clock import monotonic_ns
from streamline.config import Pipeline
from streamline.errors import ConfigError, StreamlineError
from streamline.run.models import read_calibrations, read_manifests
from streamline.run.supervision.credentials import require_credentials
from streamline.run.supervision.disks import require_disks
from streamline.run.supervision.herald import Herald
from streamline.run.supervision.manager import ServiceManager
from streamline.run.supervision.report import Report, joined
from streamline.run.supervision.service import Service, carried_over, signals
from streamline.run.supervision.supervisor import Supervisor

__all__ = ["Renewal", "run_line"]

_log = structlog.get_logger("streamline.run")

_SECOND_NS: Final = 1_000_000_000

OnReady = Callable[[str | None, Mapping[str, str]], None]


def run_line(
    pipeline: Pipeline,
    *,
    only: str | None = None,
    duration_s: float | None = None,
    on_ready: OnReady | None = None,
    reread: Callable[[], Pipeline] | None = None,
) -> Report:
    """Run a line until its sources end, the time is over, or SIGTERM or SIGINT comes.

    On SIGHUP it drains and goes on with what *reread* returns, under the same counters.  Where that
    raises, or what it returns can't be started, the line goes on as before, says so and why.

    Parameters
    ----------
    pipeline : Pipeline
    only : str, optional
        Run only the workers that contain this stage; the others run elsewhere.
    duration_s : float, optional
        Drain this long after the line first became ready, s.
    on_ready : callable, optional
        Called whenever the line is ready, at first and after each reload, with the HTTP endpoint's
        URL, None if there is none, and the reason of each camera that is down.
    reread : callable, optional
        Reads the pipeline file again; raises if it can't be used.  None: SIGHUP is not heeded.

    Returns
    -------
    Report
        Also if not all went well: see its `faults`.

    Raises
    ------
    InputError
        If something that the pipeline file names can't be used.
    """
    with closing(ServiceManager.from_environment(os.environ)) as manager:
        service = Service(herald=Herald(manager))
        line = _Line(service, only, duration_s, on_ready)
        with signals(service, reloads=reread is not None):
            return line.run(pipeline, reread)


class _Line:
    """One configuration after another."""

    def __init__(
        self, service: Service, only: str | None, duration_s: float | None, on_ready: OnReady | None
    ) -> None:
        self._service = service
        self._only = only
        self._duration_s = duration_s
        self._on_ready = on_ready
        self._ready_ns: int | None = None
        """When it was ready for the first time."""

    def run(self, pipeline: Pipeline, reread: Callable[[], Pipeline] | None) -> Report:
        """Run until there is nothing more to go on with."""
        reports: list[Report] = []
        renewal = partial(Renewal, self._service.herald, only=self._only)
        before: Pipeline | None = None
        goes_back = False
        while True:
            renew = None if reread is None else renewal(pipeline, reread)
            supervisor = Supervisor(pipeline, self._only, self._service, ran=goes_back)
            try:
                with supervisor.opened():
                    reports.append(supervisor.run(self._left_s, self._tell_ready, renew))
            except Exception as exc:
                if before is None or supervisor.was_ready:
                    raise
                _refuse(self._service.herald, exc)
                pipeline, before, goes_back = before, None, True
                continue
            if supervisor.successor is None or self._service.stop.made:
                return joined(reports)
            pipeline, before, goes_back = supervisor.successor, pipeline, False
            # A part's counters are gone on with by its ledgers, if at all.
            if self._only is None:
                self._service.past = carried_over(supervisor.counted, pipeline)

    @property
    def _left_s(self) -> float | None:
        if self._duration_s is None or self._ready_ns is None:
            return self._duration_s
        return max(0.0, self._duration_s - (monotonic_ns() - self._ready_ns) / _SECOND_NS)

    def _tell_ready(self, url: str | None, down: Mapping[str, str]) -> None:
        if self._ready_ns is None:
            self._ready_ns = monotonic_ns()
        if self._on_ready is not None:
            self._on_ready(url, down)


class Renewal:
    """Reads the pipeline file again, and looks whether a line could start from it."""

    def __init__(
        self,
        herald: Herald,
        present: Pipeline,
        reread: Callable[[], Pipeline],
        *,
        only: str | None = None,
    ) -> None:
        self._herald = herald
        self._present = present
        self._reread = reread
        self._only = only

    def __call__(self) -> Pipeline | None:
        """Return what is to be gone on with; None: what there is."""
        self._herald.reload()
        try:
            pipeline = self._reread()
            _require_name(pipeline, self._present.name)
            read_calibrations(pipeline, read_manifests(pipeline))
            require_credentials(pipeline)
            require_disks(pipeline, self._only)
        except Exception as exc:  # noqa: BLE001 - a line that runs doesn't end by a file
            _refuse(self._herald, exc)
            return None
        _log.info("the pipeline file is read again, the line drains and goes on with it")
        return pipeline


def _require_name(pipeline: Pipeline, name: str) -> None:
    """Refuse another name: it is that of the line's folders, topics and records."""
    if pipeline.name != name:
        what = f"is {pipeline.name}, and the line that runs is {name}"
        msg = f"{pipeline.where('name')}: {what} (stop it to give it another name)"
        raise ConfigError(msg)


def _refuse(herald: Herald, cause: Exception) -> None:
    """Say why, in our own words: what else was raised may quote the file, and its passwords."""
    ours = isinstance(cause, StreamlineError)
    why = str(cause) if ours else f"it can't be read or started ({type(cause).__name__}, see log)"
    _log.error(
        "the new pipeline file is refused, the line goes on as before",
        why=why,
        exc_info=None if ours else cause,
    )
    herald.refuse(why)
