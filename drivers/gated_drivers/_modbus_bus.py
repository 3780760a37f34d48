"""One Modbus RTU line, shared by every driver of this process that names its port.

Relay and contact boards of several units hang on one pair of wires, and only one exchange can be on it
at a time. Posted commands go before commands, and these before reads, so a coil waits for at most the
exchange that is under way.
Protocol: MODBUS over Serial Line 1.02 and Application Protocol 1.1b3, by `_codecs.modbus_rtu`.

An alarm comes in here and goes out here: an answer is decoded, delivered and followed by the next frame
within the one callback of the loop that read it. So there is no task and no timer on that path.

The silence of 3.5 characters that ends a frame (Serial Line 2.5.1.1) is kept by the hardware in most
cases: a UART reports the end of an answer after about four characters without another, an adapter on USB
a millisecond or more after it, a device server paces its own line. Where boards still take an answer and
the next request for one frame, `turnaround_s` keeps the line silent for longer.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from gated.ports import DriverFault
from gated_drivers._codecs.modbus_rtu import Answers, Refusal, Request, write_coils
from gated_drivers._open_line import Line, open_line
from gated_drivers._serial_line import in_thread, why_not_open

OPEN_S = 3.0
CLOSE_S = 1.0
MOST_READ = 512  # bytes taken at a time, so that a flood of garbage lets others have their turn
PATIENCE_S = 0.03  # a posted command waits for the exchange under way: its time on the wire and this
BITS = 10  # a character of 8N1 on the wire

Done = Callable[[bytes, DriverFault | None], None]
"""Told once, in the loop, how an exchange ended: the answer's data, or the fault."""

_buses: dict[str, Bus] = {}
_closing: dict[str, asyncio.Task[None]] = {}  # a port is opened again when its last user gave it back


class Refused(DriverFault):
    """The unit answered, with an exception: this request is not for it."""


class Exchange:
    """One request on its way. `request` may be replaced until it is sent."""

    __slots__ = ("done", "request", "timeout_s", "wanted")

    def __init__(self, request: Request, timeout_s: float, done: Done) -> None:
        self.request = request
        self.timeout_s = timeout_s
        self.done = done
        self.wanted = True

    def leave(self) -> None:
        """Nobody waits any more: it is not sent, or its answer goes nowhere."""
        self.wanted = False


class Bus:
    """The line at `port`. It carries out one exchange after the other, also one whose caller has left.

    Otherwise the late answer would be taken for the answer to the next request. `damaged` counts what
    came over the line and was no answer.
    """

    def __init__(self, port: str, baudrate: int, line: Line | None = None) -> None:
        self.port = port
        self.baudrate = baudrate
        self.turnaround_s = 0.0
        self.users = 0
        self._loop = asyncio.get_running_loop()
        self._answers = Answers()
        self._posted: deque[Exchange] = deque()
        self._commands: deque[Exchange] = deque()
        self._reads: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._queue = self._reads  # that the current exchange came from
        self._heard = 0  # damaged telegrams before the current exchange
        self._sent_at = self._late = self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._fault: DriverFault | None = None
        self._line = line
        self._fd = -1 if line is None else line.fd
        self._opening: asyncio.Task[None] | None = None
        if line is None:
            self._opening = asyncio.create_task(self._open(), name=f"modbus {port}")

    @property
    def damaged(self) -> int:
        """Telegrams, or stretches of noise, that were no answer; since the line was opened."""
        return self._answers.damaged

    @property
    def line(self) -> Line:
        """The open line. Raises DriverFault."""
        if self._line is None or self._fault is not None:
            raise self._fault or DriverFault(f"{self.port}: not open yet")
        return self._line

    # Asking

    def submit(self, request: Request, timeout_s: float, done: Done, *, command: bool = False) -> Exchange:
        """Queue a request, commands before reads; `done` is called from the loop, or from within this call.

        The fault it is given: no valid answer in `timeout_s` (counted from when it is sent), the unit
        refuses (Refused), or the line is lost. Raises DriverFault when the line is lost already.
        """
        if self._fault is not None:
            raise self._fault
        exchange = Exchange(request, timeout_s, done)
        (self._commands if command else self._reads).append(exchange)
        if self._current is None:
            self._next()
        return exchange

    async def ask(self, request: Request, timeout_s: float, *, command: bool = False) -> bytes:
        """`submit` for coroutines: the data of the answer, empty for a write. Raises DriverFault."""
        answer: asyncio.Future[bytes] = self._loop.create_future()

        def done(data: bytes, fault: DriverFault | None) -> None:
            if answer.done():
                return
            if fault is None:
                answer.set_result(data)
            else:
                answer.set_exception(fault)

        exchange = self.submit(request, timeout_s, done, command=command)
        try:
            return await answer
        except asyncio.CancelledError:
            exchange.leave()
            raise

    def post(self, request: Request, timeout_s: float, done: Done) -> None:
        """Write a command to coils now, or next if an exchange is under way. Raises DriverFault when lost.

        That exchange has its time on the wire and PATIENCE_S, then it is put off; a posted one that
        others wait for fails then. Commands that wait for the same coils are changed, so that none of
        them undoes this one.
        """
        if self._fault is not None:
            raise self._fault
        if self._commands or self._posted:
            for waiting in (*self._posted, *self._commands):
                waiting.request = _amended(waiting.request, request)
            if any(waiting.request.frame == request.frame for waiting in self._posted):
                return
        if self._current is not None:
            self._posted.append(Exchange(request, timeout_s, done))
            self._hurry(self._current)
        elif self._posted or self._line is None or self.turnaround_s:
            self._posted.append(Exchange(request, timeout_s, done))
            self._next()
        else:
            self._send(request.frame, Exchange(request, timeout_s, done), self._posted)

    # The line

    def _next(self) -> None:
        """Send what is to go next, if the line is free."""
        if self._line is None or self._fault is not None or self._pause is not None:
            return
        while queue := self._posted or self._commands or self._reads:
            exchange = queue[0]
            if not exchange.wanted:
                queue.popleft()
                continue
            if self.turnaround_s and (left := self._free_at - self._loop.time()) > 0:
                self._pause = self._loop.call_later(left, self._resume)
                return
            queue.popleft()
            self._send(exchange.request.frame, exchange, queue)
            return

    def _send(self, frame: bytes, exchange: Exchange, queue: deque[Exchange]) -> None:
        """Write first, keep books afterwards."""
        try:
            written = os.write(self._fd, frame)
        except BlockingIOError:
            written = 0
        except OSError:
            written = -1
        self._current, self._queue = exchange, queue
        if written != len(frame):
            stuck = "the line takes no more bytes; the adapter is stuck"
            lost = "the line is lost; check the cable of the adapter"
            self._die(DriverFault(f"{self.port}: {lost if written < 0 else stuck}"))
            return
        self._answers.expect(exchange.request)
        self._heard = self._answers.damaged
        self._sent_at = self._loop.time()
        self._due(self._sent_at + exchange.timeout_s)
        if self._posted:
            self._hurry(exchange)

    def _resume(self) -> None:
        self._pause = None
        if self._current is None:
            self._next()

    def forget(self) -> None:
        """Wait for no answer any more and send nothing more; for a line that leads to nobody."""
        self._answers.drop()
        self._posted.clear()
        self._current = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def take(self) -> None:
        """Take some of what came over the line; called when there is something."""
        try:
            data = os.read(self._fd, MOST_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._die(DriverFault(f"{self.port}: the line is lost; check the cable of the adapter"))
            return
        answer = self._answers.feed(data)
        if answer is None:
            return
        if type(answer) is bytes:
            self._finish(answer, None)
        else:
            self._finish(b"", self._refused(answer))

    def _finish(self, data: bytes, fault: DriverFault | None) -> None:
        """The exchange under way is over: tell whoever asked, and send the next."""
        exchange, self._current = self._current, None
        if self.turnaround_s:
            self._free_at = self._loop.time() + self.turnaround_s
        try:
            if exchange is not None and exchange.wanted:
                exchange.done(data, fault)
        finally:
            if self._current is None:  # what was told may have posted
                self._next()

    def _refused(self, refusal: bytes | Refusal) -> Refused:
        assert self._current is not None and isinstance(refusal, Refusal)
        request = self._current.request
        return Refused(
            f"{self.port}: unit {request.unit} refuses function {request.function} at address "
            f"{request.address} (exception {refusal.code}); check unit and channel numbers"
        )

    # Time-outs: one timer for all of them, which looks again when it comes too early

    def _due(self, late: float) -> None:
        self._late = late
        if self._timer is None or self._timer.when() > late:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(late, self._look)

    def _hurry(self, exchange: Exchange) -> None:
        """Something posted waits for this exchange."""
        on_wire = (len(exchange.request.frame) + exchange.request.size) * BITS / self.baudrate
        self._due(min(self._late, self._sent_at + on_wire + PATIENCE_S))

    def _look(self) -> None:
        self._timer = None
        exchange = self._current
        if exchange is None:
            return
        now = self._loop.time()
        if now < self._late:
            self._due(self._late)
            return
        self._answers.drop()
        waited = min(now - self._sent_at, exchange.timeout_s)
        if waited < exchange.timeout_s and self._queue is not self._posted:  # put off, not failed
            self._current = None
            self._queue.appendleft(exchange)
            if self._queue is self._commands:
                for posted in self._posted:
                    exchange.request = _amended(exchange.request, posted.request)
            self._next()
            return
        damaged = self._answers.damaged - self._heard
        how = f"gives damaged answers ({damaged} of them, " if damaged else "does not answer ("
        self._finish(
            b"",
            DriverFault(
                f"{self.port}: unit {exchange.request.unit} {how}waited {waited:.3g} s); check "
                f"its power, its wires, unit number and {self.baudrate} baud"
            ),
        )

    # Opening and closing

    async def _open(self) -> None:
        try:
            if (former := _closing.get(self.port)) is not None:
                await asyncio.wait({former}, timeout=CLOSE_S)
            line = await in_thread(
                lambda: open_line(self.port, self.baudrate),
                OPEN_S,
                f"opening {self.port}",
                undo=lambda line: line.close(),
            )
        except DriverFault as fault:
            self._die(fault)
        except (OSError, ValueError):
            self._die(DriverFault(f"{self.port}: {why_not_open(self.port)}"))
        else:
            self._line, self._fd = line, line.fd
            self._loop.add_reader(line.fd, self.take)
            self._next()

    def _die(self, fault: DriverFault) -> None:
        """No further exchange; the next one to open the port gets a new bus."""
        if self._fault is not None:
            return
        self._fault = fault
        if _buses.get(self.port) is self:
            del _buses[self.port]
        for timer in (self._timer, self._pause):
            if timer is not None:
                timer.cancel()
        if self._line is not None:
            self._loop.remove_reader(self._line.fd)
            _closing[self.port] = self._loop.create_task(self._give_back(self._line))
        failed = [self._current] if self._current is not None else []
        self._current = None
        for exchange in (*failed, *self._posted, *self._commands, *self._reads):
            if exchange.wanted:
                exchange.done(b"", fault)
        for queue in (self._posted, self._commands, self._reads):
            queue.clear()

    async def _give_back(self, line: Line) -> None:
        try:
            with suppress(DriverFault):  # the kernel may wait for bytes to drain, so not in the loop
                await in_thread(line.close, CLOSE_S, f"closing {self.port}")
        finally:
            if _closing.get(self.port) is asyncio.current_task():
                del _closing[self.port]

    async def close(self) -> None:
        """Give the port back; safe to repeat and after a fault."""
        self._die(DriverFault(f"{self.port}: closed"))
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if (closing := _closing.get(self.port)) is not None:
            await asyncio.wait({closing}, timeout=CLOSE_S)


def _amended(older: Request, newer: Request) -> Request:
    """The older command with the states of the newer one where both command the same coils."""
    start = max(older.address, newer.address)
    end = min(older.address + len(older.states), newer.address + len(newer.states))
    if older.unit != newer.unit or start >= end:
        return older
    states = list(older.states)
    states[start - older.address : end - older.address] = newer.states[
        start - newer.address : end - newer.address
    ]
    return write_coils(older.unit, older.address, states)


@asynccontextmanager
async def bus(port: str, baudrate: int, turnaround_s: float = 0.0) -> AsyncIterator[Bus]:
    """The bus at `port`, opened by its first user and closed by its last one.

    The port is opened in the background: a port that does not open fails the first exchange. Of several
    `turnaround_s` (seconds of silence before each request) the longest counts.
    """
    shared = _buses.get(port)
    if shared is None:
        shared = _buses[port] = Bus(port, baudrate)
    elif shared.baudrate != baudrate:
        raise DriverFault(f"{port}: in use at {shared.baudrate} baud; give its devices the same baudrate")
    shared.turnaround_s = max(shared.turnaround_s, turnaround_s)
    shared.users += 1
    try:
        yield shared
    finally:
        shared.users -= 1
        if not shared.users:
            await shared.close()
