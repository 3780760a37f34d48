"""Damage done to lines, outputs, panel and power supply, as the real drivers at the near end find it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gated.errors import DriverFault, GatedError
from gated.ports import Contact
from gated.release import config
from gated_simulators import client
from gated_simulators.building import commands
from gated_simulators.building.building import Building
from tests.building.conftest import until


async def act(site: Path, line: str) -> str:
    return await client.act(site, commands.parse(line))


def state(building: Building, what: str, name: str) -> str | None:
    return building.states().get(what, {}).get(name)


@asynccontextmanager
async def opened(site: Path, name: str) -> AsyncIterator[Any]:
    device = config.load(site / "release.toml").devices[name]
    async with device.driver.open(device.settings) as port:
        yield port


async def read_until(port: Any, holds: Callable[[Contact], bool]) -> Contact:
    async with asyncio.timeout(10.0):
        async for contact in port.contacts():
            if holds(contact):
                return contact  # type: ignore[no-any-return]
    raise AssertionError("the board stopped telling")


async def test_a_stuck_relay_is_acknowledged_and_does_not_move(building: Building, site: Path) -> None:
    async with opened(site, "release-relays") as board:
        await board.switch({0: True, 1: True, 2: True})
        await until(lambda: state(building, "flap", "lane-1") == "shut", building)
        await act(site, "fail lane-1")
        await board.switch({0: False})
        assert (await board.observed())[0] is False
        assert state(building, "coil", "lane-1.may_shut") == "energised"
        assert building.lanes["lane-1"].turnstile.flap_shut
        assert building.status()["outputs"]["lane-1"] == "stuck"
        await act(site, "repair lane-1")
        await until(lambda: state(building, "flap", "lane-1") == "open", building)
        assert building.status()["outputs"]["lane-1"] == "good"


async def test_either_of_two_relays_in_series_opens_a_lane(building: Building, site: Path) -> None:
    async with opened(site, "release-relays") as board:
        await board.switch({1: True})
        assert building.lanes["lane-2"].turnstile.flap_open
        await board.switch({2: True})
        await until(lambda: state(building, "flap", "lane-2") == "shut", building)
        await act(site, "fail lane-2")
        await board.switch({1: False, 2: False})
        await until(lambda: state(building, "flap", "lane-2") == "open", building)
        assert state(building, "coil", "lane-2.may_shut") == "energised"


async def test_a_board_that_refuses_one_coil_takes_the_others(building: Building, site: Path) -> None:
    async with opened(site, "release-relays") as board:
        await board.switch({0: True, 1: True})
        await act(site, "fail lane-1 refuses")
        with pytest.raises(DriverFault):
            await board.switch({0: False, 1: False})
        assert state(building, "coil", "lane-1.may_shut") == "energised"
        assert state(building, "coil", "lane-2.may_shut") == "at rest"
        await act(site, "repair lane-1")
        await board.switch({0: False})
        assert state(building, "coil", "lane-1.may_shut") == "at rest"


async def test_a_silent_board_does_nothing(building: Building, site: Path) -> None:
    async with opened(site, "release-relays") as board:
        await board.switch({0: True})
        await act(site, "fail lane-1 silent")
        with pytest.raises(DriverFault):
            await board.switch({0: False})
        assert state(building, "coil", "lane-1.may_shut") == "energised"
        await act(site, "repair lane-1")


async def test_a_signal_is_seen_at_the_far_end(building: Building, site: Path) -> None:
    async with opened(site, "release-relays") as board:
        await board.switch({3: True})
        await until(lambda: state(building, "signal", "open-by-hand") == "on", building)
        await board.switch({3: False})
        await until(lambda: state(building, "signal", "open-by-hand") == "off", building)


@pytest.mark.parametrize(
    ("verb", "closed", "fault"),
    [("cut", None, "cut"), ("short", None, "short"), ("misterminate", None, "undefined")],
)
async def test_damage_to_the_supervised_line_is_told_by_its_driver(
    building: Building, site: Path, verb: str, closed: bool | None, fault: str
) -> None:
    del building
    async with opened(site, "panel-line") as board:
        contacts = board.contacts()
        assert (await anext(contacts)).closed is False
        assert "is supervised" in await act(site, f"{verb} fire-panel")
        async with asyncio.timeout(5.0):
            found = await anext(contacts)
        assert (found.closed, found.fault) == (closed, fault)
        assert await act(site, "restore fire-panel") == ""
        await act(site, "trip fire")
        async with asyncio.timeout(5.0):
            while (found := await anext(contacts)).closed is not True:
                pass
        assert found.fault == ""


async def test_damage_to_a_dry_contact_is_one_of_two_states_and_remarked(
    building: Building, site: Path
) -> None:
    board = building.rigs["release-inputs"].board
    await act(site, "trip guard-button")
    assert "nobody can see the damage" in await act(site, "cut guard-button")
    assert board.inputs[2] is False
    assert "reads in alarm" in await act(site, "short guard-button")
    await act(site, "clear guard-button")
    assert board.inputs[2] is True
    await act(site, "restore guard-button")
    assert board.inputs[2] is False
    with pytest.raises(GatedError, match="its line has no resistors to confuse"):
        await act(site, "misterminate guard-button")


async def test_a_bouncing_contact_comes_to_rest_where_it_belongs(building: Building, site: Path) -> None:
    async with opened(site, "release-inputs") as board:
        bouncing = asyncio.create_task(read_until(board, lambda c: c.channel == 2 and bool(c.closed)))
        await act(site, "bounce guard-button --for 1")
        assert (await bouncing).channel == 2
    await act(site, "trip guard-button")
    await until(lambda: state(building, "line", "guard-button") == "whole", building)
    assert building.rigs["release-inputs"].board.inputs[2] is True


async def test_the_power_supply_tells_battery_and_low_by_its_contacts(building: Building, site: Path) -> None:
    inputs = building.rigs["release-inputs"].board.inputs
    for word, on_battery, low in (("on_battery", True, False), ("low", True, True), ("mains", False, False)):
        await act(site, f"ups {word}")
        assert (inputs[6], inputs[3]) == (on_battery, low)
    assert state(building, "contact", "battery-low") == "rest"


async def test_a_panel_whose_transfer_is_stopped_passes_its_fire_on_later(
    building: Building, site: Path
) -> None:
    await act(site, "panel transfer-stopped on")
    await act(site, "trip fire")
    assert building.rigs["release-inputs"].board.inputs[0] is True
    assert state(building, "contact", "panel-transfer") == "trouble"
    assert state(building, "contact", "fire-panel") == "rest"
    assert building.status()["alarms"]["fire-panel"] is True
    await act(site, "panel transfer-stopped off")
    assert state(building, "contact", "fire-panel") == "alarm"


@pytest.mark.parametrize(
    ("line", "piece"),
    [
        ("short lane-1", "no line is called 'lane-1'; there are fire-panel"),
        ("restore board-1", "no line is called 'board-1'"),
        ("bounce nothing", "no line is called 'nothing'"),
        ("fail lane-9", "no output is called 'lane-9'; there are lane-1, lane-2"),
        ("repair board-1", "no output is called 'board-1'"),
    ],
)
async def test_what_cannot_be_damaged_is_refused_with_a_sentence(
    building: Building, site: Path, line: str, piece: str
) -> None:
    del building
    with pytest.raises(GatedError) as caught:
        await act(site, line)
    assert piece in str(caught.value)
