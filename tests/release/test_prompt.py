"""From the reading to the wire in one chain of calls; and what is left when that way is blocked."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from gated import supervisor
from gated.errors import DriverFault
from gated.journald import Log
from gated.release.aside import Aside
from gated.release.config import Coil, load
from gated.release.engine import Release
from gated.release.outputs import OutputBoard
from gated.release.words import InputSeen
from gated_simulators.rigs.relay_modbus import ModbusBoardRig, open_rig
from tests.release.harness import CONFIG, FIRE, OPEN


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[tuple[Release, ModbusBoardRig]]:
    """The release within this very process, armed, with its board on a pty."""
    (path / "release.toml").write_text(CONFIG)
    async with open_rig(SimpleNamespace(port=str(path / "bus"), unit=1)) as rig:
        failed = asyncio.Event()
        release = Release(load(path / "release.toml"), Log("test"), Aside(), failed.set)
        release.restore()
        tasks = release.run_devices()
        try:
            async with asyncio.timeout(10):
                while not release.armed:
                    await release.changed.wait()
            yield release, rig
            assert not failed.is_set()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def test_an_alarm_is_on_the_wire_within_the_callback_that_read_it(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, rig):
        stacks: list[set[str]] = []

        def profile(frame: FrameType, event: str, what: Any) -> None:
            if event == "c_call" and what is os.write:
                names, at = set(), frame
                while at is not None:
                    names.add(f"{Path(at.f_code.co_filename).name}:{at.f_code.co_name}")
                    at = at.f_back  # type: ignore[assignment]
                stacks.append(names)

        commanded = asyncio.Event()
        rig.on_command.append(lambda channel, energised: commanded.set())
        rig.board.inputs[FIRE] = True
        sys.setprofile(profile)
        try:
            async with asyncio.timeout(10):
                await commanded.wait()
        finally:
            sys.setprofile(None)
        assert rig.board.coils == OPEN
        assert any({"_modbus_bus.py:take", "engine.py:feed", "outputs.py:reflex"} <= s for s in stacks)


async def test_the_alarm_is_rehearsed_before_readings_and_nothing_comes_of_it(tmp_path: Path) -> None:
    async with running(tmp_path) as (release, rig):
        rehearsed = 0

        def profile(frame: FrameType, event: str, what: Any) -> None:
            nonlocal rehearsed
            where = (Path(frame.f_code.co_filename).name, frame.f_code.co_name)
            rehearsed += event == "call" and where == ("relay_modbus.py", "rehearse")

        held, readings = dict(rig.board.coils), rig.requests + 20
        sys.setprofile(profile)
        try:
            async with asyncio.timeout(10):
                while rig.requests < readings:
                    await asyncio.sleep(0)
        finally:
            sys.setprofile(None)
        assert rehearsed >= 5
        assert rig.board.coils == held and not any(state.active for state in release.machine.inputs.values())
        assert str(release.machine.phase) == "normal"


async def test_an_alarm_does_not_wait_until_a_lost_board_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_BACKOFF_S", 3600.0)
    async with running(tmp_path) as (release, rig):
        rig.cut()
        async with asyncio.timeout(10):
            while release.outputs["outputs"].port is not None:
                await release.changed.wait()
        rig.mend()
        commanded = asyncio.Event()
        rig.on_command.append(lambda channel, energised: commanded.set())
        release.feed(InputSeen("panel", True))
        async with asyncio.timeout(10):
            while rig.board.coils != OPEN:
                commanded.clear()
                await commanded.wait()


class Board:
    """A board whose way of being told at once is blocked."""

    def __init__(self) -> None:
        self.posted: list[dict[int, bool]] = []
        self.coils: dict[int, bool] = {}
        self.switched = asyncio.Event()

    def post(self, coils: Mapping[int, bool]) -> None:
        self.posted.append(dict(coils))
        raise DriverFault("the line is busy")

    async def switch(self, coils: Mapping[int, bool]) -> None:
        self.coils |= coils
        self.switched.set()

    async def observed(self) -> Mapping[int, bool]:
        return {}


class Nobody:
    """Who is told, and does not mind."""

    def board_changed(self, board: OutputBoard) -> None:
        pass


async def test_where_posting_fails_the_boards_own_task_opens_none_the_less() -> None:
    coils = {0: Coil("a", False), 1: Coil("a", True), 2: Coil("b", False), 3: Coil("c", False)}
    board, outputs = Board(), OutputBoard("board", coils, Nobody())
    using = asyncio.create_task(outputs.use(board))
    await asyncio.sleep(0)
    outputs.open(("elsewhere",))
    assert board.posted == []
    outputs.open(("a", "b"))
    assert board.posted == [{0: False, 1: True, 2: False}]  # several lanes go together
    await asyncio.wait_for(board.switched.wait(), 10)
    assert board.coils == {0: False, 1: True, 2: False}
    assert outputs.driven("a") and outputs.driven("b") and not outputs.driven("c")
    using.cancel()
    await asyncio.wait({using})
