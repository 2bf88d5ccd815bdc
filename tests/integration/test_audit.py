"""The record of a real run: whole as it was written, and whatever is done to it is found."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil
import pytest

from streamline.audit.chain import Seal
from streamline.audit.replay import Replay, read_replayable, replay_run
from streamline.audit.rescore import models_of_run
from streamline.audit.verify import Verification, verify_run
from streamline.errors import ModelError
from streamline.mask import Mask
from streamline.model import digest_under, load_calibration, save_calibration
from tests.support.line import RunningLine, eventually, json_lines, streamline
from tests.support.models import with_threshold

FRAMES = 60
"""Of the short clip."""


class Run(NamedTuple):
    """A run with all that belongs to it, to be changed at will."""

    folder: Path
    key: Path | None = None

    @property
    def evidence(self) -> Path:
        return self.folder.parents[1] / "kept"

    def verify(self) -> Verification:
        return verify_run(self.folder, Seal.from_file(self.key))

    def faults(self) -> list[str]:
        return list(self.verify().faults)

    def lines(self, chain: str) -> list[bytes]:
        return (self.folder / f"{chain}.jsonl").read_bytes().splitlines(keepends=True)

    def write(self, chain: str, lines: list[bytes]) -> None:
        (self.folder / f"{chain}.jsonl").write_bytes(b"".join(lines))

    def make_anew(self, chain: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
        """Change records as one who knows how a chain without a key is made."""
        records = [json.loads(line) for line in self.lines(chain)]
        change(records)
        before, lines = "0" * 64, []
        for number, record in enumerate(records):
            record |= {"n": number, "prev": before}
            del record["hash"]
            body = json.dumps(record, separators=(",", ":")).encode()[:-1]
            before = hashlib.sha256(body).hexdigest()
            lines.append(body + b',"hash":"%s"}\n' % before.encode())
        self.write(chain, lines)


def write_pipeline(folder: Path, cameras: dict[str, Any], **audit: object) -> Path:
    path = folder / "audited.yaml"
    document = {
        "version": 1,
        "cameras": cameras,
        "alert": {"k": 2, "n": 2, "sinks": []},
        "record": {
            "evidence": {
                "path": "kept",
                "min_free_gb": 0,
                "per_minute": {"fails": 600, "passes": 600},
            },
            "audit": {"path": "runs", **audit},
        },
        "metrics": {"port": 0},
    }
    path.write_text(json.dumps(document))
    return path


@pytest.fixture(scope="module")
def original(short_clip: Path, demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run of two cameras with models of their own on one network, one under a mask, sealed
    with a key."""
    folder = tmp_path_factory.mktemp("audited")
    (folder / "key").write_text("0123456789abcdef0123456789abcdef\n")
    strict = with_threshold(demo_model, folder / "strict", 1e-6)
    mask = Mask.of_pixels((((0, 0), (80, 0), (80, 50), (0, 50)),), (0, 0, 320, 200))
    calibration = load_calibration(strict / "calibration.json")
    save_calibration(replace(calibration, mask=mask), folder / "gate.json")
    source = {"type": "video", "path": str(short_clip)}
    cameras = {
        "belt": {"source": source, "model": str(demo_model)},
        "gate": {"source": source, "model": str(strict), "roi": [0, 0, 320, 200]}
        | {"calibration": "gate.json", "mask": [[[0, 0], [80, 0], [80, 50], [0, 50]]]},
    }
    for key in ({}, {"key_file": "key"}):
        pipeline = write_pipeline(folder, cameras, **key)
        done = streamline("run", pipeline)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Run:
    """A copy of the first run."""
    shutil.copytree(original / "runs", tmp_path / "runs")
    shutil.copytree(original / "kept", tmp_path / "kept")
    return Run(min((tmp_path / "runs").iterdir()))


@pytest.fixture
def keyed(run: Run, original: Path) -> Run:
    """A copy of the second one, which has a key."""
    return Run(sorted(run.folder.parent.iterdir())[1], original / "key")


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_run_that_nobody_touched_verifies_and_its_scores_come_out_the_same_to_the_bit(
    original: Path,
) -> None:
    folder = min((original / "runs").iterdir())
    done = streamline("verify", folder, "--json", original / "verify.json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads((original / "verify.json").read_text())
    assert (found["faults"], found["evidence"] > 4) == ([], True)
    done = streamline("replay", folder, "--json", original / "replay.json")
    assert (done.returncode, done.stderr) == (0, "")
    replay = json.loads((original / "replay.json").read_text())
    assert replay["frames"] == replay["equal"] == found["evidence"]
    print(done.stdout)  # noqa: T201


def test_a_begin_is_recorded_with_its_evidence_and_all_that_a_verdict_hangs_on(
    original: Path, run: Run
) -> None:
    judged = [one for one in json_lines(run.folder / "verdicts.jsonl") if "seq" in one]
    (begin,) = [one for one in judged if one["event"] == "new" and one["camera"] == "gate"]
    assert (begin["seq"], begin["verdict"], begin["alert"]) == (1, "fail", begin["evidence"][5:])
    manifest = json.loads((original / "strict" / "manifest.json").read_text())
    mask = load_calibration(original / "gate.json").mask
    assert begin["model"] == digest_under(manifest["digest"], mask) != manifest["digest"]
    begun = json_lines(run.folder / "line.jsonl")[1]
    text = begun["pipeline"].encode()
    assert begin["config"] == begun["config"] == hashlib.sha256(text).hexdigest()
    stored = {one["item"]: one for one in json_lines(run.folder / "evidence-gate.jsonl")[1:-1]}
    record = (run.evidence / begin["evidence"] / "alert.json").read_bytes()
    assert stored[begin["evidence"]]["sha256"] == hashlib.sha256(record).hexdigest()
    last = [one for one in judged if one["camera"] == "gate"][-1]
    assert sum(last["counts"].values()) <= FRAMES + 1


@pytest.mark.parametrize("chain", ["line", "verdicts", "evidence-gate"])
def test_a_flipped_byte_in_a_record_is_found_and_so_is_one_in_its_hash(
    run: Run, chain: str
) -> None:
    path = run.folder / f"{chain}.jsonl"
    second = len(run.lines(chain)[0])
    for place in (second + 150, second + len(run.lines(chain)[1]) - 10):
        flip(path, place)
        assert run.faults()[0].startswith(f"{chain}.jsonl:2: ")
        flip(path, place)
    assert run.faults() == []


@pytest.mark.parametrize("name", ["frame.mkv", "frame.png", "overlay.png", "alert.json"])
def test_a_flipped_byte_in_an_evidence_file_is_found(run: Run, name: str) -> None:
    victim = min((run.evidence / "gate").glob(f"*/{name}"))
    flip(victim, victim.stat().st_size // 2)
    assert f"evidence gate/{victim.parent.name}: {name} was changed" in run.faults()


def test_evidence_that_is_gone_without_a_word_is_found(run: Run) -> None:
    victim = min((run.evidence / "gate").iterdir())
    shutil.rmtree(victim)
    (fault,) = run.faults()
    assert (
        fault == f"evidence gate/{victim.name}: is missing, and no record says that it was removed"
    )


@pytest.mark.parametrize("chain", ["verdicts", "evidence-gate"])
def test_a_removed_record_and_a_swapped_pair_are_found(run: Run, chain: str) -> None:
    whole = run.lines(chain)
    run.write(chain, whole[:2] + whole[3:])
    assert f"{chain}.jsonl:3: record 2 is missing before it" in run.faults()
    run.write(chain, [*whole[:2], whole[3], whole[2], *whole[4:]])
    assert f"{chain}.jsonl:4: is record 2 in the wrong place: moved or repeated" in run.faults()
    run.write(chain, whole[:-2])
    last = len(whole) - 1
    what = f"{chain}.jsonl: records {last - 1} to {last} are missing at its end, by line.jsonl"
    assert what in run.faults()


def test_a_chain_that_is_gone_or_belongs_elsewhere_is_found(run: Run, keyed: Run) -> None:
    (run.folder / "verdicts.jsonl").unlink()
    assert "verdicts.jsonl: is missing, by line.jsonl" in run.faults()
    shutil.copy(keyed.folder / "verdicts.jsonl", run.folder)
    assert any(fault.startswith("verdicts.jsonl:1: ") for fault in run.faults())


def test_a_run_without_an_end_is_told_apart(run: Run) -> None:
    run.write("line", run.lines("line")[:-1])
    (fault,) = run.faults()
    assert fault.startswith("line.jsonl: there is no end: the run runs still, was killed, or ")


def test_a_counter_off_by_one_breaks_the_law_even_if_every_hash_fits(run: Run) -> None:
    def change(records: list[dict[str, Any]]) -> None:
        records[-1]["cameras"]["belt"]["captured"] += 1

    run.make_anew("line", change)
    (fault,) = run.faults()
    assert fault.startswith(f"camera belt: {FRAMES + 1} frames captured are not {FRAMES} judged")


def test_counters_that_are_off_together_do_not_fit_what_the_alert_stage_counted(run: Run) -> None:
    def change(records: list[dict[str, Any]]) -> None:
        records[-1]["cameras"]["gate"]["captured"] += 1
        records[-1]["cameras"]["gate"]["judged"]["fail"] += 1

    run.make_anew("line", change)
    (fault,) = run.faults()
    assert fault == (
        f"camera gate: {FRAMES + 1} frames judged fail by the end of the run, and {FRAMES} by the "
        "alert stage"
    )


def test_a_verdict_made_anew_does_not_follow_from_its_score(run: Run) -> None:
    def change(records: list[dict[str, Any]]) -> None:
        next(one for one in records if one.get("camera") == "gate")["verdict"] = "pass"

    run.make_anew("verdicts", change)
    faults = run.faults()
    assert "verdicts.jsonl: does not end with the record that line.jsonl names" in faults
    assert any("the verdict does not follow from score and threshold" in one for one in faults)


def test_only_a_key_keeps_who_may_write_from_making_the_whole_record_anew(
    run: Run, keyed: Run
) -> None:
    """The limit that is stated, and what helps."""

    def forget_one(records: list[dict[str, Any]]) -> None:
        del records[3]

    def redo(run: Run) -> list[str]:
        run.make_anew("evidence-belt", forget_one)
        chain = run.lines("evidence-belt")
        head = {"records": len(chain), "hash": json.loads(chain[-1])["hash"]}

        def change(records: list[dict[str, Any]]) -> None:
            records[-1]["chains"]["evidence-belt"] = head
            records[-1]["cameras"]["belt"]["evidence_skipped"] += 1

        run.make_anew("line", change)
        return run.faults()

    assert redo(run) == []
    assert keyed.faults() == []
    told = redo(keyed)
    for chain in ("line", "evidence-belt"):
        for number in range(1, len(keyed.lines(chain)) + 1):
            assert any(one.startswith(f"{chain}.jsonl:{number}: its hash") for one in told), number


def test_a_keyed_record_is_not_read_without_its_key(keyed: Run) -> None:
    done = streamline("verify", keyed.folder)
    assert done.returncode == 2
    assert "is sealed with a key" in done.stderr


def test_faults_are_printed_one_a_line_and_make_the_command_fail(run: Run) -> None:
    run.write("verdicts", run.lines("verdicts")[:-1])
    done = streamline("verify", run.folder)
    assert done.returncode == 1
    assert "\nfault     verdicts.jsonl: record" in done.stdout
    assert "1 fault; keep a copy as it is" in done.stderr


def replay(run: Run) -> Replay:
    what = read_replayable(run.folder, Seal())
    return replay_run(what, what.compute)


def test_a_score_that_was_recorded_wrong_is_listed_by_replay(run: Run) -> None:
    def change(records: list[dict[str, Any]]) -> None:
        victim = next(one for one in records if one.get("evidence"))
        victim["score"] *= 1 + 1e-6

    run.make_anew("verdicts", change)
    found = replay(run)
    (one,) = found.differences
    assert one.relative == pytest.approx(1e-6, rel=1e-3)
    assert (found.frames - found.equal, one.flips) == (1, False)
    assert (found.beyond(0.0), found.beyond(1e-5)) == ([one], [])


def test_evidence_that_was_changed_or_lost_is_not_scored_and_listed(run: Run) -> None:
    changed, lost = sorted((run.evidence / "gate").glob("*/frame.mkv"))[:2]
    flip(changed, changed.stat().st_size // 2)
    shutil.rmtree(lost.parent)
    found = replay(run)
    assert [one.computed for one in found.differences] == [None, None]
    whys = {Path(one.item).name: one.why for one in found.differences}
    assert whys[changed.parent.name] == "frame.mkv was changed"
    assert "can't be read" in whys[lost.parent.name]
    assert found.beyond(1.0) == list(found.differences)


def test_where_only_the_cameras_are_scores_are_taken_from_the_evidence(run: Run) -> None:
    whole = read_replayable(run.folder, Seal())
    (run.folder / "verdicts.jsonl").unlink()
    part = read_replayable(run.folder, Seal())
    assert sorted(part.frames) == sorted(whole.frames)


def test_a_model_that_is_not_the_run_s_is_refused_and_found_where_it_was_moved_to(
    run: Run, original: Path, tmp_path: Path
) -> None:
    what = read_replayable(run.folder, Seal())
    cameras = {
        name: msgspec.structs.replace(camera, model_path=str(original / "strict"))
        for name, camera in what.begun.cameras.items()
    }
    with pytest.raises(ModelError, match="--model DIR"):
        models_of_run(cameras, [tmp_path])
    moved = Path(what.begun.cameras["belt"].model_path)
    found = models_of_run(cameras, [moved])
    assert found["belt"].digest == what.begun.cameras["belt"].model


def test_a_record_goes_on_whole_whoever_is_killed(
    demo_clip: Path, demo_model: Path, tmp_path: Path
) -> None:
    """Both writers of a paced line, twice each, while frames fail and the oldest evidence goes."""
    strict = with_threshold(demo_model, tmp_path / "strict", 1e-6)
    source = {"type": "video", "path": str(demo_clip), "pace": 40, "loop": True}
    pipeline = write_pipeline(tmp_path, {"belt": {"source": source, "model": str(strict)}})
    document = json.loads(pipeline.read_text())
    document["record"]["evidence"]["max_gb"] = 2e-3
    pipeline.write_text(json.dumps(document))
    restarts = "streamline_worker_restarts_total"
    with RunningLine(pipeline, tmp_path) as line:
        line.await_ready()
        (folder,) = (tmp_path / "runs").iterdir()
        for _ in range(2):
            for worker in ("alert", "camera-belt"):
                size = (folder / "evidence-belt.jsonl").stat().st_size
                eventually(
                    lambda: (folder / "evidence-belt.jsonl").stat().st_size > size + 2000,  # noqa: B023
                    "more is kept",
                )
                before = line.metric(restarts, worker=worker)
                kill(line, worker)
                eventually(
                    lambda: line.metric(restarts, worker=worker) > before,  # noqa: B023
                    "it is restarted",
                )
        size = (folder / "evidence-belt.jsonl").stat().st_size
        eventually(lambda: (folder / "evidence-belt.jsonl").stat().st_size > size + 2000, "more")
        eventually(
            lambda: '"removed"' in (folder / "evidence-belt.jsonl").read_text(), "the oldest goes"
        )
        line.stop()
        assert line.wait() == 0
    found = verify_run(folder, Seal())
    assert found.faults == ()
    for chain in ("verdicts", "evidence-belt"):
        assert sum(note.startswith(f"{chain}.jsonl:") for note in found.notes) == 2
    print(found)  # noqa: T201


def kill(line: RunningLine, worker: str) -> None:
    family = psutil.Process(line.pid).children(recursive=True)
    (victim,) = [child for child in family if child.name() == f"sl:{worker}"]
    victim.kill()
