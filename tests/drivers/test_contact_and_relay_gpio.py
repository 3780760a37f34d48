"""relay_gpio and contact_gpio: levels, pins, and what opening leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
from gpiozero import Device
from pydantic import ValidationError

from gated.ports import DriverFault
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


def test_rest_names_channels_that_exist() -> None:
    with pytest.raises(ValidationError, match="channel 3"):
        GpioRelaySettings(pins={1: 17}, rest={3: True})
