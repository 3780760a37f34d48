"""relay_gpio and contact_gpio: levels, pins, and what opening leaves alone."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gpiozero import BadPinFactory, Device
from pydantic import ValidationError

from gated.ports import Contact, DriverFault
from gated_drivers import contact_gpio, relay_gpio
from gated_drivers.contact_gpio import GpioContactSettings
from gated_drivers.relay_gpio import GpioRelaySettings
from gated_simulators.rigs import _gpio_chip
from tests.drivers.samples import listening, until


@pytest.mark.parametrize("active_low", [False, True])
async def test_active_low_is_a_fact_of_the_board(active_low: bool) -> None:
    settings = GpioRelaySettings(pins={1: 17}, active_low=active_low)
    async with _gpio_chip.open_rig(settings) as rig, relay_gpio.open_board(settings) as board:
        await board.switch({1: True})
        assert rig.board.coils == {1: True}
        assert Device.pin_factory.pin(17).state is not active_low
        assert await board.observed() == {1: True}


async def test_opening_leaves_the_pins_as_they_are() -> None:
    settings = GpioRelaySettings(pins={1: 17, 2: "GPIO27"}, active_low=True)
    async with _gpio_chip.open_rig(settings) as rig, relay_gpio.open_board(settings) as board:
        assert Device.pin_factory.pin(17).function == "input"
        await board.switch({2: False})
        assert Device.pin_factory.pin(17).function == "input"
        assert rig.board.history == []


async def test_a_pin_in_use_is_a_fault() -> None:
    settings = GpioRelaySettings(pins={1: 17})
    async with _gpio_chip.open_rig(settings), relay_gpio.open_board(settings) as board:
        await board.switch({1: True})
        with pytest.raises(DriverFault, match="in use"):
            async with contact_gpio.open_board(GpioContactSettings(pins={1: 17})):
                pass


@pytest.mark.parametrize("pin", [99, "GPIO99", "nowhere"])
async def test_a_pin_the_computer_has_not_is_a_fault(pin: int | str) -> None:
    settings = GpioRelaySettings(pins={1: 17})
    async with _gpio_chip.open_rig(settings):
        with pytest.raises(DriverFault, match=f"no pin {pin}"):
            async with relay_gpio.open_board(GpioRelaySettings(pins={1: pin})):
                pass


async def test_a_computer_without_pins_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_works() -> None:
        raise BadPinFactory("Unable to load any default pin factory!")

    monkeypatch.setattr(Device, "ensure_pin_factory", none_works)
    with pytest.raises(DriverFault, match="install lgpio"):
        async with relay_gpio.open_board(GpioRelaySettings(pins={1: 17})):
            pass


async def test_a_channel_without_a_pin_is_a_fault() -> None:
    settings = GpioRelaySettings(pins={1: 17})
    async with _gpio_chip.open_rig(settings), relay_gpio.open_board(settings) as board:
        with pytest.raises(DriverFault, match="channel 2"):
            await board.switch({2: True})


@pytest.mark.parametrize(("pull", "closed_level"), [("up", False), ("down", True), ("none", False)])
async def test_closed_is_the_level_the_contact_pulls_to(pull: Any, closed_level: bool) -> None:
    settings = GpioContactSettings(pins={4: 17}, pull=pull)
    async with _gpio_chip.open_rig(settings) as rig:
        rig.set_contact(4, False)
        async with contact_gpio.open_board(settings) as board, listening(board.contacts()) as seen:
            await until(lambda: len(seen) == 1)
            rig.set_contact(4, True)
            await until(lambda: len(seen) == 2)
            assert Device.pin_factory.pin(17).state is closed_level
            assert [c.closed for c in seen] == [False, True]


async def test_a_pulse_shorter_than_any_poll_is_seen() -> None:
    settings = GpioContactSettings(pins={4: 17})
    async with (
        _gpio_chip.open_rig(settings) as rig,
        contact_gpio.open_board(settings) as board,
        listening(board.contacts()) as seen,
    ):
        await until(lambda: len(seen) == 1)
        rig.set_contact(4, True)
        rig.set_contact(4, False)
        await until(lambda: len(seen) == 3)
        assert [c.closed for c in seen] == [False, True, False]


async def test_posting_moves_the_pins_before_it_returns() -> None:
    settings = GpioRelaySettings(pins={1: 17, 2: 27})
    async with _gpio_chip.open_rig(settings) as rig, relay_gpio.open_board(settings) as board:
        board.post({1: True, 9: True, 2: True})
        assert rig.board.coils == {1: True, 2: True}
        board.post({1: False})
        assert rig.board.coils == {1: False, 2: True}


async def test_a_pin_that_fails_holds_up_no_other() -> None:
    settings = GpioRelaySettings(pins={1: 17, 2: 27, 3: 22})
    async with (
        _gpio_chip.open_rig(settings) as rig,
        relay_gpio.open_board(settings) as board,
        contact_gpio.open_board(GpioContactSettings(pins={1: 27})),  # somebody else has it
    ):
        with pytest.raises(DriverFault, match="switching pin 27"):
            board.post({1: True, 2: True, 3: True})
        assert rig.board.coils == {1: True, 3: True}


async def test_an_edge_is_told_in_the_callback_that_brought_it() -> None:
    settings = GpioContactSettings(pins={4: 17}, bounce_s=0.02)
    told: list[tuple[bool | None, object]] = []

    def changed(contact: Contact) -> None:
        told.append((contact.closed, asyncio.current_task()))

    async with _gpio_chip.open_rig(settings) as rig, contact_gpio.open_board(settings) as board:
        board.tell(changed)
        async with listening(board.contacts()) as yielded:
            await until(lambda: len(told) == 1)
            rig.set_contact(4, True)
            await until(lambda: len(told) == 2)
            assert told[1] == (True, None)
            assert yielded == []


async def test_an_edge_before_anybody_listens_is_told() -> None:
    settings = GpioContactSettings(pins={4: 17})
    async with _gpio_chip.open_rig(settings) as rig, contact_gpio.open_board(settings) as board:
        rig.set_contact(4, True)
        rig.set_contact(4, False)
        await asyncio.sleep(0)
        async with listening(board.contacts()) as seen:
            await until(lambda: len(seen) == 3)
            assert [c.closed for c in seen] == [False, True, False]


def test_what_is_known_of_pins_is_said() -> None:
    assert relay_gpio.traits(GpioRelaySettings(pins={1: 17})) == ("unknown", None, True)
    assert contact_gpio.traits(GpioContactSettings(pins={1: 17})) == (False, 0.5)


LOOK = """
import os, sys
from gated.ports import Contact, DriverFault
from gated_drivers._gpio import find_pins
before = os.getcwd()
try:
    find_pins([17])
except DriverFault as fault:
    print(fault)
print(os.getcwd() == before, "lgpio" in sys.modules, os.environ.get("LG_WD"))
"""


@pytest.mark.skipif(importlib.util.find_spec("lgpio") is None, reason="lgpio has no build for this Python")
@pytest.mark.parametrize("given", [False, True])
def test_lgpio_leaves_nothing_where_we_stand_and_moves_us_nowhere(given: bool, tmp_path: Path) -> None:
    """It makes a FIFO in the current directory, which may be read-only, or changes to LG_WD for it."""
    stand, elsewhere, runtime = tmp_path / "stand", tmp_path / "elsewhere", tmp_path / "run"
    for folder in (stand, elsewhere, runtime):
        folder.mkdir()
    env = {k: v for k, v in os.environ.items() if k not in ("LG_WD", "GPIOZERO_PIN_FACTORY")}
    env |= {"RUNTIME_DIRECTORY": f"{runtime}:/nowhere"} | ({"LG_WD": str(elsewhere)} if given else {})
    ran = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=stand, env=env, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == f"True True {elsewhere if given else None}"
    assert list(stand.iterdir()) == []
    assert list(runtime.iterdir()) == []
    assert bool(list(elsewhere.iterdir())) is given


def test_rest_names_channels_that_exist() -> None:
    with pytest.raises(ValidationError, match="channel 3"):
        GpioRelaySettings(pins={1: 17}, rest={3: True})
