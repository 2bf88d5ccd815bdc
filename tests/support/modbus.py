"""A Modbus TCP server of the tests' own, and a look into it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pymodbus.client import ModbusTcpClient
from pymodbus.server import StartTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.support.ports import listens
from tests.support.until import until

__all__ = ["FIRST", "controller", "read_registers"]

FIRST = 40
"""Register from which lines write in these tests."""

_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def controller(port: int, registers: int = 300) -> Iterator[None]:
    """A Modbus TCP server with holding registers, all 0, which goes as a controller does: at once.

    It has a process of its own, since pymodbus ends a server without waiting for what it answers,
    and leaves those connections to the interpreter.
    """
    command = [sys.executable, "-m", "tests.support.modbus", str(port), str(registers)]
    with subprocess.Popen(command, cwd=_ROOT) as process:
        try:
            until(lambda: process.poll() is not None or listens(port))
            assert process.poll() is None, "the controller did not start"
            yield
        finally:
            process.kill()


def read_registers(port: int, count: int = 6, first: int = FIRST) -> list[int]:
    client = ModbusTcpClient("127.0.0.1", port=port)
    assert client.connect()
    found = client.read_holding_registers(first, count=count, device_id=1).registers
    client.close()
    return list(found)


def _serve(port: int, registers: int) -> None:
    words = SimData(0, count=registers, values=0, datatype=DataType.REGISTERS)
    StartTcpServer(SimDevice(id=1, simdata=[words]), address=("127.0.0.1", port))


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
