"""A driver that hangs: it is left behind, closed by its own rules, and costs nobody else anything."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from gated.errors import DriverFault
from gated.ports import Driver, Kind, Settings
from gated.release import life as life_module
from gated.release.life import Life


class Bench:
    """A driver of the test's own: it hangs in opening, or in closing, until `go`."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.hang = ""
        self.ends = asyncio.Event()  # the device ends by itself
        self.opened = 0
        self.left: list[BaseException | None] = []
        self.shown: list[str | None] = []
        self.lost: list[DriverFault] = []
        self.closed = 0
        self.life = Life(lambda name, text: self.shown.append(text))
        self.driver = self.life.watched(
            "far", Driver(Kind.RELAY, Settings, self._open), self.lost.append, self._closed
        )

    def _closed(self) -> None:
        self.closed += 1

    async def _stuck(self) -> None:
        while not self.go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await self.go.wait()

    @asynccontextmanager
    async def _open(self, settings: Any) -> AsyncIterator[str]:
        self.opened += 1
        if self.hang == "open":
            await self._stuck()
        try:
            yield "port"
            self.left.append(None)
        except BaseException as error:
            self.left.append(error)
            raise
        finally:
            if self.hang == "close":
                await self._stuck()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(life_module, "STUCK_S", 0.05)
    monkeypatch.setattr(life_module, "CANCEL_S", 0.01)
    return Bench()


async def until(true: Any) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0)


async def use(bench: Bench, error: BaseException | None = None) -> None:
    async with bench.driver.open(None) as port:
        assert port == "port"
        if error:
            raise error


async def test_it_is_opened_used_and_closed_and_its_end_is_told_to_the_driver(bench: Bench) -> None:
    fault = DriverFault("the cable")
    with pytest.raises(DriverFault, match="the cable"):
        await use(bench, fault)
    assert bench.left == [fault]  # so it leaves the outputs as they are
    with pytest.raises(RuntimeError):
        await use(bench, RuntimeError("a bug"))
    await use(bench)
    assert [type(left) for left in bench.left[1:]] == [asyncio.CancelledError] * 2
    assert bench.closed == bench.opened == 3 and not any(bench.shown) and not bench.life.left_behind


async def test_a_driver_that_hangs_while_opening_is_left_and_tried_again_later(bench: Bench) -> None:
    bench.hang = "open"
    with pytest.raises(DriverFault, match="neither opens it nor fails"):
        await use(bench)
    assert bench.shown[-1] is not None and bench.life.left_behind and bench.closed == 0
    with pytest.raises(DriverFault, match="tried again later"):
        await use(bench)
    assert bench.opened == 1
    bench.hang = ""

    async def again() -> None:
        while True:
            with contextlib.suppress(DriverFault):
                return await use(bench)

    await asyncio.wait_for(again(), 10)
    assert bench.opened == 2 and bench.shown[-1] is None
    bench.go.set()  # the first one opens at last: too late
    await until(lambda: len(bench.left) == 2)
    assert isinstance(bench.left[1], DriverFault)


async def test_a_driver_that_does_not_let_go_is_left_with_its_will(bench: Bench) -> None:
    bench.hang = "close"
    with pytest.raises(DriverFault, match="the cable"):
        await use(bench, DriverFault("the cable"))
    assert bench.shown[-1] is not None and "let go" in bench.shown[-1]
    assert bench.closed == 0  # what was left to the survivor stays with it
    bench.go.set()


async def test_a_device_that_ends_by_itself_is_lost(bench: Bench) -> None:
    async with bench.driver.open(None):
        (held,) = (task for task in asyncio.all_tasks() if "_hold" in repr(task.get_coro()))
        held.cancel()  # as something within the driver may
        await until(lambda: bench.lost)
    assert "without a word" in str(bench.lost[0])


async def test_an_orderly_stop_while_it_opens_waits_for_the_driver(bench: Bench) -> None:
    bench.hang = "open"
    using = asyncio.create_task(use(bench))
    await until(lambda: bench.opened)
    using.cancel()
    bench.go.set()
    await asyncio.wait({using})
    assert using.cancelled() and bench.closed == 1


async def test_only_a_board_that_was_driving_counts_and_silent_inputs_are_given_up(bench: Bench) -> None:
    now = asyncio.get_running_loop().time()
    await use(bench)
    boards: Any = {"far": SimpleNamespace(moved_at=None)}
    lost: list[DriverFault] = []
    inputs: Any = {"far": SimpleNamespace(port=SimpleNamespace(read_at=now), lost=lost.append)}
    unread: list[str] = []
    assert bench.life.check(boards, inputs, unread.append) is None and not lost
    boards["far"].moved_at = now - 1
    assert bench.life.check(boards, inputs, unread.append) == "the outputs of far do not move on"
    boards["far"].moved_at = now + 1
    inputs["far"].port.read_at = now - 3
    assert bench.life.check(boards, inputs, unread.append) is None and not lost  # it was opened since
    bench.life._tried_at["far"] = now - 3
    assert bench.life.check(boards, inputs, unread.append) is None
    assert len(lost) == 1 and unread == ["far"]
