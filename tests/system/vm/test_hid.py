"""Scanners that type, on the kernel's own input devices: keyboards made with uinput, which vanish and return.

The whole contract of drivers and readers, and what only a kernel does: a keyboard taken for one process,
events that are dropped, a keyboard among others.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gated.ports import DriverFault, Presentation
from gated_drivers._evdev import EVIOCGRAB
from gated_drivers._qr_scanner import Scanner
from gated_drivers.reader_qr_hid import DRIVER, HidScannerSettings
from gated_simulators.rigs.reader_qr_hid import (
    KEY_S,
    PRODUCT,
    UINPUT,
    VENDOR,
    HidScannerRig,
    open_rig,
    strokes,
)
from tests.drivers import test_every_driver, test_every_reader
from tests.drivers.samples import SAMPLES, listening, until

if os.environ.get("GATED_VM"):
    subprocess.run(["modprobe", "-a", "uinput", "evdev"], check=True)

NAME = "reader_qr_hid"
DEADLINE_S = 30.0
CONTRACT = [
    pytest.param(test, id=f"{suite.__name__.rpartition('.')[2]}-{name}")
    for suite in (test_every_driver, test_every_reader)
    for name, test in vars(suite).items()
    if name.startswith("test_")
]
pytestmark = pytest.mark.skipif(not UINPUT.exists(), reason="this machine has no /dev/uinput")


@pytest.mark.parametrize("promise", CONTRACT)
async def test_the_driver_keeps(promise: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given = {"name": NAME, "tmp_path": tmp_path, "caplog": caplog}
    names = promise.__code__.co_varnames[: promise.__code__.co_argcount]
    result = promise(**{name: given[name] for name in names})
    if result is not None:
        await result


def settings(folder: Path, **changes: Any) -> HidScannerSettings:
    return HidScannerSettings.model_validate(SAMPLES[NAME].settings(folder) | changes)


@asynccontextmanager
async def typing(folder: Path, **changes: Any) -> AsyncIterator[tuple[HidScannerRig, Scanner]]:
    how = settings(folder, **changes)
    async with asyncio.timeout(DEADLINE_S), open_rig(how) as rig, DRIVER.open(how) as scanner:
        yield rig, scanner


def payloads(seen: list[Presentation]) -> list[bytes]:
    return [p.payload for p in seen]


@contextmanager
def opened(node: Path) -> Iterator[int]:
    """The same device, as another program has it open."""
    fd = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield fd
    finally:
        os.close(fd)


@pytest.mark.parametrize("layout", ["us", "jp"])
@pytest.mark.parametrize("ending", ["enter", "tab", "gap"])
async def test_every_character_arrives(tmp_path: Path, layout: str, ending: str) -> None:
    text = "ABCxyz0189 !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\x1d21"
    async with (
        typing(tmp_path, layout=layout, ending=ending, gap_s=2.0) as (rig, scanner),
        listening(scanner.presentations()) as seen,
    ):
        rig.show(text)
        rig.clear()
        await until(lambda: bool(seen))
        assert payloads(seen) == [text.encode()]
        assert scanner.garbage == 0


async def test_no_other_program_sees_a_key_until_it_is_given_back(tmp_path: Path) -> None:
    how = settings(tmp_path)
    async with asyncio.timeout(DEADLINE_S), open_rig(how) as rig:
        with opened(rig.node) as other:
            async with DRIVER.open(how) as scanner, listening(scanner.presentations()) as seen:
                rig.show("SECRET")
                rig.clear()
                await until(lambda: bool(seen))
                with pytest.raises(BlockingIOError):
                    os.read(other, 4096)
                with pytest.raises(OSError) as busy:
                    fcntl.ioctl(other, EVIOCGRAB, 1)
                assert busy.value.errno == errno.EBUSY
                await until(lambda: not rig._typing)
            rig.write((30, 1))
            assert os.read(other, 4096)


async def test_a_scanner_that_another_program_has_taken_is_a_sentence(tmp_path: Path) -> None:
    how = settings(tmp_path)
    async with asyncio.timeout(DEADLINE_S), open_rig(how) as rig:
        with opened(rig.node) as other:
            fcntl.ioctl(other, EVIOCGRAB, 1)
            with pytest.raises(
                DriverFault, match="another program has taken it for itself; end that program"
            ):
                async with DRIVER.open(how):
                    pass
        async with DRIVER.open(how):
            pass


async def test_events_that_the_kernel_dropped_spoil_their_line_only(tmp_path: Path) -> None:
    async with (
        typing(tmp_path, gap_s=1.0) as (rig, scanner),
        listening(scanner.presentations()) as seen,
    ):
        for report in strokes(b"x" * 200, "us", "enter"):  # at once: more than the kernel keeps for a reader
            rig.write(*report)
        await until(lambda: scanner.garbage == 1 and scanner._timer is None)
        rig.show("A PASS")
        rig.clear()
        await until(lambda: bool(seen))
        assert payloads(seen) == [b"A PASS"]


async def test_a_held_key_is_one_character(tmp_path: Path) -> None:
    async with typing(tmp_path, gap_s=5.0) as (rig, scanner), listening(scanner.presentations()) as seen:
        rig.write((30, 1))
        for _ in range(20):
            rig.write((30, 2))
            await asyncio.sleep(KEY_S)
        rig.write((30, 0))
        rig.write((28, 1))
        rig.write((28, 0))
        await until(lambda: bool(seen))
        assert payloads(seen) == [b"a"]


async def test_it_comes_back_under_its_name_however_often_it_vanishes(tmp_path: Path) -> None:
    how = settings(tmp_path)
    async with asyncio.timeout(DEADLINE_S), open_rig(how) as rig:
        for i in range(20):
            async with DRIVER.open(how) as scanner:
                async with listening(scanner.presentations()) as seen:
                    rig.show(str(i))
                    rig.clear()
                    await until(lambda seen=seen: bool(seen))  # type: ignore[misc]
                    rig.cut()
                with pytest.raises(DriverFault, match="the scanner is gone; check its cable"):
                    await anext(aiter(scanner.presentations()))
            assert payloads(seen) == [str(i).encode()]
            rig.mend()


async def test_it_is_found_by_its_identity_and_two_of_one_are_told_apart_by_name(tmp_path: Path) -> None:
    identity = HidScannerSettings(device=f"{VENDOR:04x}:{PRODUCT:04x}")
    with pytest.raises(DriverFault, match="there is no such keyboard"):
        async with DRIVER.open(identity):
            pass
    async with asyncio.timeout(DEADLINE_S), open_rig(settings(tmp_path)) as rig:
        async with DRIVER.open(identity) as scanner, listening(scanner.presentations()) as seen:
            rig.show("A PASS")
            rig.clear()
            await until(lambda: bool(seen))
        async with open_rig(settings(tmp_path / "second")):
            with pytest.raises(DriverFault, match=r"2 devices are this .*name the one by its serial number"):
                async with DRIVER.open(identity):
                    pass


async def test_an_input_device_without_keys_is_told(tmp_path: Path) -> None:
    """A mouse's button is an input device too: made with the same interface, without the keys of a board."""
    fd = os.open(UINPUT, os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, 0x40045564, 1)
        fcntl.ioctl(fd, 0x40045565, 0x110)
        fcntl.ioctl(fd, 0x405C5503, struct.pack("@HHHH80sI", 3, 1, 1, 1, b"gated test mouse", 0))
        fcntl.ioctl(fd, 0x5501)
        name = bytearray(64)
        fcntl.ioctl(fd, 0x8040552C, name)
        device = Path("/sys/devices/virtual/input") / name.rstrip(b"\0").decode()
        node = Path("/dev/input") / next(device.glob("event*")).name
        with pytest.raises(DriverFault, match=r"is no keyboard; .* -event-kbd"):
            async with DRIVER.open(HidScannerSettings(device=str(node))):
                pass
    finally:
        os.close(fd)
