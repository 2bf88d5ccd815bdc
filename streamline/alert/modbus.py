"""Writes the registers of a line into a controller, by Modbus TCP."""

from collections.abc import Sequence
from threading import Event, Thread
from typing import Final

import structlog
from pymodbus import ModbusException
from pymodbus.client import ModbusTcpClient

from streamline.alert.registers import Registers
from streamline.backoff import Backoff

__all__ = ["ModbusOutput"]

_log = structlog.get_logger("streamline.alert")

_MOST: Final = 120
"""Registers written by one request; the protocol allows 123."""


class ModbusOutput(Thread):
    """Writes the registers of a Modbus TCP device, several times a second, again and again.

    The device is to take a heartbeat that stands still for a dead line: who is killed can't write.

    Parameters
    ----------
    registers : Registers
    host : str
    port : int
    unit : int
        The device behind that address.
    address : int
        First of the holding registers, counted from 0.
    period_s : float
        Between two writes, s.
    """

    def __init__(
        self,
        registers: Registers,
        host: str,
        port: int,
        *,
        unit: int,
        address: int,
        period_s: float,
    ) -> None:
        super().__init__(name="plc", daemon=True)
        self._registers = registers
        self._where = f"{host}:{port}"
        self._client = ModbusTcpClient(host, port=port, timeout=max(1.0, period_s), retries=0)
        self._unit = unit
        self._address = address
        self._period_s = period_s
        self._stopping = Event()
        self._backoff = Backoff(longest_s=10.0, sustained_s=0.0)
        self._told = False
        self.up = False
        """Whether the latest write was answered."""

    def run(self) -> None:
        """Write until stopped, then once more."""
        while not self._stopping.is_set():
            good = self._write(self._registers.values())
            self._stopping.wait(self._period_s if good else self._backoff.failed())
        self._write(self._registers.safe())
        self._client.close()

    def stop(self) -> None:
        """Write the safe state and end."""
        self._stopping.set()

    def _write(self, values: Sequence[int]) -> bool:
        why = self._why_not_written(values)
        self.up = not why
        if why:
            self._client.close()
            if not self._told:
                _log.error("controller can't be written, tries go on", at=self._where, why=why)
        else:
            self._backoff.delivered()
            if self._told:
                _log.warning("controller is written again", at=self._where)
        self._told = bool(why)
        return not why

    def _why_not_written(self, values: Sequence[int]) -> str:
        """Write; nothing if that went well."""
        if not self._client.connected and not self._client.connect():
            return "it can't be reached"
        try:
            # The heartbeat last: it stands for all the others.
            for first in reversed(range(0, len(values), _MOST)):
                answer = self._client.write_registers(
                    self._address + first,
                    list(values[first : first + _MOST]),
                    device_id=self._unit,
                )
                if answer.isError():
                    return f"it refuses registers {self._address + first} on ({answer})"
        except (ModbusException, OSError) as exc:
            return str(exc)
        return ""
