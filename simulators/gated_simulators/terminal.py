"""Shows the picture of a running site and, where wanted, takes typed commands."""

from __future__ import annotations

import asyncio
import codecs
import os
import sys
import termios
import tty
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from gated import jsonlines
from gated.errors import GatedError
from gated_simulators import client
from gated_simulators.building import commands
from gated_simulators.building import wiring as wires
from gated_simulators.building.observe import Sightings, watching
from gated_simulators.building.play import Row
from gated_simulators.picture import picture, rows_around
from gated_simulators.table import line

T = TypeVar("T")

REFRESH_S = 0.2
LINES = 30
FEWEST = 3  # lines shown even where the picture is then cut off below


class Show:
    """A live picture of a site; with `typed`, also a prompt."""

    def __init__(
        self,
        typed: bool = False,
        stopped: asyncio.Event | None = None,
        console: Console | None = None,
        seen: Callable[[dict[str, Any], RenderableType], None] = lambda sim, drawn: None,
    ) -> None:
        """`console`: where to show, instead of the terminal; `seen` is called with each picture drawn."""
        self._console = console or Console()
        self._seen = seen
        self._lines: deque[tuple[str, str]] = deque(maxlen=LINES)
        self._site: Path | None = None
        self._typed: str | None = "" if typed else None
        self._stopped = stopped or asyncio.Event()
        self._acts: set[asyncio.Task[None]] = set()

    def look_at(self, site: Path) -> None:
        """Which site to show, as soon as its building stands."""
        self._site = site

    def tell(self, item: str | Row) -> None:
        """A line under the picture."""
        if isinstance(item, Row):
            self._lines.append((line(item), "green" if item.held else "bold red"))
        else:
            self._lines.append((item, "bold" if not item.startswith(" ") else ""))

    async def around(self, work: Awaitable[T]) -> T:
        """Show the picture while something else runs, and return what it returns."""
        showing = asyncio.create_task(self.run())
        try:
            return await work
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)

    async def run(self) -> None:
        """Show until cancelled."""
        with Live(console=self._console, auto_refresh=False, screen=True) as live, self._keys():
            live.update(Text("the building is being set up ..."), refresh=True)
            while True:
                try:
                    await self._follow(live)
                except GatedError as error:
                    live.update(Text(str(error)), refresh=True)
                await asyncio.sleep(REFRESH_S)

    async def _follow(self, live: Live) -> None:
        if self._site is None or not wires.sim_socket(self._site).exists():
            return
        wiring = wires.read(self._site)
        async with watching(wiring) as sightings:
            while True:
                live.update(await self._picture(wiring, sightings), refresh=True)
                await asyncio.sleep(REFRESH_S)

    async def _picture(self, wiring: wires.Wiring, sightings: Sightings) -> Any:
        sim = await client.ask(wiring.site, "status")
        gated = await _ask(wiring.control_socket)
        release = await _ask(wiring.release_socket)
        others = rows_around(len(sim["lanes"]), len(sim["devices"]), self._console.width)
        room = max(FEWEST, self._console.height - others)
        lines = list(self._lines)[-room:]
        drawn = picture(sim, gated, release, sightings.journal, lines, self._typed, wiring.timezone)
        self._seen(sim, drawn)
        return drawn

    # -- typed commands ------------------------------------------------------------------------------------

    @contextmanager
    def _keys(self) -> Iterator[None]:
        """Take keys one by one, and leave the terminal as it was."""
        if self._typed is None or not sys.stdin.isatty():
            yield
            return
        loop, fd = asyncio.get_running_loop(), sys.stdin.fileno()
        before = termios.tcgetattr(fd)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        tty.setcbreak(fd)
        loop.add_reader(fd, lambda: self._pressed(decoder.decode(os.read(fd, 256))))
        try:
            yield
        finally:
            loop.remove_reader(fd)
            termios.tcsetattr(fd, termios.TCSADRAIN, before)

    def _pressed(self, keys: str) -> None:
        for key in keys:
            if key in "\r\n":
                words, self._typed = (self._typed or "").strip(), ""
                self._entered(words)
            elif key in "\x7f\b":
                self._typed = (self._typed or "")[:-1]
            elif key == "\x15":  # Ctrl-U
                self._typed = ""
            elif key.isprintable():
                self._typed = (self._typed or "") + key

    def _entered(self, words: str) -> None:
        if words in ("quit", "exit"):
            self._stopped.set()
        elif words == "help":
            self.tell(f"{' '.join(commands.words())} quit")
            self.tell("  card lane-1 NAME   code lane-1 @FILE   walk lane-1 [exit]   trip fire --for 0.1")
        elif words:
            task = asyncio.create_task(self._do(words))
            self._acts.add(task)
            task.add_done_callback(self._acts.discard)

    async def _do(self, words: str) -> None:
        assert self._site is not None
        try:
            wanted = commands.parse(words)
            told = await client.act(self._site, wanted)
            self.tell(f"  > {words}{f' ({told})' if told else ''}")
        except GatedError as error:
            self._lines.append((str(error), "red"))


async def _ask(path: Path) -> dict[str, Any]:
    try:
        answer = await jsonlines.request(path, "status", timeout_s=1.0)
    except GatedError:
        return {}
    return answer if isinstance(answer, dict) else {}
