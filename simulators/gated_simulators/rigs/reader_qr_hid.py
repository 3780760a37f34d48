"""The peer of reader_qr_hid: a keyboard made with the kernel's uinput, which types what the scanner read.

Source: linux/uinput.h. It needs /dev/uinput and root, so a virtual machine or a test machine.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from gated_simulators.rigs._scanner import HeldCode

UINPUT = Path("/dev/uinput")
UI_DEV_CREATE, UI_DEV_DESTROY = 0x5501, 0x5502
UI_DEV_SETUP = 0x405C5503  # struct uinput_setup: 92 bytes
UI_SET_EVBIT, UI_SET_KEYBIT = 0x40045564, 0x40045565
UI_GET_SYSNAME = 0x8040552C  # 64 bytes
EV_SYN, EV_KEY = 0, 1
BUS_USB, VENDOR, PRODUCT = 3, 0x0C2E, 0x0B61
KEY_S = 0.004  # between two reports, as scanners do; the kernel keeps 64 events for a reader
SHIFT, CONTROL, ENTER, TAB = 42, 29, 28, 15
DOWN, UP = 1, 0

# What is printed on the keys, row by row from the key of the number: without and with shift.
ROWS = {
    "us": [
        (2, "1234567890-=", "!@#$%^&*()_+"),
        (26, "[]", "{}"),
        (39, ";'`", ':"~'),
        (43, "\\", "|"),
    ],
    "jp": [
        (2, "1234567890-^", "!\"#$%&'()\x00=~"),
        (26, "@[", "`{"),
        (39, ";:", "+*"),
        (43, "]", "}"),
        (89, "\\", "_"),
        (124, "\x00", "|"),
    ],
}
LETTERS = [(16, "qwertyuiop"), (30, "asdfghjkl"), (44, "zxcvbnm")]


class WireSettings(Protocol):
    """What the rig needs of its driver's settings; `layout` and `ending` where they have them."""

    @property
    def device(self) -> str:
        """A path, at which the rig links its keyboard; or the identity of the rig's keyboard."""
        ...


def strokes(text: bytes, layout: str, ending: str) -> list[list[tuple[int, int]]]:
    """The reports that type this text: keys that go down or up together; what is not ASCII it leaves out."""
    keys = {" ": (57, 0), ",": (51, 0), "<": (51, SHIFT), ".": (52, 0), ">": (52, SHIFT)}
    keys |= {"/": (53, 0), "?": (53, SHIFT), "\t": (TAB, 0), "\r": (ENTER, 0)}
    for first, row in LETTERS:
        for i, char in enumerate(row):
            keys |= {char: (first + i, 0), char.upper(): (first + i, SHIFT)}
    for first, plain, shifted in ROWS[layout]:
        keys |= {char: (first + i, 0) for i, char in enumerate(plain)}
        keys |= {char: (first + i, SHIFT) for i, char in enumerate(shifted)}
    reports: list[list[tuple[int, int]]] = []
    ends = {"enter": "\r", "tab": "\t"}.get(ending, "")
    for char in text.decode("ascii", "ignore") + ends:
        key, held = keys[char] if char in keys else (keys[chr(ord(char) | 0x60)][0], CONTROL)
        if held:
            reports.append([(held, DOWN)])
        reports += [[(key, DOWN)], [(key, UP)]]
        if held:
            reports.append([(held, UP)])
    return reports


class HidScannerRig:
    """The scanner."""

    def __init__(self, settings: WireSettings) -> None:
        self.layout = str(getattr(settings, "layout", "us"))
        self.ending = str(getattr(settings, "ending", "enter"))
        self.node = Path()  # /dev/input/eventN
        self._prefix = next(iter(getattr(settings, "prefix", [])), "").encode("latin-1")
        self._suffix = str(getattr(settings, "suffix", "")).encode("latin-1")
        self._link = Path(settings.device) if settings.device.startswith("/") else None
        self._fd: int | None = None
        self._typing: deque[list[tuple[int, int]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._held = HeldCode(self._read)
        self._held.reread_s = 3.0  # typing takes its time
        self.show, self.clear = self._held.show, self._held.clear
        self.mend()

    @property
    def held(self) -> HeldCode:
        """What is under the scanner."""
        return self._held

    def mend(self) -> None:
        """Plug it in: a new device under the old name."""
        if self._fd is not None:
            return
        fd = os.open(UINPUT, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(fd, UI_SET_EVBIT, EV_KEY)
        for key in range(1, 128):
            fcntl.ioctl(fd, UI_SET_KEYBIT, key)
        setup = struct.pack("@HHHH80sI", BUS_USB, VENDOR, PRODUCT, 1, b"gated test scanner", 0)
        fcntl.ioctl(fd, UI_DEV_SETUP, setup)
        fcntl.ioctl(fd, UI_DEV_CREATE)
        self._fd = fd
        name = bytearray(64)
        fcntl.ioctl(fd, UI_GET_SYSNAME, name)
        device = Path("/sys/devices/virtual/input") / name.rstrip(b"\0").decode()
        self.node = Path("/dev/input") / next(device.glob("event*")).name
        if self._link is not None:
            self._link.parent.mkdir(parents=True, exist_ok=True)
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(self.node)

    def cut(self) -> None:
        """Pull the cable: whoever has it open is hung up on, and the name is gone."""
        if self._fd is None:
            return
        self._typing.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        fcntl.ioctl(self._fd, UI_DEV_DESTROY)
        os.close(self._fd)
        self._fd = None

    def write(self, *keys: tuple[int, int]) -> None:
        """One report: keys (code, 1 down or 0 up) and the end of the report; as fast as it is called."""
        if self._fd is None:
            return
        events = [(EV_KEY, code, value) for code, value in keys] + [(EV_SYN, 0, 0)]
        data = b"".join(struct.pack("@llHHi", 0, 0, *event) for event in events)
        try:
            os.write(self._fd, data)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise

    def _read(self, content: bytes) -> None:
        self._typing += strokes(self._prefix + content + self._suffix, self.layout, self.ending)
        if self._timer is None and self._fd is not None:
            self._type()

    def _type(self) -> None:
        self._timer = None
        if self._typing:
            self.write(*self._typing.popleft())
            self._timer = asyncio.get_running_loop().call_later(KEY_S, self._type)


@asynccontextmanager
async def open_rig(settings: WireSettings) -> AsyncIterator[HidScannerRig]:
    """Keep the keyboard plugged in while the context is open. Raises OSError where there is no uinput."""
    rig = HidScannerRig(settings)
    try:
        yield rig
    finally:
        rig.clear()
        rig.cut()
