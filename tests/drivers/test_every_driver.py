"""The contract of every driver, whatever it drives: absence, loss, cancelling, reopening, leaks."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError

from gated.ports import DriverFault, Settings
from tests.drivers.samples import DEADLINE_S, Bench, names, until

pytestmark = pytest.mark.parametrize("name", names())


def held() -> tuple[int, set[str], int, int]:
    """Descriptors, threads, tasks and children of this process."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    threads = {t.name for t in threading.enumerate()}
    return len(list(Path("/proc/self/fd").iterdir())), threads, len(asyncio.all_tasks()), len(children)


def test_is_described(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    assert name.startswith(bench.driver.kind.value)
    assert issubclass(bench.driver.settings, Settings)
    field = next(iter(type(bench.settings).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(bench.settings, field, getattr(bench.settings, field))
    with pytest.raises(ValidationError, match="no_such_setting"):
        Bench(name, tmp_path, no_such_setting=1)
    undescribed = [n for n, f in type(bench.settings).model_fields.items() if not f.description]
    assert not undescribed, f"a setting without a description: {undescribed}"


async def test_absent_is_a_fault_with_a_sentence(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    with pytest.raises(DriverFault) as fault:
        async with asyncio.timeout(DEADLINE_S), bench.open():
            pass
    assert len(str(fault.value)) > 20
    assert "\n" not in str(fault.value)


async def test_unplugged_in_use_is_a_fault_and_plugged_in_works_again(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig:
        with pytest.raises(DriverFault):
            async with bench.open() as port:
                await bench.works(rig, port)
                using = asyncio.create_task(bench.use(port))
                rig.cut()
                await using
        with pytest.raises(DriverFault):
            async with bench.open():
                pass
        rig.mend()
        async with bench.open() as port:
            await bench.works(rig, port)


async def test_every_call_after_a_loss_is_a_fault(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig, bench.open() as port:
        await bench.works(rig, port)
        rig.cut()
        for _ in range(2):
            with pytest.raises(DriverFault):
                await bench.use(port)


async def test_cancelled_in_use_closes_clean(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig:
        opened = asyncio.Event()

        async def run() -> None:
            async with bench.open() as port:
                opened.set()
                await bench.use(port)

        task = asyncio.create_task(run())
        await opened.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with bench.open() as port:
            await bench.works(rig, port)


async def test_cancelled_while_opening_closes_clean(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig:
        for turns in range(4):
            task = asyncio.ensure_future(bench.open().__aenter__())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with bench.open() as port:
            await bench.works(rig, port)


async def test_nothing_is_left_behind(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig:
        async with bench.open() as port:  # what a library keeps for the whole process is kept now
            await bench.works(rig, port)
        before: list[object] = []

        def settled() -> bool:
            before.append(held())
            return len(before) > 3 and before[-1] == before[-3]

        await until(settled)
        for _ in range(3):
            async with bench.open() as port:
                await bench.works(rig, port)
        with pytest.raises(DriverFault):
            async with bench.open() as port:
                await bench.works(rig, port)
                rig.cut()
                await bench.use(port)
        rig.mend()
        await until(lambda: held() == before[-1])
