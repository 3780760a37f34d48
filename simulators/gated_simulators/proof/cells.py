"""The rows of the proof, and how one of them is measured."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from gated.errors import GatedError
from gated_simulators.bench.release import far_board
from gated_simulators.processes import send
from gated_simulators.proof import conditions
from gated_simulators.proof.conditions import Condition, Unavailable
from gated_simulators.proof.stage import PRIORITY, Stage, Surroundings
from gated_simulators.proof.verdict import HUNG, KILLED, LATENCY, NO_PRIORITY, Result

BLOCK = 500  # trials in a row; then the floor's
FLOOR_SHARE = 5  # one trial of the floor for so many of ours
WARM_UP = 20
ARMED_S = 15.0
SEEN_S = 20.0  # few trials are followed by more until their condition was seen to hold
HUNG_WITHIN_S, KILLED_WITHIN_S = 4.0, 2.0  # then the strike was not answered


@dataclass(frozen=True)
class Cell:
    """One row."""

    name: str
    title: str
    condition: Callable[[Stage], Condition] = Condition
    kind: str = LATENCY
    main: bool = False  # measured longest


CELLS = (
    Cell("baseline", "every core busy, gated with two cameras beside", main=True),
    Cell("no-priority", "the same without real-time priority", kind=NO_PRIORITY, main=True),
    Cell("gated-killed", "gated killed", conditions.GatedKilled),
    Cell("gated-stopped", "gated stopped (SIGSTOP)", conditions.GatedStopped),
    Cell("gated-crashes", "gated crash-looping", conditions.GatedCrashLoops),
    Cell("disk-full", "the state disk full", conditions.DiskFull),
    Cell("disk-read-only", "the state file system read-only", conditions.DiskReadOnly),
    Cell("clock-ahead", "the clock stepped by +50 years and back", conditions.ClockStepped),
    Cell("clock-back", "the clock stepped by -50 years and back", conditions.ClockSteppedBack),
    Cell("line-flooded", "another serial line flooded with garbage", conditions.LineFlooded),
    Cell("adapter-pulled", "another USB adapter pulled out and put back", conditions.AdapterPulled),
    Cell("update", "an update being installed", conditions.UpdateInstalled),
    Cell("release-killed", "gated-release killed: until every output is open", kind=KILLED),
    Cell("release-hung", "gated-release hung: until every output is open", kind=HUNG),
)


@dataclass(frozen=True)
class Sizes:
    """Trials by kind of row."""

    main: int = 100_000
    others: int = 10_000
    killed: int = 200
    hung: int = 20

    def of(self, cell: Cell) -> int:
        """How many for this row."""
        return {KILLED: self.killed, HUNG: self.hung}.get(cell.kind, self.main if cell.main else self.others)


async def measure(cell: Cell, around: Surroundings, trials: int) -> Result:
    """Measure one row; whatever goes wrong is in the result."""
    result = Result(cell.name, cell.title, cell.kind, trials)
    began = time.monotonic()
    try:
        async with AsyncExitStack() as stack:
            priority = 0 if cell.kind == NO_PRIORITY else PRIORITY
            stage = Stage(around, stack, priority)
            condition = cell.condition(stage)
            await condition.prepare()
            stage.board = await stack.enter_async_context(far_board("tcp", around.socket))
            if cell.kind in (KILLED, HUNG):
                await _strikes(stage, condition, result)
            else:
                await _trials(stage, condition, result)
    except Unavailable as error:
        result.skipped = str(error)
    except (GatedError, OSError, TimeoutError) as error:
        result.failure = str(error) or type(error).__name__
    result.seconds = round(time.monotonic() - began, 1)
    return result


async def _trials(stage: Stage, condition: Condition, result: Result) -> None:
    board = stage.board
    assert board is not None
    await stage.stack.enter_async_context(stage.release())
    await stage.rival()
    result.realtime = await _armed(stage)
    for line in ("release", "rival"):  # not counted, but an alarm that is missed is
        warm = await board.block(line, WARM_UP)
        result.trials.missed += warm["missed"] if line == "release" else 0
    await condition.begin()
    done, until = 0, time.monotonic() + SEEN_S
    while done < result.asked or (not result.evidence and time.monotonic() < until):
        size = min(BLOCK, max(result.asked - done, BLOCK // 10))
        result.trials.add(await board.block("release", size))
        if result.trials.stuck:
            break
        result.floor.add(await board.block("rival", max(1, size // FLOOR_SHARE)))
        done += size
        result.evidence = await condition.evidence()
        _progress(result)
    result.asked = max(done, result.asked)


async def _strikes(stage: Stage, condition: Condition, result: Result) -> None:
    board = stage.board
    assert board is not None
    number, within = (
        (signal.SIGKILL, KILLED_WITHIN_S) if result.kind == KILLED else (signal.SIGSTOP, HUNG_WITHIN_S)
    )
    for _ in range(result.asked):
        async with stage.release() as process:
            result.realtime = await _armed(stage)
            request: dict[str, Any] = {"strike": process.pid, "signal": int(number), "within_s": within}
            result.trials.add(await board.ask(**request))
            send(process, signal.SIGKILL)
            await process.wait()
        _progress(result)
        if result.trials.stuck:
            break
    result.evidence = await condition.evidence()


async def _armed(stage: Stage) -> bool:
    """Wait until the lanes are held; whether the release has its priority. Raises GatedError."""
    assert stage.board is not None and stage.process is not None
    try:
        async with asyncio.timeout(ARMED_S):
            await stage.board.ask(armed="release")
            while True:
                try:
                    state = await stage.status()
                    if state.pid == stage.process.pid:
                        return state.realtime
                except GatedError:
                    pass
                await asyncio.sleep(0.02)
    except TimeoutError:
        said = stage.log.read_text(errors="replace")[-1000:] if stage.log.exists() else ""
        raise GatedError(f"gated-release did not arm within {ARMED_S:g} s. {said}") from None


def _progress(result: Result) -> None:
    if sys.stderr.isatty():
        print(f"\r{result.title}: {len(result.trials.ms)} of {result.asked}\033[K", end="", file=sys.stderr)
