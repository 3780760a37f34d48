"""A device on a real FIFO: it vanishes, comes back, and is used again without a restart."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gated import supervisor
from gated.errors import DriverFault
from gated.ports import Driver, Kind, Settings
from gated.supervisor import Device


class FifoSettings(Settings):
    path: Path


@asynccontextmanager
async def _open(settings: FifoSettings) -> AsyncIterator[int]:
    try:
        fd = os.open(settings.path, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        raise DriverFault(f"{settings.path}: {error.strerror}") from error
    try:
        yield fd
    finally:
        os.close(fd)


FIFO = Driver(Kind.READER, FifoSettings, _open)


class Watch:
    """Collects what the supervisor reports and what the device delivered."""

    def __init__(self) -> None:
        self.reports: asyncio.Queue[str] = asyncio.Queue()
        self.bytes: asyncio.Queue[bytes] = asyncio.Queue()

    def report(self, name: str, fault: DriverFault | None) -> None:
        self.reports.put_nowait("ok" if fault is None else str(fault))

    async def use(self, fd: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            ready = loop.create_future()
            loop.add_reader(fd, ready.set_result, None)
            try:
                await ready
            finally:
                loop.remove_reader(fd)
            data = os.read(fd, 100)
            if data == b"break":
                raise DriverFault("told to break")
            if data == b"bug":
                raise ZeroDivisionError("a driver's bug")
            if data == b"cancelled":
                raise asyncio.CancelledError
            if data == b"end":
                return
            self.bytes.put_nowait(data)


async def _next(queue: asyncio.Queue[str]) -> str:
    return await asyncio.wait_for(queue.get(), 5)


async def test_absent_then_present_then_broken_then_back(tmp_path: Path) -> None:
    path, watch = tmp_path / "fifo", Watch()
    device = Device("d", FIFO, FifoSettings(path=path), watch.use, watch.report)
    task = asyncio.create_task(device.run())
    assert "No such file" in await _next(watch.reports)
    assert device.port is None
    os.mkfifo(path)
    for word, says in (
        ("break", "told to break"),
        ("bug", "ZeroDivisionError"),
        ("cancelled", "broke off"),
        ("end", "without a word"),
    ):
        assert await _next(watch.reports) == "ok"
        assert device.port is not None and device.fault is None
        os.write(device.port, word.encode())
        assert says in await _next(watch.reports)
        assert device.fault is not None
    assert await _next(watch.reports) == "ok"
    assert device.opened == 5
    assert device.port is not None
    os.write(device.port, b"hello")
    assert await asyncio.wait_for(watch.bytes.get(), 5) == b"hello"
    device.lost(DriverFault("a write failed"))
    assert await _next(watch.reports) == "a write failed"
    assert await _next(watch.reports) == "ok"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert device.port is None


async def test_who_is_in_a_hurry_does_not_wait_for_the_next_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_BACKOFF_S", 3600.0)
    path, watch = tmp_path / "fifo", Watch()
    device = Device("d", FIFO, FifoSettings(path=path), watch.use, watch.report)
    task = asyncio.create_task(device.run())
    assert "No such file" in await _next(watch.reports)
    os.mkfifo(path)
    device.hurry()
    assert await _next(watch.reports) == "ok"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_stopping_closes_the_device(tmp_path: Path) -> None:
    path, watch = tmp_path / "fifo", Watch()
    os.mkfifo(path)
    before = set(Path("/proc/self/fd").iterdir())
    device = Device("d", FIFO, FifoSettings(path=path), watch.use, watch.report)
    task = asyncio.create_task(device.run())
    assert await _next(watch.reports) == "ok"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert set(Path("/proc/self/fd").iterdir()) == before
