"""A Modbus TCP server of the tests' own, and a look into it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from pymodbus.client import ModbusTcpClient
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

__all__ = ["FIRST", "controller", "read_registers"]

FIRST = 40
"""Register from which lines write in these tests."""


@contextmanager
def controller(port: int, registers: int = 300) -> Iterator[None]:
    """A Modbus TCP server with holding registers, all 0."""
    started, ended = Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        device = SimDevice(
            id=1, simdata=[SimData(0, count=registers, values=0, datatype=DataType.REGISTERS)]
        )
        server = ModbusTcpServer([device], address=("127.0.0.1", port))
        serving = asyncio.create_task(server.serve_forever(background=True))
        await serving
        started.set()
        await ended.wait()
        await server.shutdown()

    thread = Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert started.wait(30)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)
        loop.close()


def read_registers(port: int, count: int = 6, first: int = FIRST) -> list[int]:
    client = ModbusTcpClient("127.0.0.1", port=port)
    assert client.connect()
    found = client.read_holding_registers(first, count=count, device_id=1).registers
    client.close()
    return list(found)
