"""The contract of every contact board: the first state, each change, no bounce."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from gated.ports import Contact, ContactTraits, DriverFault, Kind
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


async def test_a_prompt_board_tells_each_change_once_and_yields_none(name: str, tmp_path: Path) -> None:
    bench, told = Bench(name, tmp_path), list[Contact]()
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig, bench.open() as port:
        if not hasattr(port, "tell"):
            return
        port.tell(told.append)
        async with listening(port.contacts()) as yielded:
            await until(lambda: len(told) == 2)
            for count, closed in ((3, True), (4, False), (5, True)):
                rig.set_contact(1, closed)
                await until(lambda count=count: len(told) == count)  # type: ignore[misc]
                assert (told[-1].channel, told[-1].closed) == (1, closed)
        assert yielded == []
        assert {c.channel: c.closed for c in told[:2]} == {1: False, 2: False}


async def test_a_prompt_board_that_is_lost_is_a_fault(name: str, tmp_path: Path) -> None:
    bench, told = Bench(name, tmp_path), list[Contact]()
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig:
        with pytest.raises(DriverFault):
            async with bench.open() as port:
                if not hasattr(port, "tell"):
                    raise DriverFault("no prompt board")
                port.tell(told.append)
                using = asyncio.create_task(bench.use(port))
                await until(lambda: len(told) == 2)
                rig.cut()
                await using
        assert [c.closed for c in told] in ([False, False], [])


def test_its_traits_are_those_of_a_contact_board(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    if bench.driver.traits is not None:
        assert isinstance(bench.driver.traits(bench.settings), ContactTraits)
