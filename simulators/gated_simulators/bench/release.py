"""How long from an alarm contact to the release outputs: `gated-release` over a Modbus board on a pty.

The board is a process of its own. It stamps the moment it hands over the answer that carries the alarm
bit and the moment the last coil is commanded open, so a trial is all that happens on our side of the
wire and nothing else: no polling interval, no board. The rival does the same over the same wire with a
blocking loop and hand-made frames: no latch, no records, no supervision; it is the floor of the language.

    python -m gated_simulators.bench.release [TRIALS [IDLE_TRIALS]]
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import select
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
RIVAL = "a blocking loop over hand-made frames: the floor of the language"
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


async def measure(trials: int = 2000, idle_trials: int | None = None) -> dict[str, Figures]:
    """alarm_to_release_ms with every core busy and alarm_to_release_idle_ms, each beside the rival."""
    found = {}
    for key, busy, count in (
        ("alarm_to_release_ms", os.cpu_count() or 1, trials),
        ("alarm_to_release_idle_ms", 0, trials if idle_trials is None else idle_trials),
    ):
        async with _busy(busy):
            ours = spread(await _trials("release", count))
            found[key] = ours | {"rival": {"name": RIVAL, **spread(await _trials("rival", count))}}
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
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@asynccontextmanager
async def _busy(count: int) -> AsyncIterator[None]:
    """`count` processes that do nothing but compute."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(count):
            await stack.enter_async_context(_process("-c", "while True: sum(range(10000))"))
        yield


@asynccontextmanager
async def _board(site: Path, trials: int) -> AsyncIterator[asyncio.subprocess.Process]:
    port = site / "bus"
    async with _process("-m", MODULE, "board", str(port), str(trials), pipe=True) as board:
        assert board.stdout is not None
        await board.stdout.readline()  # it is there
        (site / "release.toml").write_text(CONFIG.format(port=port))
        yield board


async def _lines(board: asyncio.subprocess.Process) -> AsyncIterator[float]:
    assert board.stdout is not None
    while line := await board.stdout.readline():
        yield float(line)


async def _trials(who: str, trials: int) -> list[float]:
    """Milliseconds of each trial."""
    with tempfile.TemporaryDirectory() as name:
        site = Path(name)
        async with _board(site, trials) as board:
            if who == "rival":
                async with _process("-m", MODULE, "rival", str(site / "bus")):
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
            async with _board(site, 0) as board:
                begin = time.monotonic()
                async with _process("-m", "gated.release.service", "--config", str(site / "release.toml")):
                    found.append(await anext(_lines(board)) - begin)
    return found


# The board


def board(port: str, trials: int) -> None:
    """Serve the wire; print when the outputs were first commanded, then the seconds of each trial."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    Path(port).symlink_to(os.ttyname(theirs))
    _first_in_line(BOARD_PRIORITY)
    print("here", flush=True)
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
