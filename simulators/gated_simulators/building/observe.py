"""What can be seen of a running site: by a bystander in the building, and by an operator at gatectl."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gated import jsonlines
from gated.errors import GatedError
from gated_simulators.building.wiring import Wiring, sim_socket
from gated_simulators.processes import die_with_parent, entry_point, send

POLL_S = 0.1
"""How often a state that nobody streams is asked for."""


@dataclass
class Sightings:
    """Everything seen since we look, in two lists that only grow: the building's and the journal's."""

    building: list[dict[str, Any]] = field(default_factory=list)
    journal: list[dict[str, Any]] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def add(self, where: list[dict[str, Any]], item: dict[str, Any]) -> None:
        """Something was seen."""
        async with self.news:
            where.append(item)
            self.news.notify_all()

    def state(self, what: str, name: str, at: int) -> str | None:
        """The state of a thing when the building's list was `at` long; None when it was never seen."""
        for item in reversed(self.building[:at]):
            if item["what"] == what and item["name"] == name:
                return str(item["state"])
        return None

    async def wait(self, seen: Callable[[], bool], within_s: float) -> bool:
        """Wait for a condition on what was seen; False when its time is over."""
        try:
            async with asyncio.timeout(within_s), self.news:
                await self.news.wait_for(seen)
        except TimeoutError:
            return False
        return True


async def poll(holds: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    """Ask again and again until it holds; False when its time is over."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                if await holds():
                    return True
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return False


async def answers(path: Path, within_s: float) -> bool:
    """Whether something serves a socket, within a time."""

    async def asked() -> bool:
        try:
            await jsonlines.request(path, "status")
        except GatedError:
            return False
        return True

    return await poll(asked, within_s)


@asynccontextmanager
async def watching(wiring: Wiring) -> AsyncIterator[Sightings]:
    """Follow the building and the journal while the context is open.

    Raises GatedError when no building is running.
    """
    sightings = Sightings()
    async with AsyncExitStack() as stack:
        for follow in (_follow_building, _follow_journal):
            task = asyncio.create_task(follow(wiring, sightings))
            stack.push_async_callback(_end, task)
        if not await sightings.wait(lambda: bool(sightings.building), 5.0):
            raise GatedError(f"no building is running at {wiring.site}")
        yield sightings


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _follow_building(wiring: Wiring, sightings: Sightings) -> None:
    async for item in jsonlines.stream(sim_socket(wiring.site), "watch"):
        await sightings.add(sightings.building, item)


async def _follow_journal(wiring: Wiring, sightings: Sightings) -> None:
    """The operator's own window: `gatectl events --follow`, asked again should it end."""
    command = [entry_point("gatectl"), "--config", str(wiring.site / "gated.toml"), "--json"]
    known = 0
    while True:
        process = await asyncio.create_subprocess_exec(
            *command,
            "events",
            "--follow",
            "--since",
            str(known),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=die_with_parent,
            limit=1 << 20,
        )
        try:
            assert process.stdout is not None
            async for line in process.stdout:
                record = json.loads(line)
                if record["seq"] > known:
                    known = record["seq"]
                    await sightings.add(sightings.journal, record)
        finally:
            send(process, signal.SIGKILL)
            await process.wait()
        await asyncio.sleep(POLL_S)


def moment(record: dict[str, Any]) -> datetime:
    """When a journal record was written, aware."""
    at = datetime.fromisoformat(str(record["at"]))
    return at if at.tzinfo else at.replace(tzinfo=UTC)
