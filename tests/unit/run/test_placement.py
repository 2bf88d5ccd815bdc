"""Which worker runs which stages, for every way to link them."""

from itertools import product
from pathlib import Path

import pytest

from streamline.config import Pipeline, load
from streamline.run.placement import WorkerPlan, infer_shares, plan
from streamline.run.runtime import Runtime

ORDER = ("source", "preprocess", "infer", "alert")
LINKS = ("frames", "prepared", "scores")


def pipeline_with(folder: Path, frames: str, prepared: str, scores: str) -> Pipeline:
    """A line of two cameras with these links."""
    text = (
        "version: 1\nmodel: m\ncameras: {left: demo://inspect, right: demo://normal}\n"
        f"links: {{frames: {frames}, prepared: {prepared}, scores: {scores}}}\n"
    )
    (folder / "line.yaml").write_text(text)
    return load(folder / "line.yaml")


def described(workers: list[WorkerPlan]) -> list[str]:
    """Name, stages and cameras of each worker in one line."""
    return [f"{w.name}: {' '.join(w.stages)} | {' '.join(w.cameras)}" for w in workers]


PLACES = {
    ("ipc", "ipc", "ipc"): [
        "alert: alert | left right",
        "infer: infer | left right",
        "preprocess: preprocess | left right",
        "camera-left: source | left",
        "camera-right: source | right",
    ],
    ("ipc", "ipc", "inproc"): [
        "infer-alert: infer alert | left right",
        "preprocess: preprocess | left right",
        "camera-left: source | left",
        "camera-right: source | right",
    ],
    ("ipc", "inproc", "ipc"): [
        "alert: alert | left right",
        "preprocess-infer: preprocess infer | left right",
        "camera-left: source | left",
        "camera-right: source | right",
    ],
    ("ipc", "inproc", "inproc"): [
        "preprocess-infer-alert: preprocess infer alert | left right",
        "camera-left: source | left",
        "camera-right: source | right",
    ],
    ("inproc", "ipc", "ipc"): [
        "alert: alert | left right",
        "infer: infer | left right",
        "camera-left: source preprocess | left",
        "camera-right: source preprocess | right",
    ],
    ("inproc", "ipc", "inproc"): [
        "infer-alert: infer alert | left right",
        "camera-left: source preprocess | left",
        "camera-right: source preprocess | right",
    ],
    ("inproc", "inproc", "ipc"): [
        "alert: alert | left right",
        "source-preprocess-infer: source preprocess infer | left right",
    ],
    ("inproc", "inproc", "inproc"): [
        "source-preprocess-infer-alert: source preprocess infer alert | left right",
    ],
}


@pytest.mark.parametrize("links", list(product(("ipc", "inproc"), repeat=3)), ids="-".join)
def test_every_way_to_link_the_stages_places_them_downstream_first(
    links: tuple[str, str, str], tmp_path: Path
) -> None:
    assert described(plan(pipeline_with(tmp_path, *links))) == PLACES[links]


@pytest.mark.parametrize("links", list(product(("ipc", "inproc", "tcp"), repeat=3)), ids="-".join)
def test_inproc_and_only_inproc_glues_two_stages(
    links: tuple[str, str, str], tmp_path: Path
) -> None:
    ports = iter(range(5001, 5004))
    kinds = [f"tcp://127.0.0.1:{next(ports)}" if kind == "tcp" else kind for kind in links]
    workers = plan(pipeline_with(tmp_path, *kinds))
    for i, kind in enumerate(links):
        together = any({ORDER[i], ORDER[i + 1]} <= set(worker.stages) for worker in workers)
        assert together == (kind == "inproc")


@pytest.mark.parametrize("links", list(product(("ipc", "inproc"), repeat=3)), ids="-".join)
def test_each_stage_of_each_camera_runs_exactly_once(
    links: tuple[str, str, str], tmp_path: Path
) -> None:
    workers = plan(pipeline_with(tmp_path, *links))
    for stage, camera in product(ORDER, ("left", "right")):
        assert sum(stage in w.stages and camera in w.cameras for w in workers) == 1
    assert len({worker.name for worker in workers}) == len(workers)


@pytest.mark.parametrize("stage", ORDER)
def test_one_stage_alone_leaves_out_the_workers_without_it(stage: str, tmp_path: Path) -> None:
    pipeline = pipeline_with(tmp_path, "inproc", "ipc", "ipc")
    wanted = [worker for worker in plan(pipeline) if stage in worker.stages]
    assert plan(pipeline, stage) == wanted
    assert wanted


SHARED = {
    1: ["camera-a | a", "camera-b | b", "camera-c | c", "camera-d | d", "camera-e | e"],
    2: ["cameras-1 | a b", "cameras-2 | c d", "cameras-3 | e"],
    4: ["cameras-1 | a b c d", "cameras-2 | e"],
    9: ["cameras-1 | a b c d e"],
}


@pytest.mark.parametrize("frames", ["inproc", "ipc"])
@pytest.mark.parametrize("size", SHARED)
def test_cameras_share_a_process_in_the_order_of_the_file(
    size: int, frames: str, tmp_path: Path
) -> None:
    cameras = ", ".join(f"{name}: demo://inspect" for name in "abcde")
    path = tmp_path / "line.yaml"
    path.write_text(
        f"version: 1\nmodel: m\ncameras: {{{cameras}}}\ncameras_per_process: {size}\n"
        f"links: {{frames: {frames}}}\n"
    )
    workers = plan(load(path), "source")
    assert [f"{one.name} | {' '.join(one.cameras)}" for one in workers] == SHARED[size]
    stages = ("source", "preprocess") if frames == "inproc" else ("source",)
    assert {one.stages for one in workers} == {stages}
    assert all(one.serves_cameras_only for one in workers)


def with_devices(folder: Path, devices: str, **links: str) -> Pipeline:
    """Cameras of two products by turns, on several devices."""
    cameras = ", ".join(
        f"{name}: {{source: demo://inspect, model: {'even' if i % 2 else 'odd'}}}"
        for i, name in enumerate("abcde")
    )
    kinds = ", ".join(f"{link}: {kind}" for link, kind in links.items())
    text = f"version: 1\ncameras: {{{cameras}}}\ninfer: {{backend: torch, devices: [{devices}]}}\n"
    (folder / "line.yaml").write_text(f"{text}links: {{{kinds}}}\n")
    return load(folder / "line.yaml")


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ("cuda:1", ["infer on cuda:1 | a b c d e"]),
        ("cuda:0, cuda:1", ["infer-1 on cuda:0 | a c", "infer-2 on cuda:1 | b d e"]),
        ("CPU, CPU, CPU", ["infer-1 on CPU | a", "infer-2 on CPU | c e", "infer-3 on CPU | b d"]),
        (
            ", ".join(["cuda"] * 7),
            [f"infer-{i} on cuda | {name}" for i, name in enumerate("acebd", start=1)],
        ),
    ],
)
def test_cameras_are_shared_out_among_devices_by_model(
    devices: str, expected: list[str], tmp_path: Path
) -> None:
    pipeline = with_devices(tmp_path, devices)
    shares = infer_shares(pipeline)
    assert [f"{one.name} on {one.device} | {' '.join(one.cameras)}" for one in shares] == expected
    workers = [worker for worker in plan(pipeline) if "infer" in worker.stages]
    assert [worker.share for worker in workers] == shares
    assert [worker.name for worker in workers] == [share.name for share in shares]
    assert sorted(name for share in shares for name in share.cameras) == list("abcde")


def test_each_infer_stage_has_an_end_of_its_own(tmp_path: Path) -> None:
    first, second = infer_shares(with_devices(tmp_path, "CPU, CPU"))
    runtime = Runtime(tmp_path)
    kinds = ("ipc", "tcp://127.0.0.1:5001")
    ends = {
        runtime.address("prepared", kind, share.number)
        for kind in kinds
        for share in (first, second)
    }
    assert ends == {
        f"ipc://{tmp_path}/prepared.sock",
        f"ipc://{tmp_path}/prepared-1.sock",
        "tcp://127.0.0.1:5001",
        "tcp://127.0.0.1:5002",
    }
