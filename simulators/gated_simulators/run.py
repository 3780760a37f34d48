"""`gatesim run`: the building of one site, as a picture with typed commands or as plain lines."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from gated.errors import GatedError
from gated_simulators.building import acts, people, wiring
from gated_simulators.building.building import Building, open_building
from gated_simulators.processes import serving_pid


async def run(site: Path, plain: bool) -> int:
    """Hold the far ends of the site's wires until SIGINT or SIGTERM. Raises GatedError."""
    from gated_simulators.demo import is_live

    wires = wiring.read(site)
    cards = people.load(site / "people.toml")
    socket = wiring.sim_socket(site)
    if (pid := _who_serves(socket)) is not None:  # and would lose its wires to us
        raise GatedError(f"a building stands at {site} already (process {pid}): act on it, or stop it first")
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with open_building(wires) as building, acts.serve(building, cards, socket):
        if plain or not is_live():
            showing = asyncio.create_task(_lines(building))
        else:
            from gated_simulators.terminal import Show

            show = Show(typed=True, stopped=stopped)
            show.look_at(site)
            showing = asyncio.create_task(show.run())
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait({showing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (showing, stopping):
            task.cancel()
        await asyncio.gather(showing, stopping, return_exceptions=True)
    return 0


def _who_serves(socket: Path) -> int | None:
    try:
        return serving_pid(socket)
    except GatedError:
        return None


async def _lines(building: Building) -> None:
    """Each thing that happens, on a line."""
    lanes = ", ".join(lane.id for lane in building.wiring.lanes)
    print(f"the building stands: {lanes}; {len(building.rigs)} devices", flush=True)
    async for item in building.watch():
        print(f"{item['at']:.3f} {item['what']} {item['name']} {item['state']}".rstrip(), flush=True)
