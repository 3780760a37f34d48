"""The building from the near end of its wires: the real drivers on one side, people on the other."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gated import config, jsonlines
from gated.errors import GatedError, RequestRefused
from gated.release import config as release_config
from gated_simulators import client
from gated_simulators.building import commands, wiring
from gated_simulators.building.building import Building
from tests.building.conftest import until


def state(building: Building, what: str, name: str) -> str | None:
    return building.states().get(what, {}).get(name)


async def act(site: Path, line: str) -> None:
    await client.act(site, commands.parse(line))


async def test_coils_over_the_wire_move_the_flap_and_the_lamp(building: Building, site: Path) -> None:
    ours, emergency = config.load(site / "gated.toml"), release_config.load(site / "release.toml")
    assert state(building, "flap", "lane-1") == "open"  # nothing is powered yet
    async with AsyncExitStack() as stack:
        board = await stack.enter_async_context(_open(ours.devices["board-1"]))
        release = await stack.enter_async_context(_open(emergency.devices["release-relays"]))
        await release.switch({0: True})
        await until(lambda: state(building, "flap", "lane-1") == "shut", building)
        assert state(building, "flap", "lane-2") == "open"
        await board.switch({1: True, 3: True})
        await until(lambda: state(building, "flap", "lane-1") == "open", building)
        assert state(building, "coil", "lane-1.release_entry") == "energised"
        assert state(building, "lamp", "lane-1.grant") == "on"
        await board.switch({1: False, 3: False})
        await until(lambda: state(building, "flap", "lane-1") == "shut", building)
    await until(lambda: state(building, "flap", "lane-1") == "open", building)  # its rest state opens


async def test_who_walks_is_seen_by_the_contacts_at_the_other_end(building: Building, site: Path) -> None:
    sensors = config.load(site / "gated.toml").devices["sensors-1"]
    seen: list[tuple[int, bool | None]] = []
    async with _open(sensors) as board:
        await act(site, "walk lane-1")
        async with asyncio.timeout(10.0):
            async for contact in board.contacts():
                seen.append((contact.channel, contact.closed))
                if seen[-2:] == [(1, True), (1, False)]:
                    break
    beams = [(channel, closed) for channel, closed in seen if channel in (0, 1)]
    assert beams[2:] == [(0, True), (0, False), (1, True), (1, False)]
    await until(lambda: building.lanes["lane-1"].turnstile.passed["entry"] == 1, building)


async def test_a_tripped_contact_is_an_alarm_for_as_long_as_said(building: Building, site: Path) -> None:
    def alarms() -> list[Any]:
        return [s for s in building.seen if s.what == "contact" and s.name == "fire-panel"]

    await act(site, "trip fire --for 0.1")
    await until(lambda: state(building, "contact", "fire-panel") == "rest" and len(alarms()) == 3, building)
    begun, ended = alarms()[1:]
    assert 0.09 <= ended.at - begun.at < 2.0
    await act(site, "trip guard-button")
    assert building.rigs["release-inputs"].board.inputs[2] is True
    await act(site, "clear manual")
    assert building.rigs["release-inputs"].board.inputs[2] is False


async def test_a_cut_wire_is_gone_and_a_mended_one_is_back(building: Building, site: Path) -> None:
    await act(site, "cut board-1")
    assert not (site / "wires/board-1").exists()
    assert building.status()["devices"]["board-1"] == "cut"
    await act(site, "cut sensors-1")  # on the bus of board-2: they lose it together
    assert building.status()["devices"]["board-2"] == "cut"
    await act(site, "mend board-1")
    await act(site, "mend board-2")
    assert (site / "wires/board-1").exists() and (site / "wires/bus-2").exists()
    assert "cut" not in building.status()["devices"].values()


async def test_a_card_is_held_until_a_lamp_answers(building: Building, site: Path) -> None:
    ours = config.load(site / "gated.toml")
    async with _open(ours.devices["reader-1"]) as reader, _open(ours.devices["board-1"]) as board:
        await act(site, "card lane-1 aoki")
        async with asyncio.timeout(10.0):
            presented = await anext(aiter(reader.presentations()))
        assert presented.payload == bytes.fromhex("012E4C0000000001")
        await board.switch({4: True})
        await until(lambda: state(building, "lamp", "lane-1.deny") == "on", building)
        assert building.lanes["lane-1"].answered.is_set()


@pytest.mark.parametrize(
    ("line", "piece"),
    [
        ("card lane-9 aoki", "there are lane-1, lane-2"),
        ("card lane-1 nobody", "a card is a name (aoki, baba"),
        ("card lane-2 aoki --exit", "no reader for a card on its exit side"),
        ("cut toaster", "no device and no line is called 'toaster'; there are board-1"),
        ("stall board-1", "is no camera"),
        ("trip flood", "fire-panel (fire)"),
        ("kill gated", "nobody answers"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_a_sentence(
    building: Building, site: Path, line: str, piece: str
) -> None:
    del building
    with pytest.raises(GatedError) as caught:
        await act(site, line)
    assert piece in str(caught.value)


async def test_a_refusal_never_repeats_a_card_number(building: Building, site: Path) -> None:
    del building
    with pytest.raises(RequestRefused) as caught:
        await act(site, "card lane-1 012E4C00000000")
    assert "012E4C" not in str(caught.value)


async def test_without_a_building_the_word_is_how_to_start_one(site: Path) -> None:
    with pytest.raises(GatedError, match="gatesim run"):
        await act(site, "walk lane-1")


async def test_who_watches_first_hears_how_everything_is(building: Building, site: Path) -> None:
    del building
    heard = {}
    async with asyncio.timeout(5.0):
        async for item in jsonlines.stream(wiring.sim_socket(site), "watch"):
            heard[item["what"], item["name"]] = item["state"]
            if item["what"] == "passed":
                break
            if item["name"] == "lane-2.exit" and item["what"] == "beam":
                await act(site, "walk lane-2 exit")
    assert heard["flap", "lane-1"] == "open"
    assert heard["passed", "lane-2.exit"] == ""


def _open(device: Any) -> Any:
    return device.driver.open(device.settings)
