"""The peer of contact_gpio: a GPIO chip of gpiozero's mock pins."""

from __future__ import annotations

from gated_simulators.rigs._gpio_chip import GpioRig, open_rig

__all__ = ["GpioRig", "open_rig"]
