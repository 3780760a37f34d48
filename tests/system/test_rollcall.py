"""The roll call of an alarm, with both daemons and gatectl as processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gated.errors import RequestRefused
from gated.release import client
from gated.release.state import CauseReport, LaneReport, ReleaseState
from gated.rollcall import read_all
from gated.rollcall.sheet import Sheet, decode
from tests.system.site import GOOD_CARD, OTHER_CARD, WITHIN_S, Site
from tests.system.test_both import phase, released_by
from tests.system.test_gatectl import gatectl
from tests.system.test_link import CALM, Release


def sheets(site: Site) -> list[Sheet]:
    found, problems = read_all([site.path / "state" / "rollcall"])
    assert problems == []
    return found


@asynccontextmanager
async def speaking(site: Site) -> AsyncIterator[Release]:
    release = Release()
    async with release.served:
        await release.start(site)
        yield release


async def inside(site: Site, card: bytes) -> None:
    """The holder of a card goes in."""
    site.reader.present(card)
    await site.record("granted")
    await site.coils(c1=True)
    await site.walk_in()
    await site.record("completed")
    await site.coils(c1=False)
    site.reader.remove()


async def test_an_alarm_freezes_who_may_be_inside_and_a_person_closes_it(site: Site) -> None:
    site.edit(lambda text: text.replace('"reader_nfcpy"', '"reader_nfcpy"\nabsent_s = 0.0'))
    async with released_by(site) as panel:
        await phase(site, "normal")
        await site.serving()
        await inside(site, GOOD_CARD)
        panel.board.inputs[0] = True
        made = (await site.record("roll_call_made"))["detail"]
        print("alarm to disk, s:", made["kept_s"])
        (sheet,) = sheets(site)
        assert (sheet.drill, sheet.causes, sheet.late) == (False, ("fire",), False)
        (person,) = sheet.people
        assert (person.kind, person.area, person.certain) == ("staff", "main", True)
        path = site.path / "state" / "rollcall" / f"{sheet.id}.rollcall"
        assert path.stat().st_mode & 0o777 == 0o640
        assert GOOD_CARD.hex().encode() not in path.read_bytes().lower()

        panel.board.inputs[0] = False
        for card in (OTHER_CARD, GOOD_CARD):  # the other was not inside, as far as is known
            site.reader.present(card)
            await site.record("emergency_open", access_point="reader")
        ran = await gatectl(site, "rollcall")
        assert ran.code == 0 and ran.err == ""
        (row,) = [line for line in ran.out.splitlines() if line.startswith("[ ] ")]
        assert person.ref in row and row.endswith(" reader")  # seen there since, and not out
        assert "ESTIMATE" in ran.out and "DRILL" not in ran.out and "LATE" not in ran.out
        assert (await site.record("roll_call_seen"))["detail"]["by"] == "guard.sato"
        assert f"ROLL CALL {sheet.id} open (fire): 1 may be inside" in (await gatectl(site, "status")).out

        await client.request(site.path / "release.sock", "reset", by="guard.sato", why="false alarm")
        await site.record("emergency_over", lane="lane")
        await phase(site, "normal")
        assert [one["id"] for one in (await site.ask("status"))["roll_calls"]] == [sheet.id]
        ran = await gatectl(site, "rollcall", "close", "--why", "all met")
        assert (ran.code, ran.err) == (0, "")
        await site.record("roll_call_closed", roll_call=sheet.id, by="guard.sato", why="all met")
        assert (await site.ask("status"))["roll_calls"] == []
        assert (await gatectl(site, "rollcall", "close", "--why", "again")).code == 1
        with pytest.raises(RequestRefused, match="closed already"):
            await site.ask("rollcall.close", id=sheet.id, by="x", why="y")
        (inside_now,) = (await site.ask("rollcall"))["inside"]
        assert inside_now["certain"] is False

        await site.stop()
        ran = await gatectl(site, "rollcall", "--print")
        assert ran.code == 0 and person.ref in ran.out and "CLOSED" in ran.out
        assert "in the system's log only" in ran.err
        assert (await gatectl(site, "rollcall", "close", "--at", sheet.id, "--why", "x")).code == 1


async def test_killed_at_the_alarm_it_has_the_roll_call_once_and_late_if_it_slept_through(site: Site) -> None:
    async with released_by(site) as panel:
        await phase(site, "normal")
        await site.serving()
        await inside(site, GOOD_CARD)
        await inside(site, OTHER_CARD)
        await site.stop()
        panel.board.inputs[0] = True
        state = await phase(site, "alarm")
        alarm = datetime.fromisoformat(state.causes[0].latched_at)
        async with asyncio.timeout(WITHIN_S):  # late is more than 2 s
            while (datetime.now(UTC) - alarm).total_seconds() < 2.2:
                await client.status(site.path / "release.sock")
        await site.start()
        await site.record("roll_call_made")
        (sheet,) = sheets(site)
        assert sheet.late and sheet.late_s is not None and sheet.late_s > 2.0
        assert len(sheet.people) == 2
        assert any(doubt.startswith("gated itself was out for ") for doubt in sheet.doubts)
        assert "LATE by " in (await gatectl(site, "rollcall", "--print")).out

        await site.stop(signal.SIGKILL)
        await site.start()
        await site.record("started", after="a crash")
        await site.record("emergency", lane="lane")
        await site.devices_ok()
        await site.stop()
        assert [one.id for one in sheets(site)] == [sheet.id]


def state(*causes: CauseReport, drill: bool = False, **more: Any) -> ReleaseState:
    lane = LaneReport("open", "open", tuple(c.cause for c in causes), False)
    return ReleaseState("alarm", {"lane": lane}, causes, (), True, False, drill=drill, **more)


def cause(name: str, source: str = "panel") -> CauseReport:
    return CauseReport(source, name, True, datetime.now(UTC).isoformat())


async def test_a_drill_is_marked_and_a_real_alarm_in_it_has_its_own(site: Site) -> None:
    async with speaking(site) as release:
        await site.serving()
        await inside(site, GOOD_CARD)
        drill, fire, quake = cause("drill", "drill"), cause("fire"), cause("earthquake", "sensor")
        release.say(state(drill, drill=True))
        assert (await site.record("roll_call_made"))["detail"]["drill"] == "yes"
        ran = await gatectl(site, "rollcall", "--print")
        assert "DRILL (訓練)" in ran.out.splitlines()[0]
        release.say(state(drill, fire))
        await site.record("roll_call_made", drill="")
        release.say(state(drill, fire, quake))
        await site.record("emergency_causes", causes="drill, fire, earthquake")
        practised, real = sheets(site)
        assert (practised.drill, real.drill) == (True, False)
        assert real.alarm_at[:19] == fire.latched_at[:19]
        assert [person.certain for person in practised.people + real.people] == [True, False]
        listed = json.loads((await gatectl(site, "rollcall", "--list", "--json")).out)
        assert [one["drill"] for one in listed] == [True, False]
        assert (await gatectl(site, "rollcall", "close", "--why", "x")).code == 1  # which of the two?
        ran = await gatectl(site, "rollcall", "close", "--at", practised.id, "--why", "it was a drill")
        assert ran.code == 0


async def test_an_emergency_that_came_and_went_unheard_is_forgiven(site: Site) -> None:
    async with speaking(site) as release:
        await site.serving()
        await inside(site, GOOD_CARD)
        await site.stop()
        release.say(
            ReleaseState(
                "normal", CALM.lanes, (), (), True, False, last_open_at=datetime.now(UTC).isoformat()
            )
        )
        await site.start()
        await site.record("emergency_unseen")
        (entry,) = (await site.ask("rollcall"))["inside"]
        assert entry["certain"] is False
        await site.stop()
        await site.start()
        await site.devices_ok()
        await site.stop()
        assert [r["code"] for r in site.records()].count("emergency_unseen") == 1


async def test_an_opening_by_command_that_came_and_went_while_gated_was_down_is_forgiven(site: Site) -> None:
    """No input of the release says so: only the release itself knows, and it knows it after a restart too."""
    async with released_by(site):
        await phase(site, "normal")
        await site.serving()
        await inside(site, GOOD_CARD)
        await site.stop()
        assert (await client.status(site.path / "release.sock")).last_open_at == ""
        assert (await gatectl(site, "open", "--why", "somebody is caught in it")).code == 0
        opened = await phase(site, "alarm")
        assert (await gatectl(site, "reset", "--why", "free again")).code == 0
        relocked = await phase(site, "normal")
        assert "" < opened.last_open_at < relocked.last_open_at
    async with released_by(site):
        assert (await phase(site, "normal")).last_open_at == relocked.last_open_at
        await site.start()
        await site.record("emergency_unseen")
        (entry,) = (await site.ask("rollcall"))["inside"]
        assert entry["certain"] is False
        await site.stop()


async def test_a_disk_that_refuses_leaves_it_beside_the_socket_until_it_takes_it(site: Site) -> None:
    blocked = site.path / "state" / "rollcall"
    async with speaking(site) as release:
        await site.serving()
        await inside(site, GOOD_CARD)
        blocked.write_bytes(b"")  # a file where the directory has to be
        release.say(state(cause("fire")))
        await site.record("roll_call_not_kept")
        (spare,) = (site.path / "rollcall").iterdir()
        assert len(decode(spare.read_bytes()).people) == 1
        assert any("cannot be written" in fault for fault in (await site.ask("status"))["faults"])
        assert "1 may be inside" in (await gatectl(site, "rollcall")).out
        blocked.unlink()
        async with asyncio.timeout(WITHIN_S):
            while any("cannot be written" in fault for fault in (await site.ask("status"))["faults"]):
                pass
        assert len(sheets(site)) == 1 and list((site.path / "rollcall").iterdir()) == []


async def test_a_file_that_was_changed_is_refused_and_named(site: Site) -> None:
    async with speaking(site) as release:
        await site.serving()
        release.say(state(cause("fire")))
        await site.record("roll_call_made")
        (path,) = (site.path / "state" / "rollcall").iterdir()
        path.write_bytes(path.read_bytes().replace(b"fire", b"fine"))
        ran = await gatectl(site, "rollcall")
        assert ran.code == 1 and f"{path}: cannot be believed: its checksum" in ran.err
        await site.stop()
        await site.start()
        assert any("cannot be believed" in fault for fault in (await site.ask("status"))["faults"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look at everything")
async def test_who_may_not_look_is_told_so(site: Site) -> None:
    directory: Path = site.path / "state" / "rollcall"
    directory.mkdir(mode=0o000)
    ran = await gatectl(site, "rollcall")
    assert ran.code == 1 and "not allowed for this user" in ran.err
