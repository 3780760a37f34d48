from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gated_simulators import scratch
from gated_simulators.building import acts, people, wiring
from gated_simulators.building.building import Building, open_building


@pytest.fixture
def site() -> Iterator[Path]:
    """A scratch copy of the demo site; sockets need a short path."""
    with tempfile.TemporaryDirectory(prefix="gated-test-") as folder:
        made = Path(folder)
        scratch.make(scratch.template(), made, datetime.now(UTC))
        yield made


@pytest.fixture
async def building(site: Path) -> AsyncIterator[Building]:
    """The far ends of the site's wires, taking acts."""
    wires = wiring.read(site)
    cards = people.load(site / "people.toml")
    async with open_building(wires) as opened, acts.serve(opened, cards, wiring.sim_socket(site)):
        yield opened


async def until(holds: Callable[[], bool], building: Building, within_s: float = 5.0) -> None:
    """Wait for an effect in the building."""
    async with asyncio.timeout(within_s), building.news:
        await building.news.wait_for(holds)
