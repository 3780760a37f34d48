"""How long from an alarm contact to the release outputs: `gated-release` and a simulated Modbus board.

The board (board.py) times the trials and the rival (rival.py) does the same work over a line of its own,
in turn with ours, so that whatever else the machine does falls on both alike.

Two wires: a pty, and Modbus RTU through a raw TCP port as serial device servers offer it. The kernel
hands bytes over a pty by a worker of ordinary priority, which waits milliseconds for a busy processor
whatever our own priority is; the TCP wire has no such worker and shows what the software costs.

    python -m gated_simulators.bench.release [TRIALS [OTHERS]]
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gated.errors import GatedError
from gated_simulators.bench import rival
from gated_simulators.bench.figures import Figures, spread
from gated_simulators.processes import die_with_parent, send

BLOCK = 100
POLL_S = 0.02
PRIORITY = 40
CONFIG = """\
[release]
state_dir = "{state_dir}"
socket = "release.sock"
reset_by = ["bench"]
relock_warning_s = 0
relock_interval_s = 0
realtime_priority = {priority}

[devices.board-in]
driver = "contact_modbus"
port = "{port}"
channels = [0]
poll_s = {poll_s}

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


@dataclass
class Trials:
    """What came of some trials: milliseconds of each, how many alarms were missed, why there are no more."""

    ms: list[float] = field(default_factory=list)
    missed: int = 0
    stuck: str = ""

    def add(self, answer: Mapping[str, Any]) -> None:
        """Take in what the board told of a block."""
        self.ms += answer["ms"]
        self.missed += answer["missed"]
        self.stuck = self.stuck or answer["stuck"]


class BoardProcess:
    """The board, and how it is told what to do."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.ports: dict[str, str] = {}

    async def line(self) -> Any:
        """The next line it says. Raises GatedError when it ended."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise GatedError("the board of the bench ended early; see what it said above")
        return json.loads(line)

    async def ask(self, **request: Any) -> Any:
        """One request, one answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        return await self.line()

    async def block(self, line: str, trials: int) -> Any:
        """Some trials on the line of "release" or of the "rival"."""
        return await self.ask(block=line, trials=trials)


@asynccontextmanager
async def child(
    *arguments: str,
    pipe: bool = False,
    env: Mapping[str, str] | None = None,
    python: str = sys.executable,
    log: Path | None = None,
    cwd: Path | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of ours with everything it starts, ended at the end; it keeps quiet."""
    null = asyncio.subprocess.DEVNULL
    with (log or Path(os.devnull)).open("ab") as said:
        process = await asyncio.create_subprocess_exec(
            python,
            *arguments,
            stdin=asyncio.subprocess.PIPE if pipe else null,
            stdout=asyncio.subprocess.PIPE if pipe else null,
            stderr=None if pipe else said,
            env=None if env is None else {**os.environ, **env},
            cwd=cwd,
            limit=1 << 24,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        yield process
    finally:
        send(process, signal.SIGTERM)
        send(process, signal.SIGCONT)
        try:
            async with asyncio.timeout(8):
                await process.wait()
        except TimeoutError:
            send(process, signal.SIGKILL)
            await process.wait()


@asynccontextmanager
async def busy(count: int) -> AsyncIterator[None]:
    """`count` processes that do nothing but compute."""
    async with AsyncExitStack() as stack:
        for _ in range(count):
            await stack.enter_async_context(child("-c", "while True: sum(range(10000))"))
        yield


@asynccontextmanager
async def far_board(wire: str, socket: Path) -> AsyncIterator[BoardProcess]:
    """The board, on "tcp" or "pty"; it resets at the release's `socket`."""
    async with child("-m", "gated_simulators.bench.board", wire, str(socket), pipe=True) as process:
        board = BoardProcess(process)
        board.ports = await board.line()
        yield board


def rival_arguments(port: str, poll_s: float, priority: int) -> tuple[str, ...]:
    """How the rival is started."""
    return ("-m", "gated_simulators.bench.rival", port, str(poll_s), str(priority))


async def measure(trials: int = 1000, others: int = 200) -> dict[str, Figures]:
    """`trials` for alarm_to_release_ms, which has every core busy; `others` for idle cores and for a pty.

    Each figure has its rival's beside it; milliseconds.
    """
    found = {}
    cores = os.cpu_count() or 1
    for key, wire, burning, count in (
        ("alarm_to_release_ms", "tcp", cores, trials),
        ("alarm_to_release_idle_ms", "tcp", 0, others),
        ("alarm_to_release_pty_ms", "pty", cores, others),
    ):
        async with busy(burning):
            ours, theirs = await _in_turn(wire, count)
        for who, of in (("gated-release", ours), ("its rival", theirs)):
            if of.missed or of.stuck:
                raise GatedError(f"{key}: {who} missed {of.missed} of {count} alarms. {of.stuck}")
        found[key] = spread(ours.ms) | {"rival": {"name": rival.NAME, **spread(theirs.ms)}}
    return found


async def _in_turn(wire: str, count: int) -> tuple[Trials, Trials]:
    ours, theirs = Trials(), Trials()
    with tempfile.TemporaryDirectory() as name:
        site = Path(name)
        async with AsyncExitStack() as running:
            board = await running.enter_async_context(far_board(wire, site / "release.sock"))
            await running.enter_async_context(_release(site, board))
            await running.enter_async_context(child(*rival_arguments(board.ports["rival"], POLL_S, PRIORITY)))
            for done in range(0, count, BLOCK):
                size = min(BLOCK, count - done)
                ours.add(await board.block("release", size))
                theirs.add(await board.block("rival", size))
                if ours.stuck or theirs.stuck:
                    break
    return ours, theirs


def _release(site: Path, board: BoardProcess) -> Any:
    text = CONFIG.format(state_dir="state", port=board.ports["release"], poll_s=POLL_S, priority=PRIORITY)
    config = site / "release.toml"
    config.write_text(text)
    return child("-m", "gated.release.service", "--config", str(config))


async def armed(times: int) -> list[float]:
    """Seconds from starting the process to the command that a newly started service gives its outputs."""
    found = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as name:
            site = Path(name)
            async with far_board("pty", site / "release.sock") as board:
                begin = time.monotonic()
                async with _release(site, board):
                    found.append((await board.ask(armed="release"))["at"] - begin)
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(*map(int, sys.argv[1:]))), indent=1))
