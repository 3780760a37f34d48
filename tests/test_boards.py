"""Commands to a board: order, the newest wins, what an opening writes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from gated.boards import Board
from gated.errors import DriverFault


class Bench:
    """A relay board on the bench: it works at the pace it is let, and writes down what it did."""

    def __init__(self) -> None:
        self.done: asyncio.Queue[dict[int, bool]] = asyncio.Queue()
        self.pace = asyncio.Semaphore(1000)
        self.busy = asyncio.Event()
        self.probed = asyncio.Event()
        self.broken = False

    async def switch(self, coils: Mapping[int, bool]) -> None:
        self.busy.set()
        await self.pace.acquire()
        if self.broken:
            raise DriverFault("bench: broken")
        self.done.put_nowait(dict(coils))

    async def observed(self) -> Mapping[int, bool]:
        self.probed.set()
        return {}


async def test_the_first_opening_writes_nothing_a_command_is_written() -> None:
    board, bench = Board(), Bench()
    serving = asyncio.create_task(board.use(bench))
    await bench.probed.wait()
    assert bench.done.empty()
    written: list[str] = []
    board.command({1: True}, lambda: written.append("told"))
    board.command({3: True})
    assert await bench.done.get() == {1: True, 3: True}
    assert written == ["told"]
    serving.cancel()


async def test_what_was_over_before_a_slow_board_was_ready_is_never_written() -> None:
    board, bench = Board(), Bench()
    bench.pace = asyncio.Semaphore(0)
    serving = asyncio.create_task(board.use(bench))
    await bench.probed.wait()
    board.command({9: True})
    await bench.busy.wait()
    for state in (True, False):
        board.command({1: state})
    bench.pace.release()
    assert await bench.done.get() == {9: True}
    bench.pace.release()
    assert await bench.done.get() == {1: False}
    serving.cancel()


async def test_a_reopened_board_is_told_what_is_commanded_now() -> None:
    board, bench = Board(), Bench()
    bench.broken = True
    board.command({1: True, 2: True})
    with pytest.raises(DriverFault):
        await board.use(bench)
    board.command({1: False})
    again = Bench()
    serving = asyncio.create_task(board.use(again))
    assert await again.done.get() == {1: False, 2: True}
    assert again.done.empty()
    serving.cancel()
