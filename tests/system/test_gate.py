"""A card at one end of the wires, a relay at the other, the real daemon between."""

from __future__ import annotations

import asyncio
import signal

from tests.system.site import BIN, GOOD_CARD, OTHER_CARD, STRANGER, Site


async def test_a_staff_card_opens_a_person_passes_the_lane_is_secured(site: Site) -> None:
    await site.serving()
    assert site.board.board.writes == 0  # nothing is commanded at the start
    site.reader.present(GOOD_CARD)
    await site.coils(c1=True, c3=True, c4=False)
    granted = await site.record("granted", access_point="reader")
    assert (granted["lane"], granted["direction"]) == ("lane", "entry")
    site.reader.remove()
    await site.walk_in()
    await site.coils(c1=False, c3=False)
    await site.record("completed")
    status = await site.ask("status")
    assert status["lanes"]["lane"]["state"] == "secured"
    assert status["occupancy"] == {"main": 1}
    assert 0 < status["latency_ms"]["card"]["p50"] < 1000
    assert status["release"]["link"] == "down"
    assert await site.stop() == 0


async def test_a_stranger_sees_the_red_lamp_and_nothing_else_moves(site: Site) -> None:
    await site.serving()
    site.reader.present(STRANGER)
    await site.record("denied_unknown_credential", access_point="reader")
    await site.coils(c4=True)
    await site.coils(c4=False)
    assert {change.channel for change in site.board.board.history} == {4}


async def test_no_clear_card_number_is_written_anywhere(site: Site) -> None:
    await site.serving()
    for card, code in ((GOOD_CARD, "granted"), (STRANGER, "denied_lane_busy")):
        site.reader.present(card)
        await site.record(code)
        site.reader.remove()
    await site.stop()
    files = [path for path in (site.path / "state").rglob("*") if path.is_file()]
    assert len(files) >= 4
    for content in [site.log, *(path.read_bytes() for path in files)]:
        for card in (GOOD_CARD, STRANGER):
            assert card not in content
            assert card.hex().encode() not in content.lower()


async def test_sigterm_leaves_each_relay_in_its_stated_rest(site: Site) -> None:
    await site.serving()
    site.reader.present(GOOD_CARD)
    await site.coils(c1=True, c3=True)
    assert await site.stop(signal.SIGTERM) == 0
    assert site.board.board.coils == {1: False, 2: True, 3: False}
    assert [r["code"] for r in site.records()][-1] == "stopped"


async def test_a_killed_gate_remembers_and_secures_what_it_left_open(site: Site) -> None:
    await site.serving()
    site.reader.present(GOOD_CARD)
    await site.coils(c1=True)
    await site.walk_in()
    await site.record("completed")
    site.reader.remove()
    site.reader.present(OTHER_CARD)
    await site.coils(c1=True)
    await site.stop(signal.SIGKILL)
    before = site.records()
    moved = len(site.board.board.history)
    site.edit(lambda text: text.replace('release_socket = "release.sock"\n', ""))
    site.reader.remove()
    await site.start()
    await site.record("started", after="a crash")
    await site.record("lane_secured_at_start")
    await site.coils(c1=False)
    assert all(not change.energised or change.channel == 2 for change in site.board.board.history[moved:])
    assert site.records()[: len(before)] == before
    await site.devices_ok()
    assert (await site.ask("status"))["occupancy"] == {"main": 1}


async def test_a_clean_restart_moves_no_relay(site: Site) -> None:
    await site.serving()
    await site.stop()
    moved = list(site.board.board.history)
    await site.start()
    await site.devices_ok()
    await site.polled()
    assert site.board.board.history == moved


async def test_a_lane_that_opens_without_power_is_secured_once_the_site_is_calm(site: Site) -> None:
    site.edit(lambda text: text.replace('release_socket = "release.sock"\n', ""))
    await site.serving()
    await site.record("lane_secured_at_start")
    await site.coils(c2=True)
    assert [(change.channel, change.energised) for change in site.board.board.history] == [(2, True)]


async def test_a_second_gated_refuses_in_a_sentence(site: Site) -> None:
    await site.start()
    second = await asyncio.create_subprocess_exec(
        BIN / "gated", "--config", site.config, stderr=asyncio.subprocess.PIPE
    )
    _, told = await second.communicate()
    assert second.returncode == 1
    assert site.daemon is not None
    assert f"another gated (process {site.daemon.pid}) works on it".encode() in told
    assert told.count(b"\n") == 1
    assert (await site.ask("status"))["site"] == "test"
