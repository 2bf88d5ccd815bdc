"""The line's private folder: made, locked, cleared, and where its links are."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streamline.config import Pipeline, load
from streamline.errors import InputError
from streamline.ledger import Ledger, LedgerView
from streamline.run.runtime import Runtime
from tests.support.descriptors import no_descriptors

RUNNING = "this line is running already; stop it first, or copy the pipeline file"


def test_the_folder_is_private_whatever_the_umask(base: Path, pipeline: Pipeline) -> None:
    runtime = Runtime.of(pipeline)
    old = os.umask(0)
    try:
        lock = runtime.acquire()
    finally:
        os.umask(old)
    assert runtime.folder.parent == base
    assert stat.S_IMODE(runtime.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(f"{runtime.folder}.lock").stat().st_mode) == 0o600
    runtime.release(lock)


def test_a_folder_that_was_open_to_others_is_made_private(base: Path, pipeline: Pipeline) -> None:
    runtime = Runtime.of(pipeline)
    runtime.folder.mkdir()
    runtime.folder.chmod(0o777)
    lock = runtime.acquire()
    assert runtime.folder.parent == base
    assert stat.S_IMODE(runtime.folder.stat().st_mode) == 0o700
    runtime.release(lock)


def test_a_link_in_the_folders_place_is_refused(base: Path, pipeline: Pipeline) -> None:
    elsewhere = base / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    runtime = Runtime.of(pipeline)
    runtime.folder.symlink_to(elsewhere)
    with pytest.raises(InputError, match=r"is no folder of this user's own; remove it, or set XDG"):
        runtime.acquire()
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_somebody_elses_folder_is_refused(pipeline: Pipeline, base: Path) -> None:
    runtime = Runtime.of(pipeline)
    runtime.folder.mkdir()
    os.chown(runtime.folder, 65534, 65534)
    with pytest.raises(InputError, match=r"is no folder of this user's own"):
        runtime.acquire()
    assert base in runtime.folder.parents


@pytest.mark.usefixtures("base")
def test_a_second_line_of_the_same_file_is_kept_out_and_disturbs_nothing(
    pipeline: Pipeline,
) -> None:
    first = Runtime.of(pipeline)
    lock = first.acquire()
    first.control.write_bytes(b"ours")
    with pytest.raises(InputError, match=f"^{RUNNING}$"):
        Runtime.of(pipeline).acquire()
    assert first.control.read_bytes() == b"ours"
    first.release(lock)


@pytest.mark.usefixtures("base")
def test_the_folder_is_gone_after_release_and_can_be_had_again(pipeline: Pipeline) -> None:
    runtime = Runtime.of(pipeline)
    for _ in range(2):
        lock = runtime.acquire()
        runtime.ledger("infer").touch()
        runtime.release(lock)
        assert not runtime.folder.exists()


@pytest.mark.usefixtures("base")
def test_a_line_ends_in_order_also_where_its_folder_is_gone_or_can_not_be_opened(
    pipeline: Pipeline,
) -> None:
    runtime = Runtime.of(pipeline)
    lock = runtime.acquire()
    shutil.rmtree(runtime.folder)
    runtime.release(lock)
    lock = runtime.acquire()
    runtime.conclude()
    with no_descriptors():
        runtime.release(lock)
    runtime.release(runtime.acquire())
    assert not runtime.folder.exists()


def test_what_a_killed_line_left_behind_is_cleared(base: Path, pipeline: Pipeline) -> None:
    runtime = Runtime.of(pipeline)
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from streamline.run.runtime import Runtime\n"
        "runtime = Runtime(Path(sys.argv[1]))\n"
        "runtime.acquire()\n"
        "for path in (runtime.control, runtime.ledger('infer'), runtime.failure('infer')):\n"
        "    path.write_text('old')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(runtime.folder)], check=False, timeout=60
    )
    assert done.returncode == -9
    assert len(runtime.workers()) == 1
    assert base in runtime.folder.parents
    lock = runtime.acquire()
    assert [path.name for path in runtime.folder.iterdir()] == ["made-for"]
    runtime.release(lock)


@pytest.mark.usefixtures("base")
def test_alerts_that_wait_in_memory_are_left_to_the_next_line_whatever_else_is_begun_anew(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    runtime = Runtime.of(pipeline)
    os.close(runtime.acquire("models"))
    spare = runtime.spare(tmp_path / "outbox.db")
    beside = spare.with_name(f"{spare.name}-wal")
    for path in (spare, beside, runtime.ledger("infer")):
        path.touch()
    assert spare != runtime.spare(tmp_path / "other.db")
    again = Runtime.of(pipeline)
    lock = again.acquire("others")
    assert not again.was_killed
    assert {path.name for path in again.folder.iterdir()} == {
        "made-for",
        spare.name,
        beside.name,
    }
    again.ledger("infer").touch()
    spare.with_name(f"{spare.name}.new").touch()
    again.conclude()
    again.release(lock)
    assert {path.name for path in again.folder.iterdir()} == {spare.name, beside.name}


@pytest.mark.usefixtures("base")
def test_lines_of_other_files_names_or_parts_have_other_folders(tmp_path: Path) -> None:
    text = "version: 1\nmodel: m\ncameras: {left: demo://inspect}\n"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "line1.yaml").write_text(text)
    (tmp_path / "c.yaml").write_text(text)
    files = [tmp_path / "a/line1.yaml", tmp_path / "b/line1.yaml", tmp_path / "c.yaml"]
    pipelines = [load(file) for file in files]
    folders = {Runtime.of(p, part).folder for p in pipelines for part in ("", "infer")}
    assert len(folders) == 6
    assert folders == {Runtime.of(p, part).folder for p in pipelines for part in ("", "infer")}


def test_a_base_that_is_not_there_is_refused_with_the_cure(
    tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "missing"))
    with pytest.raises(InputError, match=r"can't be made \(No such file .*\); set XDG_RUNTIME_DIR"):
        Runtime.of(pipeline).acquire()


def test_a_lock_that_leads_elsewhere_is_not_followed(base: Path, pipeline: Pipeline) -> None:
    runtime = Runtime.of(pipeline)
    Path(f"{runtime.folder}.lock").symlink_to(base / "elsewhere")
    with pytest.raises(InputError, match=r"can't be made \(Too many levels of symbolic links\)"):
        runtime.acquire()
    assert not (base / "elsewhere").exists()


def test_a_service_managers_folder_comes_first(
    base: Path, tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path / 'service'}:{tmp_path / 'other'}")
    assert Runtime.of(pipeline).folder.parent == tmp_path / "service" != base


def test_without_a_base_the_line_makes_a_private_one(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    parent = Runtime.of(pipeline).folder.parent
    assert stat.S_IMODE(parent.stat().st_mode) == 0o700
    assert parent.stat().st_uid == os.getuid()


def test_a_line_whose_base_anybody_may_write_into_starts_elsewhere_and_tells_it_once(
    base: Path, pipeline: Pipeline
) -> None:
    base.chmod(0o777)
    with capture_logs() as logs:
        runtime = Runtime.of(pipeline)
        runtime.release(runtime.acquire())
    (told,) = logs
    assert told["log_level"] == "warning"
    assert (told["named"], told["taken"]) == (str(base), str(runtime.folder.parent))
    assert base not in runtime.folder.parents


def test_ledgers_are_found_by_their_names_only(tmp_path: Path) -> None:
    runtime = Runtime(tmp_path)
    for path in (runtime.ledger("infer"), runtime.ledger("alert"), runtime.control):
        path.touch()
    (tmp_path / ".infer.ledger.77").touch()
    assert runtime.workers() == ["alert", "infer"]


def test_where_no_line_has_begun_there_are_no_ledgers(tmp_path: Path) -> None:
    assert Runtime(tmp_path / "absent").workers() == []


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        pytest.param("inproc", "inproc://line1/scores", id="inproc"),
        pytest.param("ipc", "ipc:///run/line1/scores.sock", id="ipc"),
        pytest.param("tcp://10.0.0.7:5591", "tcp://10.0.0.7:5591", id="tcp"),
        pytest.param("tcp://localhost:5591", "tcp://127.0.0.1:5591", id="tcp-by-name"),
        pytest.param("tcp://[::1]:5591", "tcp://[::1]:5591", id="tcp-over-ipv6"),
    ],
)
def test_a_links_address_follows_from_its_kind(kind: str, address: str) -> None:
    assert Runtime(Path("/run/line1")).address("scores", kind) == address


def test_a_host_that_is_not_known_is_refused_with_the_cure() -> None:
    sentence = r"links\.scores: host 'nowhere\.invalid' is not known here; use its IP address"
    with pytest.raises(InputError, match=sentence):
        Runtime(Path("/run/line1")).address("scores", "tcp://nowhere.invalid:1")


def test_a_path_too_long_for_a_socket_is_refused_with_the_cure() -> None:
    longest = "/" + "x" * (107 - len("//scores.sock"))
    assert Runtime(Path(longest)).address("scores", "ipc") == f"ipc://{longest}/scores.sock"
    with pytest.raises(InputError, match="too long for a socket; set XDG_RUNTIME_DIR"):
        Runtime(Path(longest + "x")).address("scores", "ipc")


@pytest.mark.parametrize("part", ["", "infer"])
@pytest.mark.usefixtures("base")
def test_a_line_or_a_part_that_was_killed_goes_on_with_its_counts(
    pipeline: Pipeline, part: str
) -> None:
    runtime = Runtime.of(pipeline, part)
    os.close(runtime.acquire("m"))  # As a kill does: the lock is free, the folder stays.
    assert not runtime.goes_on
    for path in (runtime.ledger("infer"), runtime.control, runtime.audit, runtime.shelf("left")):
        path.write_text("kept")
    again = Runtime.of(pipeline, part)
    lock = again.acquire("m")
    assert (again.goes_on, again.was_killed) == (True, not part)
    assert again.ledger("infer").read_text() == "kept"
    # The run that a whole line recorded goes on; a part begins a new one.
    assert again.audit.exists() is (not part)
    assert not again.control.exists()
    assert not again.shelf("left").exists()
    again.release(lock)


@pytest.mark.usefixtures("base")
def test_a_line_that_could_not_go_on_leaves_the_killed_one_s_counts_to_the_next(
    pipeline: Pipeline,
) -> None:
    killed(pipeline, "m")
    for ends_in_order in (False, False, True):
        runtime = Runtime.of(pipeline)
        lock = runtime.acquire("m")
        assert runtime.goes_on
        assert runtime.workers() == ["camera-left"]
        if ends_in_order:
            runtime.conclude()
        runtime.release(lock)
    assert not Runtime.of(pipeline).folder.exists()


def killed(pipeline: Pipeline, models: str) -> Runtime:
    """A whole line that was killed with frames in flight."""
    runtime = Runtime.of(pipeline)
    os.close(runtime.acquire(models))
    ledger = Ledger()
    ledger.gauge("streamline_frames_in_flight", camera="left").set(3.0)
    ledger.open(runtime.ledger("camera-left"))
    ledger.close()
    return runtime


@pytest.mark.usefixtures("base")
def test_under_other_models_a_killed_line_is_not_gone_on_with_and_its_loss_is_told(
    pipeline: Pipeline,
) -> None:
    killed(pipeline, "old")
    again = Runtime.of(pipeline)
    with capture_logs() as log:
        lock = again.acquire("new")
    assert not again.goes_on
    assert again.workers() == []
    assert [entry["frames_lost"] for entry in log] == [3]
    again.release(lock)


@pytest.mark.usefixtures("base")
def test_a_line_that_was_killed_after_its_run_was_over_begins_another(pipeline: Pipeline) -> None:
    killed(pipeline, "m").conclude()
    again = Runtime.of(pipeline)
    lock = again.acquire("m")
    assert not again.goes_on
    assert again.workers() == []
    again.release(lock)


@pytest.mark.usefixtures("base")
def test_a_stopped_worker_of_a_killed_part_is_named_and_once_it_is_gone_the_part_goes_on(
    pipeline: Pipeline,
) -> None:
    runtime = Runtime.of(pipeline, "infer")
    os.close(runtime.acquire())
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from streamline.ledger import Ledger\n"
        "ledger = Ledger()\n"
        "ledger.counter('frames_total').add(7)\n"
        "ledger.open(Path(sys.argv[1]))\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    path = runtime.ledger("infer")
    with subprocess.Popen([sys.executable, "-c", code, str(path)]) as worker:
        try:
            os.waitid(os.P_PID, worker.pid, os.WSTOPPED)
            with pytest.raises(InputError, match=f"^{path}: process {worker.pid} of a line"):
                Runtime.of(pipeline, "infer").acquire()
        finally:
            worker.kill()
    lock = runtime.acquire()
    view = LedgerView(path)
    assert view.value("frames_total") == 7
    view.close()
    runtime.release(lock)


@pytest.mark.parametrize("part", ["", "source"])
@pytest.mark.usefixtures("base")
def test_a_part_that_ended_in_order_counts_on_when_it_is_started_again_a_whole_line_anew(
    pipeline: Pipeline, part: str
) -> None:
    totals, accounts = [], set()
    for _ in range(3):
        runtime = Runtime.of(pipeline, part)
        lock = runtime.acquire()
        ledger = Ledger()
        captured = ledger.counter("captured_total", camera="left")
        ledger.open(runtime.ledger("camera-left"))
        captured.add(1000)
        accounts.add(runtime.account)
        totals.append(captured.value)
        ledger.close()
        runtime.release(lock)
    assert totals == ([1000, 2000, 3000] if part else [1000, 1000, 1000])
    assert len(accounts) == (1 if part else 3)


@pytest.mark.parametrize("part", ["", "infer"])
@pytest.mark.usefixtures("base")
def test_counts_of_another_file_are_not_gone_on_with(pipeline: Pipeline, part: str) -> None:
    runtime = Runtime.of(pipeline, part)
    os.close(runtime.acquire())
    runtime.ledger("infer").touch()
    other = pipeline.model_copy(update={"drain_s": 1.5})
    account = runtime.account
    again = Runtime.of(other, part)
    assert again.folder == runtime.folder
    lock = again.acquire()
    assert not again.goes_on
    assert again.account != account
    assert not again.workers()
    again.release(lock)
