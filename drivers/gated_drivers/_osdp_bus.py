"""One OSDP line, shared by every reader of this process that names its port.

One exchange can be on the line at a time; the reader that waited longest is next. Everything happens in
callbacks of the loop: there is no task and no thread while the line is open.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from gated.ports import DriverFault
from gated_drivers._codecs.osdp import MARK, CardRead, Replies
from gated_drivers._codecs.osdp_secure import Untrusted
from gated_drivers._open_line import Line, open_line
from gated_drivers._osdp_talk import Talk
from gated_drivers._serial_line import in_thread, why_not_open

OPEN_S = 3.0
CLOSE_S = 1.0
MOST_READ = 512  # bytes taken at a time, so that a flood of garbage lets others have their turn
REPLY_S = 0.2  # after which a peripheral does not begin its reply any more (5.8)
BITS = 10  # a character of 8N1 on the wire
EXCHANGE = 96  # characters of the longest command and its reply
STOOD_S = 0.1  # a timer that rings so much too late: this process stood still
SILENCE = 2  # characters between a reply and the next command (5.6)

_buses: dict[str, Bus] = {}
_closing: dict[str, asyncio.Task[None]] = {}  # a port is opened again when its last user gave it back


class Member:
    """A reader on the line; its callbacks are called from the loop, `fault` once and nothing after it."""

    def __init__(
        self,
        talk: Talk,
        poll_s: float,
        offline_s: float,
        card: Callable[[CardRead], None],
        fault: Callable[[DriverFault], None],
        ready: Callable[[], None],
    ) -> None:
        self.talk = talk
        self.poll_s = poll_s
        self.offline_s = offline_s
        self.card = card
        self.fault = fault
        self.ready = ready
        self.due = 0.0
        self.good_at = 0.0  # its last answered poll; until then, when the line was open for it
        self.polled = 0  # polls answered by then
        self.heard = 0  # damaged replies since
        self.strayed = self.restarts = 0  # what the talk had counted by then

    def good(self, now: float, *, answered: bool = True) -> None:
        """It answered a poll, or has its first chance to."""
        self.good_at, self.polled, self.heard = now, self.talk.polled, 0
        self.strayed, self.restarts = self.talk.strayed, self.talk.restarts
        if not answered:
            self.due = now


class Bus:
    """The line at `port`."""

    def __init__(self, port: str, baudrate: int) -> None:
        self.port = port
        self.baudrate = baudrate
        self.users = 0
        self._loop = asyncio.get_running_loop()
        self._replies = Replies()
        self._members: dict[int, Member] = {}
        self._current: Member | None = None
        self._damaged = 0  # replies, before the exchange under way
        self._timer: asyncio.TimerHandle | None = None
        self._tick_at = 0.0  # when it is to ring
        self._fault: DriverFault | None = None
        self._line: Line | None = None
        self._reply_s = REPLY_S + EXCHANGE * BITS / baudrate
        self._silence_s = SILENCE * BITS / baudrate
        self._opening = asyncio.create_task(self._open(), name=f"osdp {port}")

    def join(self, member: Member) -> None:
        """Have the line talk with this reader. Raises DriverFault: the line is lost, the address is taken."""
        if self._fault is not None:
            raise self._fault
        address = member.talk.address
        if address in self._members:
            raise DriverFault(f"{self.port}: two readers at address {address}; give each its own")
        self._members[address] = member
        if self._line is not None:
            member.good(self._loop.time(), answered=False)
            if self._current is None:
                self._wake(0)

    def leave(self, member: Member) -> None:
        """Talk with it no more; safe to repeat."""
        if self._members.get(member.talk.address) is member:
            del self._members[member.talk.address]
        if self._current is member:  # its reply goes nowhere, and the line is free after it
            self._current = None
            self._replies.drop()
            self._wake(self._reply_s)

    # Taking turns: one timer, for the next turn or for the reply that does not come

    def _wake(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, self._tick)
        self._tick_at = self._loop.time() + delay_s

    def _tick(self) -> None:
        self._timer = None
        if self._fault is not None or self._line is None:
            return
        if (stood := self._loop.time() - self._tick_at) > STOOD_S:
            for member in self._members.values():  # it is not they who were silent
                member.good_at += stood
        if (late := self._current) is not None:
            self._late(late)
        if self._fault is None and self._members:
            member = min(self._members.values(), key=lambda member: member.due)
            if (wait := member.due - self._loop.time()) > 0:
                self._wake(wait)
            else:
                self._send(member, self._line)

    def _send(self, member: Member, line: Line) -> None:
        frame = MARK + member.talk.command()
        try:
            written = os.write(line.fd, frame)
        except BlockingIOError:
            written = 0
        except OSError:
            written = -1
        if written != len(frame):
            stuck = "the line takes no more bytes; the adapter is stuck: plug it in anew"
            lost = "the line is lost; check the cable of the adapter"
            self._die(DriverFault(f"{self.port}: {lost if written < 0 else stuck}"))
            return
        self._current = member
        self._replies.expect(member.talk.address)
        self._damaged = self._replies.damaged
        self._wake(self._reply_s)

    def _late(self, member: Member) -> None:
        """Its reply did not come."""
        self._current = None
        self._replies.drop()
        member.heard += self._replies.damaged - self._damaged
        member.talk.silence()
        now = self._loop.time()
        # At first at once; later the others have their turn.
        member.due = now + self._reply_s if member.talk.repeated else now
        self._judge(member, now)

    def _judge(self, member: Member, now: float) -> None:
        """Whether it has been away for too long."""
        if now - member.good_at <= member.offline_s:
            return
        if member.heard:
            what = f"gives damaged answers; check its wires, their ends and {self.baudrate} baud"
        elif member.talk.strayed > member.strayed:
            what = "answers out of turn; somebody may be on its wires: look at them and at the reader"
        elif member.talk.busy:
            what = "is busy all the time; switch its power off and on"
        elif member.talk.restarts > member.restarts:
            what = "loses its secure session again and again; check its power and its wires"
        else:
            what = f"does not answer; check its power, its wires, its address and {self.baudrate} baud"
        self._drop(member, f"{what} (waited {member.offline_s:g} s)")

    def _drop(self, member: Member, what: str) -> None:
        self.leave(member)
        member.fault(DriverFault(f"{self.port}: the reader at address {member.talk.address} {what}"))

    # What comes

    def take(self) -> None:
        """Take some of what came over the line; called when there is something."""
        if self._line is None:
            return
        try:
            data = os.read(self._line.fd, MOST_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._die(DriverFault(f"{self.port}: the line is lost; check the cable of the adapter"))
            return
        replies = self._replies.feed(data)
        if (member := self._current) is None:
            return
        for reply in replies:
            try:
                told = member.talk.reply(reply)
            except Untrusted as why:
                self._drop(member, str(why))
                return
            if told is not False:
                self._answered(member, told)
                return

    def _answered(self, member: Member, told: CardRead | bool) -> None:
        """The command under way has its reply."""
        self._current = None
        self._replies.drop()
        now, talk = self._loop.time(), member.talk
        member.due = now + member.poll_s if talk.polled or talk.busy else now
        if talk.trouble:
            self._drop(member, talk.trouble)
        elif talk.polled > member.polled:
            first = not member.polled
            member.good(now)
            if first:
                member.ready()
        else:
            self._judge(member, now)
        if isinstance(told, CardRead):
            member.card(told)
        self._wake(self._silence_s)

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
            self._line = line
            self._loop.add_reader(line.fd, self.take)
            for member in self._members.values():
                member.good(self._loop.time(), answered=False)
            self._wake(0)

    def _die(self, fault: DriverFault) -> None:
        """Nothing more goes over this line; the next one to open the port gets a new bus."""
        if self._fault is not None:
            return
        self._fault = fault
        if _buses.get(self.port) is self:
            del _buses[self.port]
        if self._timer is not None:
            self._timer.cancel()
        if self._line is not None:
            self._loop.remove_reader(self._line.fd)
            _closing[self.port] = self._loop.create_task(self._give_back(self._line))
        self._current = None
        members, self._members = self._members, {}
        for member in members.values():
            member.fault(fault)

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
        self._opening.cancel()
        await asyncio.gather(self._opening, return_exceptions=True)
        if (closing := _closing.get(self.port)) is not None:
            await asyncio.wait({closing}, timeout=CLOSE_S)


@asynccontextmanager
async def joined(port: str, baudrate: int, member: Member) -> AsyncIterator[None]:
    """The line at `port` talks with this reader meanwhile; opened by its first user, closed by its last one.

    The port is opened in the background: one that does not open is told to `member.fault`. Raises
    DriverFault where the port is in use at another speed, or the address by another reader.
    """
    shared = _buses.get(port)
    if shared is None:
        shared = _buses[port] = Bus(port, baudrate)
    elif shared.baudrate != baudrate:
        raise DriverFault(f"{port}: in use at {shared.baudrate} baud; give its readers the same baudrate")
    shared.users += 1
    try:
        shared.join(member)
        yield
    finally:
        shared.leave(member)
        shared.users -= 1
        if not shared.users:
            await shared.close()
