"""The daemon beside an emergency release: its word is followed, its silence is shown and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from gated import jsonlines
from gated.errors import RequestRefused
from gated.release.state import CauseReport, LaneReport, ReleaseState
from tests.system.site import GOOD_CARD, Site

CALM = ReleaseState("normal", {"lane": LaneReport("may_shut", "unknown", (), False)}, (), (), True, False)
ALARM = ReleaseState(
    "alarm",
    {"lane": LaneReport("open", "unknown", ("fire",), False)},
    (CauseReport("fire-panel", "fire", True, "2026-11-21T00:00:00Z"),),
    (),
    True,
    False,
)


@dataclass
class Release:
    """The state socket of an emergency release, which says what it is told to say."""

    says: ReleaseState = CALM
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    served: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def answer(self, request: dict[str, Any], peer: jsonlines.Peer) -> AsyncIterator[Any]:
        return self._stream()

    async def _stream(self) -> AsyncIterator[Any]:
        while True:
            yield self.says.to_json()
            self.changed.clear()
            try:
                async with asyncio.timeout(1.0):
                    await self.changed.wait()
            except TimeoutError:
                pass

    async def start(self, site: Site) -> None:
        await self.served.enter_async_context(jsonlines.serve(site.path / "release.sock", self.answer))

    def say(self, state: ReleaseState) -> None:
        self.says = state
        self.changed.set()


async def test_an_alarm_opens_both_ways_and_outlives_the_link(site: Site) -> None:
    release = Release()
    async with release.served:
        await release.start(site)
        await site.serving()
        assert (await site.ask("status"))["release"]["link"] == "up"
        release.say(ALARM)
        # Released: entry energised, exit (which is secured by energising) not.
        await site.coils(c1=True, c2=False, c3=True)
        site.reader.present(GOOD_CARD)
        await site.record("emergency_open", access_point="reader")
        status = await site.ask("status")
        assert status["lanes"]["lane"]["state"] == "emergency"
        assert status["release"]["causes"] == [{"input": "fire-panel", "cause": "fire"}]
    await site.record("emergency_link_lost")
    status = await site.ask("status")
    assert status["lanes"]["lane"]["state"] == "emergency"  # its last word stands
    assert status["release"]["link"] == "down"
    assert site.board.board.coils[1]

    again = Release()
    async with again.served:
        await again.start(site)  # it has been reset meanwhile
        await site.record("emergency_link_back")
        await site.coils(c1=False, c2=True)
        assert (await site.ask("status"))["lanes"]["lane"]["state"] == "secured"


async def test_a_board_that_returns_during_an_alarm_is_opened(site: Site) -> None:
    release = Release()
    async with release.served:
        await release.start(site)
        await site.serving()
        await site.coils(c2=True)
        site.board.cut()
        await site.record("device_lost", device="board")
        release.say(ALARM)
        await site.record("emergency", lane="lane")
        site.board.mend()
        await site.coils(c1=True, c2=False)


async def test_a_reload_never_closes_the_board_that_holds_a_lane_open(site: Site) -> None:
    release = Release()
    async with release.served:
        await release.start(site)
        await site.serving()
        release.say(ALARM)
        await site.coils(c1=True, c2=False, c3=True)
        moved = len(site.board.board.history)
        before = site.config.read_text()
        site.edit(lambda text: text.replace("4 = false }", "4 = false }\nbaudrate = 19200"))
        with pytest.raises(RequestRefused, match=r"devices\.board: cannot change while"):
            await site.ask("reload", by="guard")
        site.config.write_text(before)
        site.edit(lambda text: text.replace("signal_s = 0.5", "signal_s = 0.6"))
        assert (await site.ask("reload", by="guard"))["changes"] == ["plan and wiring replaced"]
        assert (await site.ask("status"))["lanes"]["lane"]["state"] == "emergency"
        assert not site.board.board.history[moved:]


async def test_a_reload_while_the_release_is_silent_does_not_make_it_speak(site: Site) -> None:
    release = Release(ALARM)
    async with release.served:
        await release.start(site)
        await site.serving()
        await site.record("emergency", lane="lane")
    await site.record("emergency_link_lost")
    site.edit(lambda text: text.replace("signal_s = 0.5", "signal_s = 0.6"))
    await site.ask("reload", by="guard")
    status = await site.ask("status")
    assert status["lanes"]["lane"]["state"] == "emergency" and status["release"]["link"] == "down"
    assert "emergency_link_back" not in [record["code"] for record in site.records()]
