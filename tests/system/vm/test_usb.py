"""A relay board on USB that is pulled out and put back while gated-release drives it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gated_drivers._codecs import lcus
from tests.release.harness import CONFIG, DEADLINE_S, FIRE, site
from tests.system.vm.kernel import UsbSerial

BOARD = """
[devices.usb]
driver = "relay_serial"
port = "PORT"
channels = 2
rest = { 1 = false }

[outputs.lane-1-other]
lane = "lane-1"
device = "usb"
channel = 1
energised = "may_shut"
"""


async def until(usb: UsbSerial, frame: bytes) -> None:
    """Wait until the computer's last command to the adapter is this."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not usb.read().endswith(frame):
                await asyncio.sleep(0.005)  # the gadget's tty is polled
    except TimeoutError:
        raise AssertionError(f"last heard: {usb.read()[-16:].hex(' ')}") from None


async def test_pulled_out_and_put_back_it_is_a_fault_and_comes_back(tmp_path: Path, usb: UsbSerial) -> None:
    config = CONFIG.replace("fault_after_s = 0.2", "fault_after_s = 2\nstart_within_s = 20")
    config = config.replace("timeout_s = 0.2", "timeout_s = 5")  # emulated, and so slow
    async with site(tmp_path, config + BOARD.replace("PORT", str(usb.port))) as gate:
        process = await gate.armed()
        await until(usb, lcus.command(1, True))
        for _ in range(3):
            usb.unplug()
            await gate.state(lambda s: any("usb" in fault for fault in s.faults))
            usb.plug()
            await until(usb, lcus.command(1, True))
            await gate.state(lambda s: s.armed and not s.faults)
        usb.unplug()
        gate.pulse(FIRE, 0.1)  # the other board opens, whatever is unplugged
        await gate.coils({0: False, 1: False})
        usb.plug()
        await until(usb, lcus.command(1, False))
        assert process.returncode is None
