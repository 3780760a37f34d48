"""The contract of every contact board: the first state, each change, no bounce."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from gated.ports import Kind
from tests.drivers.samples import DEADLINE_S, Bench, listening, names, until

pytestmark = pytest.mark.parametrize("name", names(Kind.CONTACT))


async def test_the_first_state_of_every_channel_is_told(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig:
        rig.set_contact(2, True)
        async with bench.open() as port, listening(port.contacts()) as seen:
            await until(lambda: len(seen) == 2)
            assert {c.channel: c.closed for c in seen} == {1: False, 2: True}


async def test_each_change_is_told_once(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    async with (
        asyncio.timeout(DEADLINE_S),
        bench.rig() as rig,
        bench.open() as port,
        listening(port.contacts()) as seen,
    ):
        await until(lambda: len(seen) == 2)
        for count, closed in ((3, True), (4, False), (5, True)):
            asked = time.monotonic()
            rig.set_contact(1, closed)
            await until(lambda count=count: len(seen) == count)  # type: ignore[misc]
            assert (seen[-1].channel, seen[-1].closed) == (1, closed)
            assert asked <= seen[-1].at <= time.monotonic()
        rig.set_contact(2, True)
        await until(lambda: len(seen) == 6)
        assert (seen[-1].channel, seen[-1].closed) == (2, True)


async def test_a_pulse_of_100_ms_is_seen(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    async with (
        asyncio.timeout(DEADLINE_S),
        bench.rig() as rig,
        bench.open() as port,
        listening(port.contacts()) as seen,
    ):
        await until(lambda: len(seen) == 2)
        rig.set_contact(1, True)
        asyncio.get_running_loop().call_later(0.1, rig.set_contact, 1, False)
        await until(lambda: len(seen) == 4)
        assert [c.closed for c in seen[2:]] == [True, False]


async def test_bounce_is_no_change(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path, bounce_s=0.1)
    async with (
        asyncio.timeout(DEADLINE_S),
        bench.rig() as rig,
        bench.open() as port,
        listening(port.contacts()) as seen,
    ):
        await until(lambda: len(seen) == 2)
        loop, began = asyncio.get_running_loop(), time.monotonic()
        for i in range(30):  # a contact that chatters every 7 ms and then is closed
            loop.call_later(i * 0.007, rig.set_contact, 1, i % 2 == 1)
        await until(lambda: len(seen) == 3)
        assert seen[2].closed is True
        assert seen[2].at >= began + 0.1
        rig.set_contact(1, False)
        await until(lambda: len(seen) == 4)
        assert seen[3].closed is False
