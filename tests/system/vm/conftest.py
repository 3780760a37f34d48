"""Devices of the virtual machine. Elsewhere this directory is not collected: nothing here can run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.vm.kernel import GpioChip, UsbSerial, look_like_a_pi

collect_ignore_glob = [] if os.environ.get("GATED_VM") else ["test_*.py"]


@pytest.fixture
def chip(tmp_path: Path) -> Iterator[GpioChip]:
    """A GPIO chip of 32 lines, all low, in a machine that gpiozero takes for a Raspberry Pi."""
    look_like_a_pi(tmp_path)
    with GpioChip("gate") as chip:
        yield chip


@pytest.fixture
def usb() -> Iterator[UsbSerial]:
    """A USB serial adapter, plugged in; the test holds its far end."""
    with UsbSerial("gate", "RELAY0001") as usb:
        yield usb
