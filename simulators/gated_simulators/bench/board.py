"""The board at the far end of `gated-release` and of its rival, a process of its own that does the trials.

It has two lines, one for each, and does a block of trials on one of them at a time. A trial: when both
coils are held the alarm contact closes at a random moment. The board stamps the moment it hands over the
answer that carries the alarm bit and the moment the last coil is commanded open, so a trial is all that
happens on our side of the wire and nothing else: no polling interval, no board. Then the contact opens
again, and on the release's line the board is the guard too and asks for a reset at the release's socket.

An alarm that is not answered by an opening within MISSED_S is a missed alarm: counted, never an error.
The line that is not on turn is answered so late that it costs next to nothing: whoever hangs on it rests.

    python -m gated_simulators.bench.board WIRE SOCKET

WIRE is "tcp" or "pty". It prints one line of JSON, {"release": port, "rival": port}, then answers each line
on standard input with one: {"block": line, "trials": n} by {"ms": [...], "missed": n, "stuck": sentence or
""}; {"strike": pid, "signal": n, "within_s": s} the same for one blow at a held board; {"armed": line} by
{"at": monotonic seconds} of the first command to all coils.
"""

# Over 300 lines would be two files; it is one loop, and its order is what is measured.

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import socket
import sys
import time
import tty
from dataclasses import dataclass, field
from typing import Any

from gated_simulators.rigs._modbus_board import READ_COILS, READ_INPUTS, WRITE_COILS, crc16

PRIORITY = 60
LANES = 2
MISSED_S = 2.0
STUCK_S = 20.0  # the longest that relocking may take
GIVE_UP = 5  # missed in a row: nobody is there
REST_S = 0.1  # how late the line that rests is answered; under any time-out of a driver
# From relocking to the next alarm: what relocking stirred up is done by then; wider than a polling interval.
CALM_S = (0.010, 0.0145)
RESET = b'{"do":"reset","by":"bench","why":"next trial"}\n'
SETTLE_S = 0.0005  # from the answer that the contact is open to the request for a reset
AGAIN_S = 0.5  # a reset that led to nothing is asked for again


@dataclass
class Line:
    """One wire and what hangs on it."""

    name: str
    listening: socket.socket | None = None
    fd: int = -1
    port: str = ""
    buffer: bytes = b""
    coils: list[bool] = field(default_factory=lambda: [False] * LANES)
    alarm: bool = False
    armed_at: float = 0.0
    held_back: bytes = b""
    answer_at: float = 0.0
    told_at: float = 0.0
    clear_at: float = 0.0  # when it was first told that the contact is open again

    @property
    def held(self) -> bool:
        """Every coil is energised: the lanes may be shut."""
        return all(self.coils)

    def plug(self, wire: str) -> None:
        """Be there for whoever opens `port`."""
        if wire == "pty":
            self.fd, theirs = os.openpty()
            tty.setraw(theirs)
            self.port = os.ttyname(theirs)
        else:
            self.listening = socket.create_server(("127.0.0.1", 0))
            self.port = f"socket://127.0.0.1:{self.listening.getsockname()[1]}"

    def accept(self) -> None:
        """A new peer; one that is there still is forgotten."""
        assert self.listening is not None
        self.hang_up()
        connection, _ = self.listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fd = connection.detach()

    def hang_up(self) -> None:
        """Nobody is there."""
        if self.listening is not None and self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self.buffer = self.held_back = b""

    def read(self) -> bytes:
        """The next whole frame; empty while there is none. Hangs up at the end of the line."""
        try:
            data = os.read(self.fd, 512)
        except OSError:
            data = b""
        if not data:
            self.hang_up()
            return b""
        self.buffer += data
        return self.frame()

    def frame(self) -> bytes:
        """The next whole frame of what was read."""
        buffer = self.buffer
        size = 9 + buffer[6] if len(buffer) > 6 and buffer[1] == WRITE_COILS else 8
        if len(buffer) < size:
            return b""
        self.buffer = buffer[size:]
        return buffer[: size - 2]

    def send(self, data: bytes) -> None:
        """Put an answer on the line."""
        try:
            os.write(self.fd, data)
        except OSError:
            self.hang_up()

    def carry_out(self, frame: bytes) -> bytes:
        """Do as the frame says; its answer."""
        if frame[1] == READ_INPUTS:
            answer = frame[:2] + bytes([1, self.alarm])
        elif frame[1] == READ_COILS:
            answer = frame[:2] + bytes([1, sum(on << i for i, on in enumerate(self.coils))])
        else:
            self.coils = _switched(self.coils, frame)
            answer = frame[:6]
        return answer + crc16(answer)


def _switched(coils: list[bool], frame: bytes) -> list[bool]:
    """The coils after a write of one (05) or several (0F)."""
    first = int.from_bytes(frame[2:4], "big")
    count = int.from_bytes(frame[4:6], "big") if frame[1] == WRITE_COILS else 1
    bits = frame[7] if frame[1] == WRITE_COILS else frame[4] & 1
    return [bool(bits >> i - first & 1) if first <= i < first + count else on for i, on in enumerate(coils)]


class Guard:
    """Who resets, over one conversation that stays."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._asked_at = 0.0

    def ask(self, now: float) -> None:
        """Ask for a reset, unless that was done just now."""
        if now < self._asked_at + AGAIN_S:
            return
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX)
                self._socket.connect(self._path)
                self._socket.setblocking(False)
            self._socket.send(RESET)
            self._asked_at = now
        except OSError:
            self.leave()

    def hear(self) -> None:
        """Take the answers in; after a refusal the next poll asks again."""
        if self._socket is None:
            return
        try:
            while answer := self._socket.recv(1 << 16):
                if answer.startswith(b'{"ok":false'):
                    self._asked_at = 0.0
        except BlockingIOError:
            return
        except OSError:
            pass
        self.leave()

    def begin(self) -> None:
        """A new alarm: the next reset is wanted at once."""
        self._asked_at = 0.0

    def leave(self) -> None:
        """End the conversation; the next reset begins another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._asked_at = 0.0


class Bench:
    """The lines, and whose turn it is."""

    def __init__(self, wire: str, socket_path: str) -> None:
        self.lines = {name: Line(name) for name in ("release", "rival")}
        for line in self.lines.values():
            line.plug(wire)
        self.guard = Guard(socket_path)
        self.turn = self.lines["release"]
        self.due = 0.0  # when the contact closes; 0: not before the coils are held
        self.opened_at = 0.0

    def step(self, wait_s: float) -> None:
        """Serve the lines once; at most `wait_s` seconds."""
        now = time.monotonic()
        waiting = []
        for line in self.lines.values():
            if line.listening is not None:
                waiting.append(line.listening.fileno())
            if line.held_back:
                if line.fd >= 0 and now >= line.answer_at:
                    answer, line.held_back = line.held_back, b""
                    line.send(answer)
                else:
                    wait_s = min(wait_s, max(0.0, line.answer_at - now))
            if line.fd >= 0:
                waiting.append(line.fd)
        ready, _, _ = select.select(waiting, [], [], wait_s)
        at = time.monotonic()
        for line in self.lines.values():
            if line.listening is not None and line.listening.fileno() in ready:
                line.accept()
            elif line.fd in ready:
                frame = line.read()
                while frame:
                    self._serve(line, frame, at)
                    frame = line.frame()

    def _serve(self, line: Line, frame: bytes, at: float) -> None:
        polled, on_turn = frame[1] == READ_INPUTS, line is self.turn
        if polled and on_turn and self.due and at >= self.due:
            line.alarm, self.due = True, 0.0
        answer = line.carry_out(frame)
        if polled and not on_turn:
            line.held_back, line.answer_at = answer, at + REST_S
            return
        if polled and line.alarm and not line.told_at:
            line.told_at = time.monotonic()
        line.send(answer)
        if line.held and not line.armed_at:
            line.armed_at = at
        if polled and on_turn and not line.alarm and not line.clear_at:
            line.clear_at = time.monotonic()
        if line.told_at and not any(line.coils):
            self.opened_at = at

    def until_held(self, line: Line) -> bool:
        """Wait until its coils are held; False when that takes too long."""
        until = time.monotonic() + STUCK_S
        while not line.held:
            self.step(SETTLE_S if line.clear_at else 0.5)
            self.guard.hear()
            now = time.monotonic()
            if line.name == "release" and line.clear_at and now >= line.clear_at + SETTLE_S:
                self.guard.ask(now)
            if now > until:
                return False
        return True

    def trial(self, line: Line) -> float | None:
        """Seconds from the alarm bit to the last coil; None: missed."""
        self.guard.begin()
        line.told_at = self.opened_at = 0.0
        line.clear_at = 0.0
        self.due = time.monotonic() + random.uniform(*CALM_S)
        until = self.due + MISSED_S
        while not self.opened_at and time.monotonic() < until:
            self.step(0.25)
            if line.told_at:
                until = line.told_at + MISSED_S
        seconds = self.opened_at - line.told_at if self.opened_at else None
        line.alarm, self.due, line.told_at = False, 0.0, 0.0
        return seconds

    def block(self, name: str, trials: int) -> dict[str, Any]:
        """Some trials on one line."""
        line = self.turn = self.lines[name]
        line.answer_at = 0.0
        found: list[float] = []
        missed = in_a_row = 0
        for _ in range(trials):
            if not self.until_held(line):
                return _told(found, missed, f"not shut again within {STUCK_S:g} s")
            seconds = self.trial(line)
            if seconds is None:
                missed, in_a_row = missed + 1, in_a_row + 1
                if in_a_row >= GIVE_UP:
                    return _told(found, missed, f"{GIVE_UP} alarms in a row were missed")
            else:
                found.append(seconds)
                in_a_row = 0
        self.until_held(line)
        return _told(found, missed)

    def strike(self, pid: int, number: int, within_s: float) -> dict[str, Any]:
        """Signal the process that holds the coils; how long until they are open."""
        line = self.turn = self.lines["release"]
        line.answer_at = 0.0
        if not self.until_held(line):
            return _told([], 0, f"not armed within {STUCK_S:g} s")
        until = time.monotonic() + random.uniform(0.0, 0.05)
        while (now := time.monotonic()) < until:
            self.step(until - now)
        struck_at = time.monotonic()
        os.kill(pid, number)
        while any(line.coils) and time.monotonic() < struck_at + within_s:
            self.step(0.01 if line.fd >= 0 else 0.25)
        opened_at = time.monotonic()
        found = [] if any(line.coils) else [opened_at - struck_at]
        line.coils = [False] * LANES
        return _told(found, 1 - len(found))

    def armed(self, name: str) -> dict[str, Any]:
        """When all coils were commanded first."""
        line = self.turn = self.lines[name]
        self.until_held(line)
        return {"at": line.armed_at}


def _told(seconds: list[float], missed: int, stuck: str = "") -> dict[str, Any]:
    return {"ms": [round(1e3 * s, 4) for s in seconds], "missed": missed, "stuck": stuck}


def first_in_line(priority: int) -> None:
    """Real-time priority where it is permitted; hardware has no scheduler to wait for."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))


def main(wire: str, socket_path: str) -> None:
    """Serve until standard input ends."""
    bench = Bench(wire, socket_path)
    print(json.dumps({name: line.port for name, line in bench.lines.items()}), flush=True)
    first_in_line(PRIORITY)
    asked = b""
    while True:
        while not select.select([0], [], [], 0)[0]:
            bench.step(0.02)
        data = os.read(0, 4096)
        if not data:
            return
        asked += data
        *lines, asked = asked.split(b"\n")
        for text in lines:
            match json.loads(text):
                case {"block": str(name), "trials": int(trials)}:
                    answer = bench.block(name, trials)
                case {"strike": int(pid), "signal": int(number), "within_s": float(within_s)}:
                    answer = bench.strike(pid, number, within_s)
                case {"armed": str(name)}:
                    answer = bench.armed(name)
                case request:
                    answer = {"error": f"what is {request}?"}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
