"""A site started whole, a scenario played on it, and everything stopped again: `gatesim demo` and `play`."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from gated.errors import ConfigError, GatedError, InputError
from gated_simulators import scratch
from gated_simulators.building import scenario as scenarios
from gated_simulators.building import wiring as wires
from gated_simulators.building.names import strangers
from gated_simulators.building.observe import answers, watching
from gated_simulators.building.play import Player, Row
from gated_simulators.processes import Processes, entry_point
from gated_simulators.table import line, table, verdict

START_S = 20.0
OURS = resources.files("gated_simulators") / "scenarios"
Tell = Callable[[str | Row], None]


def find(name: str) -> Path:
    """A scenario file by its path, or one of ours by its name. Raises InputError."""
    if Path(name).is_file():
        return Path(name)
    found = Path(str(OURS / f"{name}.toml"))
    if found.is_file():
        return found
    raise InputError([f"{name}: no such file, and no such scenario of ours; there are {', '.join(ours())}"])


def ours() -> list[str]:
    """The names of our scenarios."""
    return sorted(f.name.removesuffix(".toml") for f in OURS.iterdir() if f.name.endswith(".toml"))


def listed() -> str:
    """Our scenarios as a table: name, title, and the rows of the requirements that each covers."""
    found = [(name, scenarios.load(find(name))) for name in ours()]
    return "\n".join(f"{name:<14} {one.title}  [{' '.join(one.covers)}]" for name, one in found)


def commands_of(site: Path) -> dict[str, list[str]]:
    """How each process of a site is started, by name."""
    gated, release = str(site / "gated.toml"), str(site / "release.toml")
    return {
        "building": [entry_point("gatesim"), "run", "--plain", "--site", str(site)],
        "gated-release": [entry_point("gated-release"), "--config", release],
        "gated": [entry_point("gated"), "--config", gated],
    }


@asynccontextmanager
async def running(site: Path, faults: list[str]) -> AsyncIterator[Processes]:
    """The three processes of a site, started in order and stopped in reverse; `faults` gets what was unclean.

    Raises GatedError when one does not come up, with the end of its log.
    """
    processes = Processes(commands_of(site), site / "logs")
    wiring = wires.read(site)
    sockets = {
        "building": wires.sim_socket(site),
        "gated-release": wiring.release_socket,
        "gated": wiring.control_socket,
    }
    try:
        for name, socket in sockets.items():
            await processes.start(name)
            if not await _up(processes, name, socket):
                said = processes.log_of(name).read_text(errors="replace").strip().splitlines()
                raise GatedError("\n".join([f"{name} did not come up; it said:", *said[-10:]]))
        yield processes
    finally:
        faults += await processes.stop_all()


async def _up(processes: Processes, name: str, socket: Path) -> bool:
    """Wait for a process to answer, but not for one that has ended."""
    waiting = asyncio.create_task(answers(socket, START_S))
    try:
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=0.2)
            if processes.ended(name) is not None:
                return False
        return waiting.result()
    finally:
        waiting.cancel()


def _fitting(site: Path, wanted: scenarios.Scenario) -> wires.Wiring:
    """The wiring of a site that has everything the scenario names. Raises ConfigError."""
    wiring = wires.read(site)
    if problems := strangers(wanted, wiring):
        raise ConfigError(f"{wanted.title}, on {site}", problems)
    return wiring


async def play_here(site: Path, wanted: scenarios.Scenario, tell: Tell, rows: list[Row]) -> bool:
    """Play on a site that somebody else runs."""
    wiring = _fitting(site, wanted)
    async with watching(wiring) as sightings:
        player = Player(wiring, sightings, None, tell)
        player.rows = rows
        return await player.play(wanted)


async def play_scratch(
    source: Path,
    keep: bool,
    wanted: scenarios.Scenario,
    tell: Tell,
    rows: list[Row],
    faults: list[str],
    made: Callable[[Path], None] = lambda site: None,
) -> bool:
    """Make a scratch site, start it, play, stop it, remove it."""
    site = Path(tempfile.mkdtemp(prefix="gated-demo-"))
    try:
        scratch.make(source, site, datetime.now(UTC))
        wiring = _fitting(site, wanted)
        made(site)
        async with running(site, faults) as processes, watching(wiring) as sightings:
            player = Player(wiring, sightings, processes, tell)
            player.rows = rows
            held = await player.play(wanted)
        return held and not faults
    finally:
        if not keep:
            shutil.rmtree(site, ignore_errors=True)
        else:
            tell(f"kept: {site}")


def plain(item: str | Row) -> None:
    """Tell on plain lines."""
    print(line(item) if isinstance(item, Row) else item, flush=True)


async def _started(
    source: Path,
    keep: bool,
    wanted: scenarios.Scenario,
    rows: list[Row],
    faults: list[str],
    live: bool,
    picture: Path | None,
) -> bool:
    """Play on a scratch site, under a picture or on plain lines; `picture` gets the busiest moment."""
    if not live and picture is None:
        return await play_scratch(source, keep, wanted, plain, rows, faults)
    from gated_simulators.snapshot import Snapshot, off_screen
    from gated_simulators.terminal import Show

    snapshot = Snapshot()
    show = Show(console=None if live else off_screen(), seen=snapshot.look)
    held = await show.around(play_scratch(source, keep, wanted, show.tell, rows, faults, show.look_at))
    if picture is not None:
        snapshot.save(picture, wanted.title)
    return held


async def _until_told(main: asyncio.Task[bool]) -> int | None:
    """Run to the end, or until Ctrl-C, SIGTERM or a hang-up; then the number of the signal."""
    loop = asyncio.get_running_loop()
    told: list[int] = []

    def stop(number: int) -> None:
        if not told:  # the first one starts the clean stop, which is bounded; more of them change nothing
            told.append(number)
            main.cancel()

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, stop, number)
    try:
        await asyncio.wait({main})
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
    return told[0] if told else None


async def play(
    name: str, site: Path | None, source: Path | None, keep: bool, live: bool, picture: Path | None = None
) -> int:
    """Play a scenario and print the table; 0 when everything held, 1 when not, 128+N after signal N.

    On `site` as it runs, or on a scratch copy of `source` that is started for it; then `picture` may name
    a file for the busiest moment as SVG.
    """
    wanted = scenarios.load(find(name))
    began, rows, faults = time.monotonic(), list[Row](), list[str]()
    print(wanted.title, flush=True)
    if site is not None:
        main = asyncio.create_task(play_here(site, wanted, plain, rows))
    else:
        source = source or scratch.template()
        main = asyncio.create_task(_started(source, keep, wanted, rows, faults, live, picture))
    number = await _until_told(main)
    if number is not None and main.cancelled():
        left = "nothing is left running" if site is None else "the site runs on"
        print(f"\nstopped by {signal.Signals(number).name}; {left}", flush=True)
        for fault in faults:
            print(f"fault: {fault}", flush=True)
        return 128 + number
    held = main.result()
    print(f"\n{table(rows)}\n", flush=True)
    for fault in faults:
        print(f"fault: {fault}", flush=True)
    print(verdict(rows, faults, time.monotonic() - began), flush=True)
    return 0 if held and not faults else 1


def is_live() -> bool:
    """Whether a picture can be shown: a terminal that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
