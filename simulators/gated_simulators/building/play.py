"""Plays a scenario on a running site: does each act, waits for what must be seen, writes the table."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gated.errors import GatedError
from gated_simulators import client
from gated_simulators.building import commands
from gated_simulators.building.expectations import Look, meet
from gated_simulators.building.observe import Sightings, answers, moment
from gated_simulators.building.scenario import Scenario, Step, fill
from gated_simulators.building.wiring import Wiring
from gated_simulators.processes import Processes, die_with_parent, entry_point, send, serving_pid

START_S = 20.0
"""How long a process may take until it answers on its socket, seconds."""
GATECTL_S = 30.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was expected in which part, what was observed, and whether it held."""

    part: str
    doing: str
    expected: str
    observed: str
    held: bool


class Player:
    """Plays one scenario; `tell` hears each act (a string) and each row as it is settled."""

    def __init__(
        self,
        wiring: Wiring,
        sightings: Sightings,
        processes: Processes | None,
        tell: Callable[[str | Row], None],
    ) -> None:
        self._wiring = wiring
        self._sightings = sightings
        self._processes = processes
        self._tell = tell
        self._kept: dict[str, Any] = {}
        self._pids: dict[str, int] = {}
        self.rows: list[Row] = []

    async def play(self, scenario: Scenario) -> bool:
        """Play it to its end, also past a failure; True when everything held."""
        for process in ("gated", "gated-release"):
            try:
                self._pids[process] = serving_pid(client.socket_of(self._wiring, process))
            except GatedError:
                continue  # not running yet; a scenario may start it
        part = ""
        for step in scenario.step:
            if step.part and step.part != part:
                part = step.part
                self._tell(part)
            await self._step(part, step)
        return all(row.held for row in self.rows)

    async def _step(self, part: str, step: Step) -> None:
        doing = " ; ".join(step.do)
        look = Look(
            wiring=self._wiring,
            sightings=self._sightings,
            began=datetime.now(UTC) - timedelta(milliseconds=1),
            first=len(self._sightings.building),
            pids=self._pids,
        )
        look.journal_first = sum(moment(r) < look.began for r in self._sightings.journal)
        for act in step.do:
            self._tell(f"  > {act}")
            try:
                await self._act(act, step, look)
            except GatedError as error:
                self._settle(Row(part, doing, f"{act} is done", str(error).splitlines()[0], False))
                return
        for expect in step.expect:
            began = time.monotonic()
            held, observed = await meet(expect, look)
            if held and expect.waits:
                observed += f" after {time.monotonic() - began:.2f} s"
            self._settle(Row(part, doing, expect.sentence(), observed, held))

    def _settle(self, row: Row) -> None:
        self.rows.append(row)
        self._tell(row)

    async def _act(self, act: str, step: Step, look: Look) -> None:
        verb, _, rest = act.partition(" ")
        if verb == "gatectl":
            await self._gatectl(rest, step, look)
        elif verb in ("start", "stop"):
            await self._process(verb, rest.strip())
        else:
            wanted = commands.parse(act)
            for key, value in vars(wanted).items():
                if isinstance(value, str):
                    setattr(wanted, key, fill(value, self._kept))
            if told := await client.act(self._wiring.site, wanted):
                self._tell(f"    {told}")

    async def _process(self, verb: str, name: str) -> None:
        if self._processes is None:
            raise GatedError(f"{verb} {name}: whoever runs this site does that; play without --site")
        if verb == "stop":
            faults = await self._processes.stop(name)
            if faults:
                raise GatedError("; ".join(faults))
            return
        await self._processes.start(name)
        socket = client.socket_of(self._wiring, name)
        if not await answers(socket, START_S):
            raise GatedError(f"{name} does not answer on its socket after {START_S:.0f} s")
        self._pids.setdefault(name, serving_pid(socket))

    async def _gatectl(self, words: str, step: Step, look: Look) -> None:
        """An operator's command, as typed; its answer is looked at by exit, says and keep."""
        argv = [fill(word, self._kept) for word in shlex.split(words)]
        process = await asyncio.create_subprocess_exec(
            entry_point("gatectl"),
            "--config",
            str(self._wiring.site / "gated.toml"),
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._wiring.site,
            preexec_fn=die_with_parent,
        )
        try:
            async with asyncio.timeout(GATECTL_S):
                out, err = await process.communicate()
        except TimeoutError:
            raise GatedError(f"gatectl did not answer within {GATECTL_S:.0f} s") from None
        finally:
            send(process, signal.SIGKILL)
            await process.wait()
        look.exit_status, look.answer = process.returncode, (out + err).decode(errors="replace")
        if process.returncode != 0 and not any(e.exit is not None or e.says for e in step.expect):
            raise GatedError(
                f"gatectl ended with {process.returncode}: {err.decode(errors='replace').strip()}"
            )
        if step.keep:
            try:
                self._kept[step.keep] = json.loads(out)
            except ValueError:
                raise GatedError("gatectl printed no JSON to keep") from None
