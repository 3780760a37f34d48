"""contact_supervised: four states over both converters, and what a converter can do wrong."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from gpiozero import Device
from pydantic import ValidationError

from gated.ports import Contact, DriverFault
from gated_drivers import contact_supervised
from gated_drivers._codecs.mcp3xxx import CHIPS
from gated_drivers.contact_supervised import SupervisedContactSettings
from gated_simulators.rigs import contact_supervised as rigs
from gated_simulators.rigs._line_circuit import LineCircuit
from tests.drivers.samples import DEADLINE_S, listening, until

SPI = {"type": "mcp3008"}
FAULTS = ("cut", "short", "undefined")


def wired(folder: Path, kind: str, **changes: Any) -> SupervisedContactSettings:
    """Settings with this type of converter, three inputs, read as fast as it goes."""
    table: dict[str, Any] = {"type": kind}
    if kind == "modbus":
        table |= {"port": str(folder / "wire"), "full_scale": 27_648}
    table |= changes.pop("converter", {})
    channels = [0, 1, 2] if kind == "modbus" else list(range(CHIPS[kind].channels))[-3:]
    values = {"converter": table, "channels": channels, "poll_s": 0.001, "bounce_s": 0.0} | changes
    return SupervisedContactSettings.model_validate(values)


@asynccontextmanager
async def watched(settings: SupervisedContactSettings) -> AsyncIterator[tuple[Any, dict[int, str]]]:
    """The rig, and the newest word for each channel."""
    words: dict[int, str] = {}

    def changed(contact: Contact) -> None:
        assert (contact.closed is None) == (contact.fault in FAULTS)
        words[contact.channel] = contact.fault or ("closed" if contact.closed else "open")

    async with rigs.open_rig(settings) as rig, contact_supervised.open_board(settings) as board:
        board.tell(changed)
        async with listening(board.contacts()):
            yield rig, words


both = pytest.mark.parametrize("converter", ["mcp3008", "modbus"])


@pytest.mark.parametrize("converter", [*CHIPS, "modbus"])
async def test_four_states_come_through_every_converter(converter: str, tmp_path: Path) -> None:
    settings = wired(tmp_path, converter)
    last = settings.channels[-1]
    async with asyncio.timeout(DEADLINE_S), watched(settings) as (rig, words):
        await until(lambda: words == dict.fromkeys(settings.channels, "open"))
        rig.set_contact(last, True)
        await until(lambda: words[last] == "closed")
        for fault in ("cut", "short", "cut"):
            rig.line(last).fault = fault
            await until(lambda fault=fault: words[last] == fault)  # type: ignore[misc]
        rig.line(last).fault = ""
        await until(lambda: words[last] == "closed")
        rig.line(last).parallel = 2200  # terminated by the wrong resistor
        rig.set_contact(last, False)
        await until(lambda: words[last] == "undefined")
        assert all(words[channel] == "open" for channel in settings.channels[:-1]), "other lines go on"


@pytest.mark.parametrize(
    "pins",
    [
        {"clock_pin": 5, "mosi_pin": 6, "miso_pin": 13, "select_pin": 19},
        {"clock_pin": "GPIO5", "mosi_pin": "GPIO6", "miso_pin": "GPIO13", "select_pin": "GPIO19"},
        {"port": 0, "device": 1},
    ],
)
async def test_a_chip_on_other_pins_is_read(pins: dict[str, Any], tmp_path: Path) -> None:
    async with (
        asyncio.timeout(DEADLINE_S),
        watched(wired(tmp_path, "mcp3208", converter=pins)) as (rig, words),
    ):
        rig.set_contact(6, True)
        await until(lambda: words == {5: "open", 6: "closed", 7: "open"})


@both
async def test_tolerances_and_drift_of_a_whole_installation(converter: str, tmp_path: Path) -> None:
    """Every corner of 5 percent resistors and a reference that drifts, through the converter's own steps."""
    settings = wired(tmp_path, converter)
    channel = settings.channels[0]
    async with asyncio.timeout(50), watched(settings) as (rig, words):
        for series, parallel, pull_up, supply in itertools.product(
            (0.95, 1.05), (0.95, 1.05), (0.95, 1.05), (0.97, 1.03)
        ):
            rig.lines[channel] = LineCircuit(2200 * series, 8200 * parallel, 10_000 * pull_up, supply=supply)
            for closed, fault in ((False, ""), (True, ""), (True, "cut"), (True, "short")):
                rig.set_contact(channel, closed)
                rig.line(channel).fault = fault
                expected = fault or ("closed" if closed else "open")
                await until(lambda: words.get(channel) == expected)  # noqa: B023


@both
async def test_bounce_is_no_change_and_a_fault_is_told_within_two_seconds(
    converter: str, tmp_path: Path
) -> None:
    settings = wired(tmp_path, converter, bounce_s=0.3, poll_s=0.005)
    channel = settings.channels[0]
    told: list[Contact] = []
    async with rigs.open_rig(settings) as rig, contact_supervised.open_board(settings) as board:
        board.tell(told.append)
        async with listening(board.contacts()):
            await until(lambda: len(told) == 3)
            loop, began = asyncio.get_running_loop(), time.monotonic()
            for i in range(21):  # chatters every 10 ms, and is closed
                loop.call_later(i * 0.01, rig.set_contact, channel, i % 2 == 0)
            await until(lambda: len(told) == 4)
            assert (told[3].channel, told[3].closed, told[3].fault) == (channel, True, "")
            assert told[3].at >= began + 0.2 + 0.3 - 0.01
            for fault in ("cut", "short"):
                cut_at = time.monotonic()
                rig.line(channel).fault = fault
                await until(lambda fault=fault: told[-1].fault == fault)  # type: ignore[misc]
                assert 0.3 <= told[-1].at - cut_at < 2.0


@both
async def test_a_line_that_chatters_for_ever_is_a_fault(converter: str, tmp_path: Path) -> None:
    settings = wired(tmp_path, converter, bounce_s=0.2, poll_s=0.005)
    channel = settings.channels[0]
    async with asyncio.timeout(DEADLINE_S), watched(settings) as (rig, words):
        await until(lambda: len(words) == 3)
        loop = asyncio.get_running_loop()

        def chatter(closed: bool) -> None:
            rig.set_contact(channel, closed)
            loop.call_later(0.02, chatter, not closed)

        chatter(True)
        await until(lambda: words[channel] == "undefined")


@both
async def test_contacts_are_told_in_the_callback_that_brought_the_reading(
    converter: str, tmp_path: Path
) -> None:
    tasks: list[object] = []
    settings = wired(tmp_path, converter)
    async with rigs.open_rig(settings), contact_supervised.open_board(settings) as board:
        board.tell(lambda contact: tasks.append(asyncio.current_task()))
        async with listening(board.contacts()) as yielded:
            await until(lambda: len(tasks) == 3)
            assert tasks == [None] * 3
            assert yielded == []


@both
async def test_the_time_of_the_last_reading_goes_on(converter: str, tmp_path: Path) -> None:
    settings = wired(tmp_path, converter)
    async with rigs.open_rig(settings), contact_supervised.open_board(settings) as board:
        opened = board.read_at
        async with listening(board.contacts()):
            await until(lambda: board.read_at > opened)
            before = board.read_at
            await until(lambda: board.read_at > before)


async def fault_of(settings: SupervisedContactSettings, break_it: Any) -> tuple[str, float]:
    """The fault, and how long after the break it came; opening again fails as well."""
    async with asyncio.timeout(DEADLINE_S), rigs.open_rig(settings) as rig:
        with pytest.raises(DriverFault) as fault:
            async with contact_supervised.open_board(settings) as board:
                first = asyncio.Event()
                board.tell(lambda contact: first.set())
                broken = 0.0

                async def use() -> None:
                    async for _ in board.contacts():
                        pass

                using = asyncio.create_task(use())
                await first.wait()
                break_it(rig)
                broken = time.monotonic()
                await using
        took = time.monotonic() - broken
        with pytest.raises(DriverFault):
            async with contact_supervised.open_board(settings):
                pass
        return str(fault.value), took


@pytest.mark.parametrize("floating", [False, True])
async def test_a_chip_without_power_is_a_fault(floating: bool, tmp_path: Path) -> None:
    def unpowered(rig: Any) -> None:
        rig.floating, rig.silent = floating, True

    fault, took = await fault_of(wired(tmp_path, "mcp3008"), unpowered)
    assert ("nobody answers" if floating else "only zeros") in fault
    assert took < 2.0


async def test_an_spi_that_hangs_is_a_fault(tmp_path: Path) -> None:
    fault, took = await fault_of(wired(tmp_path, "mcp3008"), lambda rig: rig.running.clear())
    assert "no reading for" in fault
    assert took < 2.0 + 1.0  # closing waits a second for the thread


@pytest.mark.parametrize("value", [30_000, 65_535, 0x8000])
async def test_an_impossible_value_is_a_fault(value: int, tmp_path: Path) -> None:
    fault, took = await fault_of(wired(tmp_path, "modbus"), lambda rig: rig.analogue.update({1: value}))
    assert f"tells {value} at register 1" in fault
    assert took < 2.0


@pytest.mark.parametrize("value", [0x8000, 0x7FFF])
async def test_an_impossible_signed_value_is_a_fault(value: int, tmp_path: Path) -> None:
    settings = wired(tmp_path, "modbus", converter={"signed": True})
    fault, _ = await fault_of(settings, lambda rig: rig.analogue.update({1: value}))
    assert "impossible" in fault


async def test_a_shorted_input_may_tell_a_little_less_than_nothing(tmp_path: Path) -> None:
    settings = wired(tmp_path, "modbus", converter={"signed": True, "registers": "holding"})
    async with asyncio.timeout(DEADLINE_S), watched(settings) as (rig, words):
        rig.holding.update({0: 0xFFFE, 1: 27_700})
        await until(lambda: words == {0: "short", 1: "cut", 2: "open"})
        assert set(rig.functions) == {3}


async def test_a_silent_module_is_a_fault(tmp_path: Path) -> None:
    fault, took = await fault_of(wired(tmp_path, "modbus"), lambda rig: setattr(rig, "silent", True))
    assert "does not answer" in fault
    assert took < 2.0


async def test_damaged_answers_are_never_a_state(tmp_path: Path) -> None:
    fault, took = await fault_of(wired(tmp_path, "modbus"), lambda rig: setattr(rig, "bad_crc", True))
    assert "damaged" in fault
    assert took < 2.0


async def test_one_short_is_no_fault_of_the_chip(tmp_path: Path) -> None:
    settings = wired(tmp_path, "mcp3008")
    async with asyncio.timeout(DEADLINE_S), watched(settings) as (rig, words):
        for channel in settings.channels[:-1]:
            rig.line(channel).fault = "short"
        await until(lambda: list(words.values()) == ["short", "short", "open"])


async def test_bands_of_your_own_hold_for_their_channel_alone(tmp_path: Path) -> None:
    own = {"short": [0, 0.05], "closed": [0.45, 0.6], "open": [0.7, 0.8], "cut": [0.9, 1]}
    settings = wired(tmp_path, "modbus", bands={1: own})
    async with asyncio.timeout(DEADLINE_S), watched(settings) as (_, words):
        await until(lambda: words == {0: "open", 1: "closed", 2: "open"})


async def test_pins_are_given_back(tmp_path: Path) -> None:
    settings = wired(tmp_path, "mcp3008")
    async with rigs.open_rig(settings):
        async with contact_supervised.open_board(settings):
            assert Device.pin_factory.pin(11).function == "output"
        assert Device.pin_factory.pin(11).function == "input"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"converter": SPI, "channels": [8]}, "mcp3008 has no channel 8; it has 0 to 7"),
        ({"converter": SPI, "parallel_ohm": 200}, "the bands closed .* and open .* overlap"),
        ({"converter": SPI, "tolerance": 0.2, "series_ohm": 9000}, "overlap"),
        ({"converter": SPI, "bands": {3: {}}}, "Field required"),
        ({"converter": {"type": "mcp3009"}}, "mcp3009"),
        ({"converter": SPI | {"clock_pin": 5, "select_pin": 6}}, "mosi_pin, miso_pin missing"),
        (
            {"converter": SPI | {"port": 0, "clock_pin": 5, "mosi_pin": 6, "miso_pin": 7, "select_pin": 8}},
            "either port and device or the four pins",
        ),
        ({"converter": {"type": "modbus", "port": "x", "full_scale": 0}}, "greater than or equal to 100"),
        ({"converter": {"type": "modbus", "port": "x"}}, "full_scale"),
        (
            {"converter": {"type": "modbus", "port": "x", "full_scale": 1000}, "channels": [0, 200]},
            "span over 125 addresses",
        ),
        (
            {
                "converter": SPI,
                "bands": {4: {"short": [0, 0.1], "closed": [0.2, 0.3], "open": [0.4, 0.5], "cut": [0.9, 1]}},
            },
            "bands names channel 4",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        SupervisedContactSettings.model_validate({"channels": [0, 1]} | wrong)


def test_traits_say_that_lines_are_supervised(tmp_path: Path) -> None:
    for converter in ("mcp3008", "modbus"):
        traits = contact_supervised.traits(wired(tmp_path, converter))
        assert traits.supervised
        assert traits.stale_s is not None
        assert traits.stale_s <= 1.0
