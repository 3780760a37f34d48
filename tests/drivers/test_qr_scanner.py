"""Code scanners on a real line: held codes, cut codes, floods, and a port that comes back renamed.

What types is fed through a pipe here; the kernel's own input devices are in tests/system/vm.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import re
import select
import termios
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gated.ports import DriverFault, Presentation, Technology
from gated_drivers._codecs.hid_keys import KeyDecoder
from gated_drivers._codecs.qr_content import Contents
from gated_drivers._qr_scanner import AT_ONCE, REMEMBERED, WAITING, Scanner, SeenCodes
from gated_drivers.reader_qr_hid import DRIVER as HID
from gated_drivers.reader_qr_hid import HidScannerSettings
from gated_drivers.reader_qr_serial import DRIVER, SerialScannerSettings
from gated_simulators.rigs.reader_qr_serial import SerialScannerRig, open_rig
from tests.drivers.samples import listening, until
from tests.drivers.test_hid_keys import DROPPED, REPORT, typed

DEADLINE_S = 15.0


@asynccontextmanager
async def scanning(folder: Path, **changes: Any) -> AsyncIterator[tuple[SerialScannerRig, Scanner]]:
    settings = SerialScannerSettings(port=str(folder / "wire"), **changes)
    async with asyncio.timeout(DEADLINE_S), open_rig(settings) as rig, DRIVER.open(settings) as scanner:
        yield rig, scanner


def payloads(seen: list[Presentation]) -> list[bytes]:
    assert all(p.technology is Technology.QR for p in seen)
    return [p.payload for p in seen]


async def test_a_held_code_is_one_presentation_until_it_was_away(tmp_path: Path) -> None:
    async with scanning(tmp_path, absent_s=1.0) as (rig, scanner), listening(scanner.presentations()) as seen:
        rig.held.reread_s = 0.01
        rig.show("one")
        await until(lambda: scanner.repeated >= 10)
        rig.show("two")
        await until(lambda: scanner.repeated >= 20)
        assert payloads(seen) == [b"one", b"two"]
        rig.clear()
        away = time.monotonic()
        await until(lambda: time.monotonic() > away + 1.1)
        rig.show("two")
        await until(lambda: len(seen) == 3)
        assert payloads(seen) == [b"one", b"two", b"two"]


def test_what_was_sent_lately_is_held_whoever_else_is_there() -> None:
    seen = SeenCodes(2.5)
    told = [seen.new(code, at) for at, code in enumerate([b"a", b"b", b"a", b"b", b"b", b"a", b"a"])]
    assert told == [True, True, False, False, False, True, False]
    assert SeenCodes(0).new(b"a", 1.0)
    for i in range(2 * REMEMBERED):
        assert seen.new(b"%d" % i, 10.0)
    assert len(seen._seen) == REMEMBERED


@pytest.mark.parametrize(
    "content", [b"HC1:BASE45 $%*+-./:", bytes({*range(256)} - {13}), "来訪".encode(), b"x" * 512]
)
async def test_a_code_is_presented_with_its_bytes_and_its_time(tmp_path: Path, content: bytes) -> None:
    async with scanning(tmp_path) as (rig, scanner), listening(scanner.presentations()) as seen:
        before = time.monotonic()
        rig.show(content)
        await until(lambda: bool(seen))
        assert payloads(seen) == [content]
        assert before <= seen[0].at <= time.monotonic()


async def test_a_scanner_that_could_not_read_presents_nothing(tmp_path: Path) -> None:
    async with scanning(tmp_path) as (rig, scanner), listening(scanner.presentations()) as seen:
        rig.send(b"%%NoRead\rNR\r\nA PASS\r\n")
        await until(lambda: bool(seen))
        assert payloads(seen) == [b"A PASS"]
        assert (scanner.ignored, scanner.garbage) == (2, 0)


async def test_half_a_code_is_no_part_of_the_next(tmp_path: Path) -> None:
    async with (
        scanning(tmp_path, gap_s=0.05) as (rig, scanner),
        listening(scanner.presentations()) as seen,
    ):
        rig.send(b"HALF A PA")
        await until(lambda: scanner.garbage == 1)
        rig.show("A PASS")
        await until(lambda: bool(seen))
        assert payloads(seen) == [b"A PASS"]


async def test_a_code_in_pieces_with_pauses_is_one(tmp_path: Path) -> None:
    async with (
        scanning(tmp_path, gap_s=10) as (rig, scanner),
        listening(scanner.presentations()) as seen,
    ):
        for byte in b"A PASS\r":
            rig.send(bytes([byte]))
            heard = scanner._heard
            await until(lambda heard=heard: scanner._heard > heard)  # type: ignore[misc]
            scanner._silence()  # looked at before the gap is over, as it is while bytes go on coming
        await until(lambda: bool(seen))
        assert payloads(seen) == [b"A PASS"]


def flood(end: int, wanted: int, stop: threading.Event) -> None:
    """Write noise as fast as the line takes it, `wanted` bytes at least and until stopped."""
    noise, written = random.Random(1).randbytes(65536), 0
    while written < wanted or not stop.is_set():
        if select.select([], [end], [], 1.0)[1]:
            with suppress(BlockingIOError):
                written += os.write(end, noise[written % 60000 :][:4096])


async def test_a_flood_of_garbage_starves_nobody_and_ends(tmp_path: Path) -> None:
    async with (
        scanning(tmp_path, gap_s=0.05, prefix=["]Q1"]) as (rig, scanner),
        listening(scanner.presentations()) as seen,
    ):
        stop = threading.Event()
        assert rig._cable._ends is not None
        flooding = asyncio.create_task(asyncio.to_thread(flood, rig._cable._ends[0], 1_000_000, stop))
        await until(lambda: scanner.garbage + scanner.ignored > 100)
        for _ in range(50):  # others are served while it goes on
            await asyncio.sleep(0.001)
        stop.set()
        await flooding
        await until(lambda: scanner._timer is None)
        assert scanner.garbage > 100 and scanner.ignored > 1000, "counted"
        assert not seen
        rig.show("A PASS")
        await until(lambda: bool(seen))
        assert payloads(seen) == [b"A PASS"]


async def test_a_flood_of_codes_keeps_the_newest(tmp_path: Path) -> None:
    async with scanning(tmp_path, absent_s=0.0) as (rig, scanner):
        rig.send(b"".join(b"%d\r" % i for i in range(WAITING + 36)))
        await until(lambda: scanner.missed == 36)
        async with listening(scanner.presentations()) as seen:
            await until(lambda: len(seen) == WAITING)
        assert payloads(seen) == [b"%d" % i for i in range(36, WAITING + 36)]


async def test_it_comes_back_under_its_name_however_often_it_vanishes(tmp_path: Path) -> None:
    settings = SerialScannerSettings(port=str(tmp_path / "wire"))
    nodes = set()
    async with asyncio.timeout(DEADLINE_S), open_rig(settings) as rig:
        for i in range(100):
            async with DRIVER.open(settings) as scanner:
                nodes.add((tmp_path / "wire").readlink())
                async with listening(scanner.presentations()) as seen:
                    rig.send(b"%d\rhalf" % i)
                    await until(lambda seen=seen: bool(seen))  # type: ignore[misc]
                    rig.cut()
                with pytest.raises(DriverFault, match="the line is lost; check the cable of the scanner"):
                    await anext(aiter(scanner.presentations()))
            assert payloads(seen) == [b"%d" % i]
            other = os.openpty() if i % 2 else ()  # somebody takes the number that the port had
            rig.mend()
            for end in other:
                os.close(end)
    assert len(nodes) > 1, "the port never had another number"


async def test_two_of_one_line_are_not_possible(tmp_path: Path) -> None:
    async with scanning(tmp_path):
        with pytest.raises(DriverFault, match="another program may be using it"):
            async with DRIVER.open(SerialScannerSettings(port=str(tmp_path / "wire"))):
                pass


async def test_what_the_port_cannot_do_is_a_sentence(tmp_path: Path) -> None:
    settings = SerialScannerSettings(port=str(tmp_path / "wire"), parity="even", baudrate=115200)
    async with asyncio.timeout(DEADLINE_S), open_rig(settings):
        async with DRIVER.open(settings):
            pass
        # A pseudo-terminal has no parity: where nothing else changes, the C library says so.
        try:
            async with DRIVER.open(settings):
                pytest.skip("this C library does not say so")
        except DriverFault as fault:
            assert "does not take 115200 baud, 8 bits, parity even" in str(fault)


@pytest.mark.parametrize(
    ("settings", "piece"),
    [
        ({"framing": "cr+lf"}, "framing"),
        ({"prefix": ["語"]}, "prefix"),
        ({"gap_s": 0}, "gap_s"),
        ({"data_bits": 9}, "data_bits"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], piece: str) -> None:
    with pytest.raises(ValidationError, match=piece):
        SerialScannerSettings(port="/dev/ttyUSB0", **settings)


@pytest.mark.parametrize("device", ["", "0c2e", "0c2e:0b61:", "event3", "0c2e:0b6g"])
def test_a_keyboard_is_a_path_or_an_identity(device: str) -> None:
    with pytest.raises(ValidationError, match="device"):
        HidScannerSettings(device=device)


@pytest.mark.parametrize(
    ("device", "word"),
    [
        ("/no/such-event-kbd", "there is no such device"),
        ("dead:beef:S1", "there is no such keyboard"),
        ("/dev/null", "it is no input device"),
    ],
)
async def test_what_is_no_scanner_is_told_in_a_sentence(device: str, word: str) -> None:
    with pytest.raises(DriverFault, match=f"{re.escape(device)}: {word}"):
        async with HID.open(HidScannerSettings(device=device)):
            pass


@asynccontextmanager
async def typing() -> AsyncIterator[tuple[int, Scanner]]:
    """A scanner that types, over a pipe: the bytes of input events without an input device."""
    near, far = os.pipe()
    os.set_blocking(near, False)
    contents = Contents(["]Q1"])
    decoder = KeyDecoder("enter", "us", contents.longest)
    scanner = Scanner(near, decoder, contents, gap_s=0.05, absent_s=2.0, lost="the scanner is gone")
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield far, scanner
    finally:
        scanner.release()
        os.close(near)


async def test_one_turn_of_the_loop_reads_a_bounded_piece() -> None:
    async with typing() as (far, scanner):
        os.set_blocking(far, False)
        sent, turns = os.write(far, bytes(60_000)), 0
        while any(fcntl.ioctl(scanner._fd, termios.FIONREAD, bytes(4))):
            await asyncio.sleep(0)
            turns += 1
        assert turns >= sent / AT_ONCE
        os.close(far)


async def test_what_is_typed_is_presented_and_an_end_is_a_fault() -> None:
    async with typing() as (far, scanner):
        async with listening(scanner.presentations()) as seen:
            os.write(far, typed("]Q1TICKET-2026-00042"))
            await until(lambda: bool(seen))
            os.write(far, typed("]E04901234567894") + typed("]Q1half", ending="gap"))
            await until(lambda: scanner.garbage == 1)
            os.write(far, typed("]Q1lost")[:480] + DROPPED + REPORT)
            await until(lambda: scanner.garbage == 2 and scanner._timer is None)
            os.write(far, typed("]Q1next"))
            await until(lambda: len(seen) == 2)
        assert payloads(seen) == [b"TICKET-2026-00042", b"next"]
        assert scanner.ignored == 1
        os.close(far)
        with pytest.raises(DriverFault, match="the scanner is gone"):
            await anext(aiter(scanner.presentations()))
