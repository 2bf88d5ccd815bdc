"""A controller sees what was judged, and a dead line by its heartbeat."""

import re
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamline.alert import registers as module
from streamline.alert.modbus import ModbusOutput
from streamline.alert.registers import Registers
from streamline.config.sinks import Modbus
from streamline.messages import Verdict
from tests.support.documents import ROOT
from tests.support.line import eventually
from tests.support.modbus import FIRST, controller, read_registers
from tests.support.ports import free_port

CAMERAS = ["left", "right"]


def output(
    port: int, registers: Registers, *, address: int = FIRST, period_s: float = 0.05
) -> ModbusOutput:
    return ModbusOutput(registers, "127.0.0.1", port, unit=1, address=address, period_s=period_s)


def test_verdicts_and_alerts_are_written_and_the_end_is_safe() -> None:
    port, registers = free_port(), Registers(CAMERAS, stale_s=600)
    with controller(port):
        assert read_registers(port) == [0] * 6
        one = output(port, registers)
        one.start()
        eventually(
            lambda: read_registers(port)[1:] == [1, 0, 0, 0, 0], "it runs, and nothing is known"
        )
        registers.note("left", Verdict.PASS, alert=False)
        registers.note("right", Verdict.FAIL, alert=True)
        eventually(lambda: read_registers(port)[1:] == [1, 1, 0, 2, 1], "the verdicts are there")
        beat = read_registers(port)[0]
        eventually(lambda: read_registers(port)[0] != beat, "the heart beats")
        registers.note("left", Verdict.UNKNOWN, alert=False)
        eventually(lambda: read_registers(port)[2] == 0, "unknown is not pass")
        registers.note("left", Verdict.PASS, alert=False)
        eventually(lambda: read_registers(port)[2] == 1, "it passes again")
        one.stop()
        one.join(30)
        # The controller may answer later than is waited for.
        eventually(lambda: read_registers(port)[1:] == [0, 0, 0, 0, 1], "the safe state is there")


def test_the_documented_registers_hold_what_is_said_of_them() -> None:
    registers = Registers(CAMERAS, stale_s=600)
    registers.note("left", Verdict.PASS, alert=False)
    registers.note("right", Verdict.FAIL, alert=True)
    written = [registers.values() for _ in range(7)][-1]
    document = (ROOT / "pipelines/README.md").read_text()
    table = document.partition("\n| register |")[2].partition("\n\n")[0]
    shown = re.findall(r"^\| (\d+) \| (\d+) \|", table, re.MULTILINE)
    assert [(int(number), int(value)) for number, value in shown] == list(enumerate(written))
    for _ in range(65535 - 7):
        registers.values()
    assert [registers.values()[0] for _ in range(2)] == [0, 1]
    assert registers.safe()[1:] == [0, 0, 0, 0, 1]


def test_a_verdict_that_grows_old_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = 1_000_000_000
    monkeypatch.setattr(module, "monotonic_ns", lambda: now_ns)
    registers = Registers(CAMERAS, stale_s=2)
    registers.note("left", Verdict.PASS, alert=False)
    assert registers.values()[2:4] == [1, 0]
    now_ns += 2_000_000_001
    assert registers.values()[2:4] == [0, 0]


def test_as_many_registers_are_written_as_the_pipeline_file_is_checked_for() -> None:
    for cameras in ([], ["left"], CAMERAS):
        assert len(Registers(cameras, stale_s=2).values()) == Modbus.span(len(cameras))


@given(st.lists(st.tuples(st.sampled_from(CAMERAS), st.sampled_from(Verdict), st.booleans())))
def test_nothing_but_a_fresh_pass_is_ever_a_pass(told: list[tuple[str, Verdict, bool]]) -> None:
    registers = Registers(CAMERAS, stale_s=600)
    latest: dict[str, tuple[Verdict, bool]] = {}
    for camera, verdict, alert in told:
        registers.note(camera, verdict, alert=alert)
        latest[camera] = (verdict, alert)
    found = registers.values()
    for i, camera in enumerate(CAMERAS):
        verdict, alert = latest.get(camera, (Verdict.UNKNOWN, False))
        assert (found[2 + 2 * i] == 1) == (verdict is Verdict.PASS)
        assert found[3 + 2 * i] == alert
    assert registers.safe()[1] == 0
    assert 1 not in registers.safe()[2::2]


def test_the_heart_stands_still_when_the_line_is_killed() -> None:
    port = free_port()
    code = (
        "import sys; from streamline.alert.modbus import ModbusOutput\n"
        "from streamline.alert.registers import Registers\n"
        "ModbusOutput(Registers(['left'], stale_s=9), '127.0.0.1', int(sys.argv[1]), unit=1,"
        " address=40, period_s=0.02).start(); sys.stdin.read()"
    )
    with controller(port):
        arguments = [sys.executable, "-c", code, str(port)]
        with subprocess.Popen(arguments, stdin=subprocess.PIPE) as process:
            eventually(lambda: read_registers(port)[0] > 3, "the heart beats")
            process.send_signal(signal.SIGKILL)
            process.wait()
            eventually(
                lambda: len({tuple(read_registers(port)) for _ in range(20)}) == 1,
                "it stands still, once what was under way has come",
            )


def test_a_controller_that_is_away_is_written_once_it_is_back() -> None:
    port, registers = free_port(), Registers(CAMERAS, stale_s=600)
    registers.note("left", Verdict.PASS, alert=False)
    one = output(port, registers)
    one.start()
    for _ in range(2):
        with controller(port):
            eventually(lambda: read_registers(port)[1:] == [1, 1, 0, 0, 0], "it is written")
            eventually(lambda: one.up, "that is known")
        eventually(lambda: not one.up, "it is missed")
    one.stop()
    one.join(30)
    assert not one.is_alive()


def test_more_registers_than_one_request_takes() -> None:
    cameras = [f"camera-{n}" for n in range(90)]
    port, registers = free_port(), Registers(cameras, stale_s=600)
    for camera in cameras:
        registers.note(camera, Verdict.PASS, alert=True)
    with controller(port):
        one = output(port, registers, address=0)
        one.start()
        eventually(lambda: read_registers(port, 1, 181) == [1], "the last is written")
        # They come first: so that the heartbeat stands for them.
        eventually(lambda: read_registers(port, 100, 2) == [1] * 100, "the others are")
        one.stop()
        one.join(30)


def test_registers_that_are_not_there_are_no_success() -> None:
    port = free_port()
    with controller(port, registers=10):
        # As long as its period it waits for an answer.
        one = output(port, Registers(CAMERAS, stale_s=600), address=5000, period_s=30)
        assert "refuses registers 5000" in one._why_not_written([1])
        one._client.close()
