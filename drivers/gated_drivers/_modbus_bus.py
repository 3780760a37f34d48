"""One Modbus RTU line, shared by every driver of this process that names its port.

Relay and contact boards of several units hang on one pair of wires, and only one exchange can be on it
at a time. Commands go before reads, so a coil waits for at most the exchange that is under way.
Protocol: MODBUS over Serial Line 1.02 and Application Protocol 1.1b3, by pymodbus.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pymodbus.client import AsyncModbusSerialClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from gated.ports import DriverFault
from gated_drivers._serial_line import why_not_open

# pymodbus logs each failed exchange with its frames; here each is a DriverFault that the supervisor tells.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

LAST_RESORT_S = 60.0  # pymodbus wants a time-out of its own; ours is always shorter

_buses: dict[str, Bus] = {}


@dataclass(slots=True)
class _Exchange:
    request: ModbusPDU
    timeout_s: float
    answer: asyncio.Future[ModbusPDU]


class Bus:
    """The line at `port`; a task of its own opens it and carries out one exchange after the other.

    That task finishes an exchange whose caller was cancelled: its late answer would otherwise be taken
    for the answer to the next request.
    """

    def __init__(self, port: str, baudrate: int) -> None:
        self.port = port
        self.baudrate = baudrate
        self.users = 0
        self._commands: deque[_Exchange] = deque()
        self._reads: deque[_Exchange] = deque()
        self._waiting = asyncio.Event()
        self._heard = False
        self._fault: DriverFault | None = None
        self._worker = asyncio.create_task(self._work(), name=f"modbus {port}")

    async def ask(self, request: ModbusPDU, timeout_s: float, *, command: bool = False) -> ModbusPDU:
        """Send one request to its unit and return the answer, commands before reads.

        Raises DriverFault: no valid answer in `timeout_s` (counted from when it is sent), the unit
        refuses, or the line is lost.
        """
        if self._fault is not None:
            raise self._fault
        exchange = _Exchange(request, timeout_s, asyncio.get_running_loop().create_future())
        (self._commands if command else self._reads).append(exchange)
        self._waiting.set()
        answer = await exchange.answer
        if answer.isError():
            raise DriverFault(
                f"{self.port}: unit {request.dev_id} refuses function {request.function_code} at address "
                f"{request.address} (exception {answer.exception_code}); check unit and channel numbers"
            )
        return answer

    async def _work(self) -> None:
        client = AsyncModbusSerialClient(
            self.port,
            baudrate=self.baudrate,
            timeout=LAST_RESORT_S,
            retries=0,
            reconnect_delay=0,  # the supervisor opens again, nobody else
            trace_connect=self._connection_changed,
            trace_packet=self._packet_seen,
        )
        try:
            if not await client.connect():
                raise DriverFault(f"{self.port}: {why_not_open(self.port)}")
            # Not for the cancelling alone: asyncio.wait_for, inside pymodbus, can swallow it (Python 3.11).
            while self._fault is None:
                await self._waiting.wait()
                while self._commands or self._reads:
                    await self._carry_out((self._commands or self._reads).popleft(), client)
                self._waiting.clear()
        except DriverFault as fault:
            self._die(fault)
        finally:
            self._die(DriverFault(f"{self.port}: closed"))
            try:  # pymodbus sets its transport up over two turns of the loop, and leaks it when closed before
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            finally:
                client.close()

    async def _carry_out(self, exchange: _Exchange, client: AsyncModbusSerialClient) -> None:
        if exchange.answer.done():  # its caller left before it was sent
            return
        request, self._heard = exchange.request, False
        try:
            async with asyncio.timeout(exchange.timeout_s):
                answer = await client.execute(False, request)
            if answer.function_code & 0x7F != request.function_code:
                raise DriverFault(
                    f"{self.port}: unit {request.dev_id} answers another request than the last one"
                )
        except TimeoutError:
            how = "gives damaged answers" if self._heard else "does not answer"
            fault = DriverFault(
                f"{self.port}: unit {request.dev_id} {how} (waited {exchange.timeout_s:g} s); "
                f"check its power, its wires, unit number and {self.baudrate} baud"
            )
            _fail(exchange, fault)
        except ModbusException as error:
            _fail(exchange, DriverFault(f"{self.port}: unit {request.dev_id}: {error}"))
        except DriverFault as fault:
            _fail(exchange, fault)
        except asyncio.CancelledError:  # the line was lost or closed meanwhile
            _fail(exchange, self._fault or DriverFault(f"{self.port}: closed"))
            raise
        else:
            if not exchange.answer.done():
                exchange.answer.set_result(answer)

    def _connection_changed(self, connected: bool) -> None:
        if not connected:
            self._die(DriverFault(f"{self.port}: the line is lost; check the cable of the adapter"))

    def _packet_seen(self, sending: bool, data: bytes) -> bytes:
        self._heard |= not sending
        return data

    def _die(self, fault: DriverFault) -> None:
        """No further exchange; the next one to open the port gets a new bus."""
        if self._fault is not None:
            return
        self._fault = fault
        if _buses.get(self.port) is self:
            del _buses[self.port]
        while self._commands or self._reads:
            _fail((self._commands or self._reads).popleft(), fault)
        if asyncio.current_task() is not self._worker:
            self._worker.cancel()

    async def close(self) -> None:
        """Give the port back; safe to repeat and after a fault."""
        self._die(DriverFault(f"{self.port}: closed"))
        await asyncio.gather(self._worker, return_exceptions=True)


def _fail(exchange: _Exchange, fault: DriverFault) -> None:
    if not exchange.answer.done():
        exchange.answer.set_exception(fault)


@asynccontextmanager
async def bus(port: str, baudrate: int) -> AsyncIterator[Bus]:
    """The bus at `port`, opened by its first user and closed by its last one.

    The port is opened in the background: a port that does not open fails the first exchange.
    """
    shared = _buses.get(port)
    if shared is None:
        shared = _buses[port] = Bus(port, baudrate)
    elif shared.baudrate != baudrate:
        raise DriverFault(f"{port}: in use at {shared.baudrate} baud; give its devices the same baudrate")
    shared.users += 1
    try:
        yield shared
    finally:
        shared.users -= 1
        if not shared.users:
            await shared.close()
