"""The reflex: lanes open before the machine hears of the alarm, and for nothing that it would not open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from gated.errors import DriverFault
from gated.journald import Log
from gated.release.aside import Aside
from gated.release.config import load
from gated.release.engine import Release
from gated.release.words import InputSeen, InspectRequested, ResetRequested, Tick
from tests.release.harness import CONFIG

ONE_LANE = CONFIG.replace(
    '[inputs.quake]\ncause = "earthquake"', '[inputs.quake]\nlanes = ["lane-2"]\ncause = "earthquake"'
)
BOTH, NONE = {0: False, 1: False}, {0: True, 1: True}


class Port:
    """A board of the test's own: it notes what it is told, and in which order."""

    def __init__(self) -> None:
        self.posted: list[dict[int, bool]] = []
        self.switched: list[dict[int, bool]] = []
        self.latched_when_posted: list[int] = []
        self.release: Release | None = None
        self.lost = False
        self.moved = asyncio.Event()

    def post(self, coils: Mapping[int, bool]) -> None:
        if self.lost:
            raise DriverFault("lost")
        assert self.release is not None
        self.posted.append(dict(coils))
        self.latched_when_posted.append(len(self.release.machine.latched))

    async def switch(self, coils: Mapping[int, bool]) -> None:
        self.switched.append(dict(coils))
        self.moved.set()

    async def observed(self) -> Mapping[int, bool]:
        return {}

    async def until_switched(self, coils: dict[int, bool]) -> None:
        async with asyncio.timeout(5):
            while not self.switched or self.switched[-1] != coils:
                self.moved.clear()
                await self.moved.wait()


@asynccontextmanager
async def site(path: Path) -> AsyncIterator[tuple[Release, Port]]:
    """A release in normal operation that holds both lanes."""
    (path / "release.toml").write_text(ONE_LANE)
    port = Port()
    port.release = release = Release(load(path / "release.toml"), Log("test"), Aside(), lambda: None)
    using = asyncio.create_task(release.boards["outputs"].use(port))
    await asyncio.sleep(0)
    for name in release.machine.inputs:
        release.feed(InputSeen(name, False))
    await port.until_switched(NONE)
    try:
        yield release, port
    finally:
        using.cancel()
        await asyncio.gather(using, return_exceptions=True)


async def test_the_outputs_go_before_the_machine_knows_and_once(tmp_path: Path) -> None:
    async with site(tmp_path) as (release, port):
        release.feed(InputSeen("panel", True))
        assert port.posted == [BOTH]
        assert port.latched_when_posted == [0]
        await port.until_switched(BOTH)


async def test_it_opens_the_lanes_of_its_input_and_no_other(tmp_path: Path) -> None:
    async with site(tmp_path) as (release, port):
        release.feed(InputSeen("quake", True))
        assert port.posted == [{1: False}]
        await port.until_switched({1: False})
        release.feed(InputSeen("panel", True))  # one lane is open already: the reflex does not ask
        assert port.posted[1] == BOTH
        await port.until_switched({0: False})


async def test_an_input_that_is_inspected_opens_nothing_and_its_end_opens(tmp_path: Path) -> None:
    async with site(tmp_path) as (release, port):
        release.feed(InspectRequested("panel", "sato", "yearly test", 60.0))
        release.feed(InputSeen("panel", True))
        release.feed(InputSeen("panel", False))
        release.feed(InputSeen("panel", None))
        assert port.posted == []
        release.feed(InputSeen("quake", True))  # every other one does
        assert port.posted == [{1: False}]


async def test_an_alarm_amid_relocking_opens_by_reflex_too(tmp_path: Path) -> None:
    async with site(tmp_path) as (release, port):
        release.feed(InputSeen("panel", True))
        release.feed(InputSeen("panel", False))
        release.feed(ResetRequested("sato", "false alarm"))
        release.feed(InputSeen("panel", True))
        assert port.posted[-1] == BOTH
        release.feed(Tick())
        assert release.machine.open_lanes == {"lane-1", "lane-2"}
        await port.until_switched(BOTH)


async def test_a_board_that_cannot_be_told_at_once_is_told_by_its_task(tmp_path: Path) -> None:
    async with site(tmp_path) as (release, port):
        port.lost = True
        release.feed(InputSeen("panel", True))
        assert release.machine.open_lanes == {"lane-1", "lane-2"}
        await port.until_switched(BOTH)
