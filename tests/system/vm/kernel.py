"""The far side of kernel devices: a GPIO chip whose lines the test pulls, a USB serial adapter it unplugs.

gpio-sim and USB gadgets by configfs: Documentation/admin-guide/gpio/gpio-sim.rst and usb/gadget_configfs.rst
of the kernel. What the product sees is /dev/gpiochipN and /dev/ttyACMn, as with real hardware.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import termios
import time
import tty
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

DEADLINE_S = 30.0
FAR_END = "/dev/ttyGS0"
CONFIGFS = Path("/sys/kernel/config")
RASPBERRY_PI_3B_PLUS = "a020d3"


def look_like_a_pi(scratch: Path) -> None:
    """gpiozero knows pins by the board's revision, which a Pi tells in /proc/cpuinfo."""
    real = Path("/proc/cpuinfo")
    text = real.read_text(encoding="ascii")
    if "Revision" not in text:
        told = scratch / "cpuinfo"
        told.write_text(f"{text}\nRevision\t: {RASPBERRY_PI_3B_PLUS}\n", encoding="ascii")
        subprocess.run(["mount", "--bind", str(told), str(real)], check=True)


def appears(what: Callable[[], bool], name: str) -> None:
    """Block until udev and the kernel are done; for set-up only."""
    end = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < end, f"{name} never appeared"
        os.sched_yield()


class GpioChip:
    """A chip of 32 lines; `pull` is what the world does to an input, `level` what an output drives."""

    def __init__(self, name: str) -> None:
        subprocess.run(["modprobe", "gated-gpio-sim"], check=True)
        self._device = CONFIGFS / "gpio-sim" / name
        bank = self._device / "bank0"
        bank.mkdir(parents=True)
        (bank / "num_lines").write_text("32")
        (self._device / "live").write_text("1")
        self.chip = (bank / "chip_name").read_text().strip()
        device = (self._device / "dev_name").read_text().strip()
        self._lines = Path("/sys/devices/platform") / device / self.chip
        appears(lambda: Path("/dev", self.chip).exists(), self.chip)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: TracebackType | BaseException | type[BaseException] | None) -> None:
        (self._device / "live").write_text("0")
        (self._device / "bank0").rmdir()
        self._device.rmdir()

    def pull(self, line: int, up: bool) -> None:
        """Put 3.3 V or ground on an input."""
        (self._lines / f"sim_gpio{line}" / "pull").write_text("pull-up" if up else "pull-down")

    def level(self, line: int) -> bool:
        """What the line is at."""
        return (self._lines / f"sim_gpio{line}" / "value").read_text().strip() == "1"

    async def reach(self, **levels: bool) -> None:
        """Wait until lines (named gpio5, gpio6 ...) are at these levels."""
        wanted = {int(name.removeprefix("gpio")): level for name, level in levels.items()}
        try:
            async with asyncio.timeout(DEADLINE_S):
                while any(self.level(line) is not level for line, level in wanted.items()):
                    await asyncio.sleep(0.005)  # sysfs tells no changes
        except TimeoutError:
            seen = {line: self.level(line) for line in wanted}
            raise AssertionError(f"the lines stayed {seen}, not {wanted}") from None


class UsbSerial:
    """A CDC ACM adapter on the kernel's loop-back USB; `received` is what the computer sent."""

    def __init__(self, name: str, serial: str) -> None:
        for module in ("dummy_hcd", "libcomposite", "usb_f_acm", "cdc-acm"):
            subprocess.run(["modprobe", module], check=True)
        self._gadget = CONFIGFS / "usb_gadget" / name
        strings = self._gadget / "strings/0x409"
        strings.mkdir(parents=True)
        (self._gadget / "idVendor").write_text("0x1d6b")
        (self._gadget / "idProduct").write_text("0x0104")
        (strings / "serialnumber").write_text(serial)
        (strings / "manufacturer").write_text("gated")
        (strings / "product").write_text("relay")
        (self._gadget / "configs/c.1").mkdir(parents=True)
        (self._gadget / "functions/acm.0").mkdir(parents=True)
        (self._gadget / "configs/c.1/acm.0").symlink_to(self._gadget / "functions/acm.0")
        self._serial = serial
        self._far = -1
        self.received = bytearray()
        self.plug()

    @property
    def port(self) -> Path:
        """The name under which a site configures it: by its serial number."""
        return Path(f"/dev/serial/by-id/usb-gated_relay_{self._serial}-if00")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: TracebackType | BaseException | type[BaseException] | None) -> None:
        self.unplug()
        (self._gadget / "configs/c.1/acm.0").unlink()
        for part in ("configs/c.1", "functions/acm.0", "strings/0x409", "."):
            (self._gadget / part).rmdir()

    def plug(self) -> None:
        """Plug it in and wait until udev has named it."""
        (self._gadget / "UDC").write_text("dummy_udc.0")
        appears(self.port.exists, str(self.port))
        self.received.clear()
        self._far = os.open(FAR_END, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._far, termios.TCSANOW)

    def unplug(self) -> None:
        """Pull it out, if it is in; both ends of the line are hung up on."""
        if self._far >= 0:
            os.close(self._far)
            self._far = -1
            (self._gadget / "UDC").write_text("\n")

    def read(self) -> bytes:
        """Everything the computer sent since it was plugged in last."""
        with contextlib.suppress(BlockingIOError):
            self.received += os.read(self._far, 4096)
        return bytes(self.received)
