"""Cables pulled and put back: a fault, a recovery, no restart, no relay that nobody commanded."""

from __future__ import annotations

import pytest

from gated.errors import RequestRefused
from tests.system.site import GOOD_CARD, OTHER_CARD, Site


async def test_a_board_that_comes_back_gets_what_is_commanded_now_and_nothing_stale(site: Site) -> None:
    await site.serving()
    site.reader.present(GOOD_CARD)
    await site.coils(c1=True)
    await site.record("granted")
    site.board.cut()
    await site.record("device_lost", device="board")
    await site.record("out_of_service", lane="lane")  # the grant is over with it
    site.board.mend()
    await site.record("device_back", device="board")
    await site.coils(c1=False, c3=False)
    assert [c.energised for c in site.board.board.history if c.channel == 1] == [True, False]
    site.reader.present(OTHER_CARD)
    await site.coils(c1=True)
    status = await site.ask("status")
    assert status["devices"]["board"]["opened"] == 2
    assert site.daemon is not None and site.daemon.returncode is None


async def test_an_idle_board_is_missed_and_found_without_a_coil_moving(site: Site) -> None:
    await site.serving()
    site.board.cut()
    await site.record("device_lost", device="board")
    assert (await site.ask("status"))["lanes"]["lane"]["state"] == "out_of_service"
    assert "board" in (await site.ask("status"))["lanes"]["lane"]["faults"]
    site.reader.present(GOOD_CARD)
    await site.record("denied_lane_out_of_service")
    site.board.mend()
    await site.record("in_service", lane="lane")
    await site.coils(c1=False, c3=False, c4=False)
    assert not [c for c in site.board.board.history if c.channel in (1, 3)]


async def test_sensors_lost_take_the_lane_out_and_bring_it_back(site: Site) -> None:
    await site.serving()
    site.sensors.cut()
    await site.record("device_lost", device="sensors")
    await site.record("out_of_service", lane="lane")
    site.sensors.mend()
    await site.record("in_service", lane="lane")
    site.reader.present(GOOD_CARD)
    await site.coils(c1=True)


async def test_a_lost_reader_is_a_fault_but_not_the_lane_s_end(site: Site) -> None:
    await site.serving()
    site.reader.cut()
    await site.record("device_lost", device="reader")
    assert (await site.ask("status"))["lanes"]["lane"]["state"] == "secured"
    answer = await site.ask("assist", lane="lane", direction="entry", by="guard", why="reader broken")
    assert answer["state"] == "released"
    await site.coils(c1=True)
    site.reader.mend()
    await site.record("device_back", device="reader")


async def test_a_slow_board_does_not_hold_up_another_lane(site: Site) -> None:
    """Lane two hangs on the Modbus board, which gives no answer for longer than this test takes."""
    site.edit(
        lambda text: (
            text
            + """
[devices.slow]
driver = "relay_modbus"
port = "sensors"
timeout_s = 10.0

[lanes.slow]
inner = "main"
mode = "entry"
relays = { release_entry = { device = "slow", channel = 0, energised = "released" } }
"""
        ).replace("channels = [0, 1]", "channels = [0, 1]\ntimeout_s = 10.0")
    )
    await site.serving()
    site.sensors.silent = True
    writes = site.sensors.board.writes
    with pytest.raises(RequestRefused, match="slow has no relay release_exit, so it cannot be both"):
        await site.ask("mode", lane="slow", mode="both", by="guard", why="test")
    with pytest.raises(RequestRefused, match="slow has no relay release_exit"):
        await site.ask("assist", lane="slow", direction="exit", by="guard", why="test")
    await site.ask("assist", lane="slow", direction="entry", by="guard", why="test")
    site.reader.present(GOOD_CARD)
    await site.coils(c1=True)
    assert site.sensors.board.writes == writes
