"""When the link to the release knows where it stands: the daemon lets nobody in before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gated import jsonlines
from gated.core.events import EmergencyLinkLost, EmergencyReported
from gated.link import ReleaseLink

ALARM = {
    "phase": "alarm",
    "lanes": {"lane": {"commanded": "open", "observed": "open", "causes": ["fire"], "open_by_hand": False}},
    "causes": [{"input": "panel", "cause": "fire", "active": False, "latched_at": "2026-11-21T00:00:00Z"}],
    "faults": [],
    "armed": True,
    "realtime": False,
}


async def test_a_release_that_has_not_spoken_yet_is_waited_for(tmp_path: Path) -> None:
    may_speak, heard = asyncio.Event(), asyncio.Event()
    told: list[EmergencyReported | EmergencyLinkLost] = []

    async def words() -> AsyncIterator[dict[str, Any]]:
        heard.set()
        await may_speak.wait()
        yield ALARM
        await asyncio.Event().wait()

    async def answer(request: dict[str, Any], peer: jsonlines.Peer) -> Any:
        return words()

    async with jsonlines.serve(tmp_path / "s", answer):
        link = ReleaseLink(tmp_path / "s", told.append, told.append)
        running = asyncio.create_task(link.run())
        knowing = asyncio.create_task(link.known(30.0))
        await heard.wait()
        assert not knowing.done() and told == []
        may_speak.set()
        await asyncio.wait_for(knowing, 5)
        since = datetime(2026, 11, 21, tzinfo=UTC)
        assert told == [EmergencyReported(frozenset({"lane"}), ("fire",), since=since)]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_release_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    told: list[EmergencyReported | EmergencyLinkLost] = []
    link = ReleaseLink(tmp_path / "nobody", told.append, told.append)
    running = asyncio.create_task(link.run())
    await asyncio.wait_for(link.known(30.0), 5)
    assert [type(event) for event in told] == [EmergencyLinkLost]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_silent_release_is_waited_for_no_longer_than_stated(tmp_path: Path) -> None:
    link = ReleaseLink(tmp_path / "s", lambda event: None, lambda event: None)
    await asyncio.wait_for(link.known(0.01), 5)
    assert link.state is None


async def test_a_release_that_is_killed_while_it_speaks_is_a_silence_and_not_our_end(tmp_path: Path) -> None:
    told: list[EmergencyReported | EmergencyLinkLost] = []
    lost = asyncio.Event()

    async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(json.dumps(ALARM).encode() + b'\n{"phase": "al')
        writer.close()

    def lose(event: EmergencyLinkLost) -> None:
        told.append(event)
        lost.set()

    async with await asyncio.start_unix_server(cut_off, tmp_path / "s"):
        running = asyncio.create_task(ReleaseLink(tmp_path / "s", told.append, lose).run())
        await asyncio.wait_for(lost.wait(), 5)
        assert [type(event) for event in told] == [EmergencyReported, EmergencyLinkLost]
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
