"""Every scenario of ours but the demo, played on one running site, one after the other.

A scenario leaves the site as it found it; where one did not hold, the next gets a site of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from gated_simulators import demo, scratch
from gated_simulators.building import scenario, wiring
from gated_simulators.building.observe import watching
from gated_simulators.building.play import Player, Row
from gated_simulators.table import table

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120), pytest.mark.long]


class Stage:
    """A running site to play on."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._player: Player | None = None

    async def _raise(self) -> Player:
        site = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="gt-")))
        scratch.make(scratch.template(), site, datetime.now(UTC))
        processes = await self._stack.enter_async_context(demo.running(site, []))
        wires = wiring.read(site)
        sightings = await self._stack.enter_async_context(watching(wires))
        return Player(wires, sightings, processes, lambda _: None)

    async def play(self, name: str) -> list[Row]:
        """Play one; its rows."""
        if self._player is None:
            self._player = await self._raise()
        self._player.rows = []
        if not await self._player.play(scenario.load(demo.find(name))):
            rows, self._player = self._player.rows, None
            await self._stack.aclose()
            return rows
        return self._player.rows

    async def end(self) -> None:
        await self._stack.aclose()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    yield made
    await made.end()


@pytest.mark.parametrize("name", [name for name in demo.ours() if name != "demo"])
async def test_it_holds(stage: Stage, name: str) -> None:
    rows = await stage.play(name)
    assert rows
    assert all(row.held for row in rows), table(rows)
