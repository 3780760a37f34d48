"""What the contract suites need to know of each driver: sample settings, and how to work its rig.

A new driver gets a line here; without one, or without a rig, the suites fail. `driver-variant` is another
sample of the same driver, which runs through every suite as well.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gated import registry, supervisor
from gated.ports import Driver, Kind, Settings
from gated_simulators.rigs import rig_module

DEADLINE_S = 10.0  # far above what any driver takes; a test that gets there has hung


@dataclass(frozen=True)
class Sample:
    settings: Callable[[Path], dict[str, Any]]
    cards: tuple[bytes, bytes] = (b"", b"")  # readers: two credentials, and how to hold them up
    present: Callable[[Any, bytes], object] = lambda rig, card: rig.present(card)
    remove: Callable[[Any], object] = lambda rig: rig.remove() if hasattr(rig, "remove") else None
    looks: Callable[[Any, Any], int] | None = None  # by rig and port; None: it never asks
    needs: str = ""  # a file of the machine without which the rig cannot be; the sample is skipped without it


def port_number() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def key_file(folder: Path) -> str:
    """A file as `reader_osdp` wants its key in."""
    path = folder / "reader.key"
    path.write_text("5a4c06d2b1897f3e60c1a2d3e4f50718\n")
    path.chmod(0o600)
    return str(path)


SAMPLES = {
    "reader_nfcpy": Sample(
        lambda folder: {"path": f"udp:127.0.0.1:{port_number()}"},
        cards=(bytes.fromhex("0123456789abcdef"), bytes.fromhex("fedcba9876543210")),
        looks=lambda rig, port: int(rig.polls),
    ),
    "reader_osdp": Sample(
        lambda folder: {
            "port": str(folder / "wire"),
            "address": 5,
            "key": key_file(folder),
            "technology": "felica",
            "poll_s": 0.02,
        },
        cards=(bytes.fromhex("0123456789abcdef"), bytes.fromhex("fedcba9876543210")),
        looks=lambda rig, port: int(port.polls),
    ),
    "reader_pcsc": Sample(
        lambda folder: {"reader": "Virtual PCD 00 00", "pcscd": str(folder / "pcscd")},
        cards=(bytes.fromhex("0123456789abcdef"), bytes.fromhex("fedcba9876543210")),
        looks=lambda rig, port: int(port.frames),
    ),
    "reader_qr_camera": Sample(
        lambda folder: {"source": f"http://127.0.0.1:{port_number()}/stream"},
        cards=(b"A PASS OF SOMEBODY", b"A PASS OF SOMEBODY ELSE"),
        present=lambda rig, code: rig.show(code),
        remove=lambda rig: rig.clear(),
        looks=lambda rig, port: int(port.frames),
    ),
    **{
        f"reader_qr_serial-{name}".removesuffix("-cr"): Sample(
            lambda folder, changes=changes: {"port": str(folder / "wire"), **changes},  # type: ignore[misc]
            cards=(b"A PASS OF SOMEBODY", b"A PASS OF SOMEBODY ELSE"),
            present=lambda rig, code: rig.show(code),
            remove=lambda rig: rig.clear(),
        )
        for name, changes in {
            "cr": {},
            "lf": {"framing": "lf"},
            "crlf": {"framing": "crlf", "prefix": ["]Q1"]},
            "stx_etx": {"framing": "stx_etx", "bcc": "content_and_end"},
            "denso": {"framing": "stx_cr", "bcc": "content"},
            "gap": {"framing": "gap", "gap_s": 0.02, "suffix": "#"},
        }.items()
    },
    "reader_qr_hid": Sample(
        lambda folder: {"device": str(folder / "scanner-event-kbd"), "gap_s": 2.0},
        cards=(b"A PASS OF SOMEBODY", b"a pass, of (somebody) else!"),
        present=lambda rig, code: rig.show(code),
        remove=lambda rig: rig.clear(),
        needs="/dev/uinput",
    ),
    "relay_serial": Sample(
        lambda folder: {"port": str(folder / "wire"), "channels": 4, "rest": {1: False, 2: True}},
    ),
    **{
        f"relay_serial-{protocol}": Sample(
            lambda folder, protocol=protocol: {  # type: ignore[misc]
                "port": str(folder / "wire"),
                "protocol": protocol,
                "channels": 4,
                "rest": {1: False, 2: True},
            }
        )
        for protocol in ("kmtronic", "numato", "devantech")
    },
    "relay_modbus": Sample(lambda folder: {"port": str(folder / "wire"), "rest": {1: False, 2: True}}),
    "relay_gpio": Sample(lambda folder: {"pins": {1: 17, 2: 27, 3: 22}, "rest": {1: False, 2: True}}),
    "contact_modbus": Sample(lambda folder: {"port": str(folder / "wire"), "channels": [1, 2]}),
    "contact_supervised": Sample(
        lambda folder: {"converter": {"type": "mcp3008"}, "channels": [1, 2], "poll_s": 0.005}
    ),
    "contact_supervised-modbus": Sample(
        lambda folder: {
            "converter": {"type": "modbus", "port": str(folder / "wire"), "full_scale": 4095},
            "channels": [1, 2],
            "poll_s": 0.005,
        }
    ),
    "contact_gpio": Sample(lambda folder: {"pins": {1: 17, 2: 27}}),
}


def names(kind: Kind | None = None) -> list[str]:
    known = [*registry.names(), *(name for name in SAMPLES if "-" in name)]
    return [n for n in known if kind is None or n.partition("_")[0] == kind]


class Bench:
    """One driver, its settings and its rig on the table."""

    def __init__(self, name: str, folder: Path, **changes: Any) -> None:
        assert name in SAMPLES, f"{name}: give it a sample in {__file__}"
        self.name = name
        self.sample = SAMPLES[name]
        if self.sample.needs and not Path(self.sample.needs).exists():
            pytest.skip(f"{name}: this machine has no {self.sample.needs}; tests/system/vm runs it")
        self.driver: Driver = registry.find(name.partition("-")[0])
        self.settings: Settings = self.driver.settings.model_validate(self.sample.settings(folder) | changes)

    def rig(self) -> AbstractAsyncContextManager[Any]:
        module = rig_module(type(self.settings))
        if why := getattr(module, "missing", str)():
            pytest.skip(why)
        opened: AbstractAsyncContextManager[Any] = module.open_rig(self.settings)
        return opened

    def open(self) -> AbstractAsyncContextManager[Any]:
        return self.driver.open(self.settings)

    async def use(self, port: Any) -> None:
        """Use the port as its kind is used; returns only by a fault."""
        if self.driver.kind is Kind.READER:
            async for _ in port.presentations():
                pass
        elif self.driver.kind is Kind.CONTACT:
            async for _ in port.contacts():
                pass
        else:
            await supervisor.probe(port)

    async def works(self, rig: Any, port: Any) -> None:
        """Until something went over the wire."""
        if self.driver.kind is Kind.READER:
            if self.sample.looks is not None:
                await self.looked(rig, port, 1)
                return
            async with listening(port.presentations()) as seen:
                self.sample.present(rig, self.sample.cards[0])
                await until(lambda: bool(seen))
        elif self.driver.kind is Kind.CONTACT:
            async with listening(port.contacts()) as seen:
                await until(lambda: bool(seen))
        else:
            commanded = rig.board.writes
            await port.switch({1: True})
            await until(lambda: rig.board.writes > commanded)

    async def looked(self, rig: Any, port: Any, times: int) -> None:
        """Until the reader looked for a card so many times more, if it is one that looks."""
        if (looks := self.sample.looks) is not None:
            before = looks(rig, port)
            await until(lambda: looks(rig, port) >= before + times)


async def until(happened: Callable[[], bool]) -> None:
    """Wait for an effect; fails when it does not come in time."""
    late = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < late, "it did not happen in time"
        await asyncio.sleep(0.001)


@asynccontextmanager
async def listening(source: AsyncIterator[Any]) -> AsyncIterator[list[Any]]:
    """Collect what a port yields while the context is open."""
    seen: list[Any] = []

    async def collect() -> None:
        async for item in source:
            seen.append(item)

    task = asyncio.create_task(collect())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
