"""How long from an alarm contact to the release outputs: `gated-release` and a simulated Modbus board.

The board is a process of its own. It stamps the moment it hands over the answer that carries the alarm
bit and the moment the last coil is commanded open, so a trial is all that happens on our side of the
wire and nothing else: no polling interval, no board. The rival does the same over the same wire with a
blocking loop and hand-made frames: no latch, no records, no supervision; it is the floor of the language.

Two wires: a pty, and Modbus RTU through a raw TCP port as serial device servers offer it. The kernel
hands bytes over a pty by a worker of ordinary priority, which waits milliseconds for a busy processor
whatever our own priority is; the TCP wire has no such worker and shows what the software costs.

    python -m gated_simulators.bench.release [TRIALS [OTHERS]]
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import select
import signal
import socket
import sys
import tempfile
import time
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gated.errors import GatedError
from gated.release import client
from gated_simulators.bench.figures import Figures, spread
from gated_simulators.rigs._modbus_board import READ_COILS, READ_INPUTS, WRITE_COILS, crc16

MODULE = "gated_simulators.bench.release"
RIVAL = "blocking loop, hand-made frames: the language's floor"
LANES = 2
PRIORITY = 40
BOARD_PRIORITY = 60
CONFIG = """\
[release]
state_dir = "state"
socket = "release.sock"
reset_by = ["bench"]
relock_warning_s = 0
relock_interval_s = 0
realtime_priority = 40

[devices.board-in]
driver = "contact_modbus"
port = "{port}"
channels = [0]

[devices.board-out]
driver = "relay_modbus"
port = "{port}"
rest = {{ 0 = false, 1 = false }}

[inputs.fire]
cause = "fire"
device = "board-in"
channel = 0
alarm_when = "closed"

[outputs.lane-1]
device = "board-out"
channel = 0
energised = "may_shut"

[outputs.lane-2]
device = "board-out"
channel = 1
energised = "may_shut"
"""


async def measure(trials: int = 1000, others: int = 200) -> dict[str, Figures]:
    """`trials` for alarm_to_release_ms, which has every core busy; `others` for idle cores and for a pty.

    Each figure has its rival's beside it; milliseconds.
    """
    found = {}
    cores = os.cpu_count() or 1
    for key, wire, busy, count in (
        ("alarm_to_release_ms", "tcp", cores, trials),
        ("alarm_to_release_idle_ms", "tcp", 0, others),
        ("alarm_to_release_pty_ms", "pty", cores, others),
    ):
        async with _busy(busy):
            ours = spread(await _trials("release", wire, count))
            rival = spread(await _trials("rival", wire, count))
            found[key] = ours | {"rival": {"name": RIVAL, **rival}}
    return found


@asynccontextmanager
async def _process(*arguments: str, pipe: bool = False) -> AsyncIterator[asyncio.subprocess.Process]:
    """A child of ours, ended at the end; it keeps quiet."""
    out = asyncio.subprocess.PIPE if pipe else asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=out,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(
                ProcessLookupError
            ):  # not terminate(): that reaps a child asyncio waits for
                os.kill(process.pid, signal.SIGTERM)
        await process.wait()


@asynccontextmanager
async def _busy(count: int) -> AsyncIterator[None]:
    """`count` processes that do nothing but compute."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(count):
            await stack.enter_async_context(_process("-c", "while True: sum(range(10000))"))
        yield


@asynccontextmanager
async def _board(site: Path, wire: str, trials: int) -> AsyncIterator[asyncio.subprocess.Process]:
    async with _process("-m", MODULE, "board", wire, str(trials), pipe=True) as board:
        assert board.stdout is not None
        port = (await board.stdout.readline()).decode().strip()
        (site / "release.toml").write_text(CONFIG.format(port=port))
        (site / "port").write_text(port)
        yield board


async def _lines(board: asyncio.subprocess.Process) -> AsyncIterator[float]:
    assert board.stdout is not None
    while line := await board.stdout.readline():
        yield float(line)


async def _trials(who: str, wire: str, trials: int) -> list[float]:
    """Milliseconds of each trial."""
    with tempfile.TemporaryDirectory() as name:
        site = Path(name)
        async with _board(site, wire, trials) as board:
            if who == "rival":
                async with _process("-m", MODULE, "rival", (site / "port").read_text()):
                    return [1000 * s async for s in _lines(board)][1:]
            async with _process("-m", "gated.release.service", "--config", str(site / "release.toml")):
                resetting = asyncio.create_task(_reset_for_ever(site / "release.sock"))
                try:
                    return [1000 * s async for s in _lines(board)][1:]  # the first answer is the arming
                finally:
                    resetting.cancel()
                    await asyncio.gather(resetting, return_exceptions=True)


async def _reset_for_ever(socket: Path) -> None:
    """Be the guard: reset whenever an alarm is over."""
    while True:
        try:
            async for state in client.watch(socket):
                if state.phase == "alarm" and all(i.state == "clear" for i in state.inputs.values()):
                    await client.request(socket, "reset", by="bench", why="next trial")
        except GatedError:
            await asyncio.sleep(0.01)


async def armed(times: int) -> list[float]:
    """Seconds from starting the process to the command that a newly started service gives its outputs."""
    found = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as name:
            site = Path(name)
            async with _board(site, "pty", 0) as board:
                begin = time.monotonic()
                async with _process("-m", "gated.release.service", "--config", str(site / "release.toml")):
                    found.append(await anext(_lines(board)) - begin)
    return found


# The board


def board(wire: str, trials: int) -> None:
    """Serve the wire; print its port, when the outputs were first commanded, the seconds of each trial."""
    if wire == "pty":
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        print(os.ttyname(theirs), flush=True)
    else:
        listening = socket.create_server(("127.0.0.1", 0))
        print(f"socket://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        connection, _ = listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ours = connection.fileno()
    _first_in_line(BOARD_PRIORITY)
    coils, alarm, told_at, due = [False] * LANES, False, 0.0, 0.0
    buffer, done = b"", 0
    while done <= trials:  # the first line is the arming
        select.select([ours], [], [])
        buffer += os.read(ours, 512)
        at = time.monotonic()
        size = 9 + buffer[6] if len(buffer) > 6 and buffer[1] == WRITE_COILS else 8
        if len(buffer) < size:
            continue
        frame, buffer = buffer[: size - 2], buffer[size:]
        if frame[1] == READ_INPUTS:
            if not alarm and due and at >= due:
                alarm, due = True, 0.0
            answer = frame[:2] + bytes([1, alarm])
        elif frame[1] == READ_COILS:
            answer = frame[:2] + bytes([1, sum(on << i for i, on in enumerate(coils))])
        else:
            coils = _switched(coils, frame)
            answer = frame[:6]
        answer += crc16(answer)
        if frame[1] == READ_INPUTS and alarm and not told_at:
            told_at = time.monotonic()
        os.write(ours, answer)
        if all(coils) and not alarm and not due:  # armed, or relocked: the next alarm at any time
            if not done:
                print(at, flush=True)
                done += 1
            due = time.monotonic() + random.uniform(0.005, 0.03)
        elif told_at and not any(coils):
            print(at - told_at, flush=True)
            done, alarm, told_at = done + 1, False, 0.0


def _switched(coils: list[bool], frame: bytes) -> list[bool]:
    """The coils after a write of one (05) or several (0F)."""
    first = int.from_bytes(frame[2:4], "big")
    count = int.from_bytes(frame[4:6], "big") if frame[1] == WRITE_COILS else 1
    bits = frame[7] if frame[1] == WRITE_COILS else frame[4] & 1
    return [bool(bits >> i - first & 1) if first <= i < first + count else on for i, on in enumerate(coils)]


# The rival


def rival(port: str) -> None:
    """Poll, and open when the alarm bit is set; shut again when it is clear. Blocking, and nothing else."""
    if port.startswith("socket://"):
        connection = socket.create_connection(("127.0.0.1", int(port.rpartition(":")[2])))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fd = connection.fileno()
    else:
        fd = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(fd)
    _first_in_line(PRIORITY)
    poll = _framed(bytes([1, READ_INPUTS, 0, 0, 0, 1]))
    write = {on: _framed(bytes([1, WRITE_COILS, 0, 0, 0, LANES, 1, on * 3])) for on in (False, True)}
    holding = None
    while True:
        os.write(fd, poll)
        clear = not _answer(fd, 6)[3]
        if clear is not holding:
            holding = clear
            os.write(fd, write[clear])
            _answer(fd, 8)
        select.select([], [], [], 0.02)


def _framed(body: bytes) -> bytes:
    return body + crc16(body)


def _answer(fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += os.read(fd, size - len(data))
    return data


def _first_in_line(priority: int) -> None:
    """Real-time priority where it is permitted; hardware has no scheduler to wait for."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))


if __name__ == "__main__":
    if sys.argv[1:2] == ["board"]:
        board(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1:2] == ["rival"]:
        rival(sys.argv[2])
    else:
        print(json.dumps(asyncio.run(measure(*map(int, sys.argv[1:]))), indent=1))
