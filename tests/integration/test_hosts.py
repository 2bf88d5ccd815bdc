"""One pipeline file on two hosts: same verdicts, and the accounting closes whatever happens."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.support.hosts import Addresses, HostLine, Namespaces, TwoHosts
from tests.support.line import RunningLine, eventually, json_lines

LINK = {"stage": "infer", "peer": "preprocess-belt"}


_NOT_PERMITTED = (FileNotFoundError, subprocess.SubprocessError)


@pytest.fixture
def namespaces() -> Iterator[TwoHosts]:
    """Two hosts with networks and clocks of their own, if this machine lets us make them."""
    try:
        hosts = Namespaces()
    except _NOT_PERMITTED as exc:
        pytest.skip(f"network and time namespaces can't be made here: {exc}")
    yield hosts
    hosts.close()


@pytest.fixture
def hosts() -> Iterator[TwoHosts]:
    """Two hosts, as much of their own as this machine permits."""
    hosts: TwoHosts
    try:
        hosts = Namespaces()
    except _NOT_PERMITTED:
        hosts = Addresses()
    yield hosts
    hosts.close()


def write_pipeline(
    folder: Path,
    model: Path,
    source: object,
    hosts: TwoHosts | None = None,
    *,
    drain_s: float = 10,
    policy: str = "auto",
) -> Path:
    """A line on one host, or whose infer and alert stages are together on the server of two."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "line.yaml"
    record = {
        "verdicts": str(folder / "verdicts.jsonl"),
        "drops": str(folder / "drops.jsonl"),
        "evidence": {"path": str(folder / "kept"), "per_minute": {"fails": 600, "passes": 0}},
    }
    sections: dict[str, object] = {
        "model": str(model),
        "cameras": {"belt": {"source": source, "queue": {"policy": policy}}},
        "drain_s": drain_s,
        "record": record,
        "metrics": {"port": 0},
    }
    if hosts is not None:
        sections["metrics"] = {"address": "${SERVER}", "port": 0, "plain": True}
        sections["links"] = hosts.links(folder)
    path.write_text(json.dumps({"version": 1, **sections}))
    return path


@pytest.fixture(scope="module")
def alone(
    demo_clip: Path, demo_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, tuple[str, float]]:
    """What one host makes of the clip."""
    source = {"type": "video", "path": str(demo_clip)}
    folder = tmp_path_factory.mktemp("alone")
    with RunningLine(write_pipeline(folder, demo_model, source, policy="block"), folder) as line:
        assert line.wait() == 0, line.log
    return verdicts_of(folder)


def ids(path: Path) -> list[tuple[int, int]]:
    """Incarnation and number of the frames in a log."""
    return [(line["incarnation"], line["seq"]) for line in json_lines(path)]


def await_last_figures(server: HostLine, folder: Path) -> None:
    """Wait until the server knows how the camera's part has ended."""
    captured = len(ids(folder / "verdicts.jsonl")) + len(ids(folder / "drops.jsonl"))
    camera = frozenset({("camera", "belt")})

    def are_there() -> bool:
        figures = server.metrics()  # Without those of the camera before they come.
        return (
            figures.get(("streamline_frames_captured_total", camera)) == captured
            and figures.get(("streamline_frames_in_flight", camera)) == 0
        )

    eventually(are_there, "the camera's last figures have reached the server")


def test_two_hosts_judge_as_one_does_and_claim_latency_across_clocks_1000_s_apart(
    namespaces: TwoHosts,
    demo_clip: Path,
    demo_model: Path,
    alone: dict[int, tuple[str, float]],
    tmp_path: Path,
) -> None:
    hosts = namespaces
    source = {"type": "video", "path": str(demo_clip), "pace": 30}
    pipeline = write_pipeline(tmp_path / "two", demo_model, source, hosts)
    folder = pipeline.parent
    with (
        HostLine(pipeline, folder, stage="source", host=hosts.camera) as camera,
        HostLine(pipeline, folder, stage="alert", host=hosts.server) as server,
    ):
        server.await_ready()
        eventually(lambda: len(ids(folder / "verdicts.jsonl")) > 30, "thirty verdicts")
        eventually(
            lambda: server.metric("streamline_clock_error_seconds", **LINK) < 1, "clocks compared"
        )
        figures = server.metrics()
        assert figures["streamline_link_up", frozenset(LINK.items())] == 1
        offset_s = figures["streamline_clock_offset_seconds", frozenset(LINK.items())]
        error_s = figures["streamline_clock_error_seconds", frozenset(LINK.items())]
        # Both clocks are this machine's, so far apart by construction.
        assert hosts.camera.ahead_s == 1000
        assert abs(offset_s + hosts.camera.ahead_s) <= error_s < 1
        assert camera.wait() == 0, camera.log
        await_last_figures(server, folder)
        unclaimed = server.metric("streamline_latency_unclaimed_total", camera="belt")
        server.signal_all(signal.SIGTERM)
        assert server.wait() == 0, server.log
        report = server.report()["cameras"]["belt"]
    lines = json_lines(folder / "verdicts.jsonl")
    claimed = [line["latency_ms"] for line in lines if line["latency_ms"] is not None]
    assert len(claimed) == len(lines) - unclaimed
    assert claimed
    # The clip lasts some 10 s: a latency taken on one clock alone would be 1000 s off.
    assert 0 < report["latency_ms"]["p50"] < 100_000
    there = verdicts_of(folder)
    assert len(there) > len(alone) / 4
    check_same({seq: alone[seq] for seq in there}, there)


def verdicts_of(folder: Path) -> dict[int, tuple[str, float]]:
    """Verdict and score of each frame in the log, which names each once."""
    lines = json_lines(folder / "verdicts.jsonl")
    assert len({line["seq"] for line in lines}) == len(lines)
    return {line["seq"]: (line["verdict"], line["score"]) for line in lines}


def check_same(here: dict[int, tuple[str, float]], there: dict[int, tuple[str, float]]) -> None:
    """The same frames have the same verdicts, by the same scores."""
    assert {seq: verdict for seq, (verdict, _) in there.items()} == {
        seq: verdict for seq, (verdict, _) in here.items()
    }
    assert {seq: score for seq, (_, score) in there.items()} == pytest.approx(
        {seq: score for seq, (_, score) in here.items()}, rel=1e-3
    )


@pytest.mark.timeout(400)
def test_a_file_is_judged_as_on_one_host_though_the_cable_is_cut_and_the_judge_killed(
    hosts: TwoHosts,
    demo_clip: Path,
    demo_model: Path,
    alone: dict[int, tuple[str, float]],
    tmp_path: Path,
) -> None:
    source = {"type": "video", "path": str(demo_clip)}
    pipeline = write_pipeline(tmp_path / "two", demo_model, source, hosts, policy="block")
    # Slow enough for all of this to happen before the file ends.
    slow = json.loads(pipeline.read_text()) | {"infer": {"max_fps": 40}}
    pipeline.write_text(json.dumps(slow))
    folder = pipeline.parent

    def has_judged(share: float) -> None:
        verdicts = folder / "verdicts.jsonl"
        eventually(lambda: len(ids(verdicts)) > share * len(alone), f"{share:.0%} are judged")

    camera = HostLine(pipeline, folder, stage="source", host=hosts.camera)
    first = HostLine(pipeline, folder / "first", stage="alert", host=hosts.server)
    second = HostLine(pipeline, folder / "second", stage="alert", host=hosts.server)
    with camera, first:
        has_judged(0.1)
        hosts.cut()
        eventually(lambda: "peer has vanished" in camera.log, "the camera's host has noticed")
        hosts.mend()
        has_judged(0.4)
        first.signal_all(signal.SIGKILL)
        first.wait()
        with second:
            second.await_ready()
            assert camera.wait(90) == 0, camera.log
            await_last_figures(second, folder)
            second.signal_all(signal.SIGTERM)
            assert second.wait(60) == 0, second.log
    there = verdicts_of(folder)
    assert ids(folder / "drops.jsonl") == []
    assert sorted(there) == sorted(alone) == list(range(len(alone)))
    check_same(alone, there)
    report = json.loads(camera.report_file.read_text())["cameras"]["belt"]
    assert (report["captured"], report["dropped"], report["in_flight"]) == (len(alone), {}, 0)
    assert sum(second.report()["cameras"]["belt"]["judged"].values()) == len(alone)


@pytest.mark.timeout(400)
def test_what_was_sent_and_not_answered_when_draining_timed_out_is_asked_for_by_the_next_start(
    hosts: TwoHosts, demo_clip: Path, strict_model: Path, tmp_path: Path
) -> None:
    source = {"type": "video", "path": str(demo_clip), "pace": 30, "loop": True}
    pipeline = write_pipeline(tmp_path / "two", strict_model, source, hosts, drain_s=5)
    folder = pipeline.parent
    first = HostLine(pipeline, folder / "first", stage="source", host=hosts.camera)
    second = HostLine(pipeline, folder / "second", stage="source", host=hosts.camera)
    with HostLine(pipeline, folder, stage="alert", host=hosts.server) as server:
        with first:
            eventually(lambda: len(ids(folder / "verdicts.jsonl")) > 20, "twenty verdicts")
            # What comes meanwhile is judged afterwards, and the answers do not get through.
            server.signal_all(signal.SIGSTOP)
            before, lost = len(ids(folder / "verdicts.jsonl")), len(ids(folder / "drops.jsonl"))
            eventually(
                lambda: len(ids(folder / "drops.jsonl")) > lost + 3, "the server can't take more"
            )
            hosts.cut()
            server.signal_all(signal.SIGCONT)
            first.signal_all(signal.SIGTERM)
            assert first.wait(60) == 0, first.log
        eventually(lambda: len(ids(folder / "verdicts.jsonl")) > before, "what came is judged")
        judged = ids(folder / "verdicts.jsonl")
        assert not set(judged) & set(ids(folder / "drops.jsonl"))
        left = json.loads(first.report_file.read_text())["cameras"]["belt"]
        known = len(judged) + sum(left["dropped"].values())
        assert known <= left["captured"] <= known + left["in_flight"]
        assert "the next start asks for them" in first.log
        hosts.mend()
        with second:
            eventually(
                lambda: len(ids(folder / "verdicts.jsonl")) > len(judged) + 20, "twenty more"
            )
            second.signal_all(signal.SIGTERM)
            assert second.wait(60) == 0, second.log
        assert json.loads(second.report_file.read_text())["cameras"]["belt"]["in_flight"] == 0
        await_last_figures(server, folder)
        server.signal_all(signal.SIGTERM)
        assert server.wait() == 0, server.log
    report = server.report()["cameras"]["belt"]
    check_logs(folder, report, incarnations=2)
    # Every frame fails: of those that were asked for, the pictures are gone.
    assert 0 < report["evidence"] < report["judged"]["fail"]


@pytest.mark.timeout(400)
def test_a_cable_cut_for_10_s_and_either_host_killed_leave_every_frame_accounted_for(
    hosts: TwoHosts, demo_clip: Path, demo_model: Path, tmp_path: Path
) -> None:
    source = {"type": "video", "path": str(demo_clip), "pace": 10, "loop": True}
    pipeline = write_pipeline(tmp_path / "two", demo_model, source, hosts)
    folder = pipeline.parent
    verdicts = folder / "verdicts.jsonl"
    lives = iter(range(100))

    def start(stage: str) -> HostLine:
        host = hosts.server if stage == "alert" else hosts.camera
        life = HostLine(pipeline, folder / f"life-{next(lives)}", stage=stage, host=host)
        return life.__enter__()

    def goes_on() -> None:
        count = len(ids(verdicts))
        eventually(lambda: len(ids(verdicts)) > count + 20, "twenty verdicts more")

    def is_up(server: HostLine) -> bool:
        return server.metrics().get(("streamline_link_up", frozenset(LINK.items()))) == 1

    server, camera = start("alert"), start("source")
    try:
        server.await_ready()
        goes_on()
        hosts.cut()
        cut_s = monotonic()
        eventually(lambda: not is_up(server), "the server has noticed")
        sys.stdout.write(f"a vanished peer was noticed after {monotonic() - cut_s:.1f} s\n")
        eventually(lambda: monotonic() - cut_s >= 10, "10 s have passed")
        hosts.mend()
        mended_s = monotonic()
        eventually(lambda: is_up(server), "the link has resumed")
        sys.stdout.write(f"the link resumed after {monotonic() - mended_s:.1f} s\n")
        goes_on()
        assert server.log.count("peer has vanished") == camera.log.count("peer has vanished") == 1
        server.signal_all(signal.SIGKILL)
        server.wait()
        server = start("alert")
        server.await_ready()
        goes_on()
        camera.signal_all(signal.SIGKILL)
        camera.wait()
        camera = start("source")
        goes_on()
        camera.signal_all(signal.SIGTERM)
        assert camera.wait() == 0, camera.log
        await_last_figures(server, folder)
        server.signal_all(signal.SIGTERM)
        assert server.wait() == 0, server.log
        report = server.report()["cameras"]["belt"]
    finally:
        for life in (camera, server):
            life.__exit__(None, None, None)
    check_logs(folder, report, incarnations=2)


def check_logs(folder: Path, report: dict[str, Any], *, incarnations: int) -> None:
    """Every frame is in one of the logs, once, and the counters say the same; so with evidence."""
    judged, lost = ids(folder / "verdicts.jsonl"), ids(folder / "drops.jsonl")
    assert len(set(judged)) == len(judged)
    assert len(set(lost)) == len(lost)
    assert not set(judged) & set(lost)
    assert len(judged) == sum(report["judged"].values())
    assert len(lost) == sum(report["dropped"].values())
    # Every number up to an incarnation's last frame is in one of the logs.
    frames = sorted(judged + lost)
    for incarnation in {begun for begun, _ in frames}:
        seqs = [seq for begun, seq in frames if begun == incarnation]
        assert seqs == list(range(len(seqs)))
    assert len({begun for begun, _ in frames}) == incarnations
    to_keep = report["judged"]["fail"] + report["judged"]["unknown"]
    assert to_keep == report["evidence"] + report["evidence_skipped"]
