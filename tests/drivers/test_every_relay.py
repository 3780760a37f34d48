"""The contract of every relay board: the peer saw what was commanded, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gated.ports import DriverFault, Kind
from tests.drivers.samples import DEADLINE_S, Bench, names, until

pytestmark = pytest.mark.parametrize("name", names(Kind.RELAY))


async def test_the_peer_sees_what_was_commanded(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    told: list[tuple[int, bool]] = []
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig, bench.open() as port:
        rig.on_command.append(lambda channel, energised: told.append((channel, energised)))
        await port.switch({1: True})
        await port.switch({1: False, 3: True})
        await port.switch({})
        await until(lambda: len(told) == 3)
        assert told[0] == (1, True)
        assert set(told[1:]) == {(1, False), (3, True)}
        changes = [(change.channel, change.energised) for change in rig.board.history]
        assert sorted(changes) == [(1, False), (1, True), (3, True)]


async def test_opening_moves_nothing(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path, rest={})
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig:
        async with bench.open() as port:
            await port.switch({1: True, 3: True})
            await until(lambda: rig.board.coils == {1: True, 3: True})
        writes = rig.board.writes
        async with bench.open() as port:
            await port.observed()
        assert rig.board.writes == writes
        assert rig.board.coils == {1: True, 3: True}


async def test_closing_leaves_the_rest_state(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig:
        async with bench.open() as port:
            await port.switch({1: True, 3: True})
        await until(lambda: rig.board.coils.get(2, False))
        assert rig.board.coils == {1: False, 2: True, 3: True}


async def test_a_cancelled_user_leaves_the_rest_state(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig:

        async def run() -> None:
            async with bench.open() as port:
                await port.switch({1: True})
                await bench.use(port)

        task = asyncio.create_task(run())
        await until(lambda: rig.board.coils.get(1, False))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: rig.board.coils == {1: False, 2: True})


async def test_a_fault_moves_nothing(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig:
        with pytest.raises(DriverFault, match="made up"):
            async with bench.open() as port:
                await port.switch({1: True})
                await until(lambda: rig.board.coils.get(1, False))
                raise DriverFault("made up")
        async with bench.open() as port:
            await port.observed()
            assert rig.board.coils == {1: True}


async def test_a_coil_the_board_has_not_holds_up_no_other(name: str, tmp_path: Path) -> None:
    """A slip in one output of the emergency release must not keep the other gates shut."""
    bench = Bench(name, tmp_path, rest={})
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig, bench.open() as port:
        with pytest.raises(DriverFault):
            await port.switch({1: True, 200: True, 3: True})
        await until(lambda: rig.board.coils == {1: True, 3: True})
        with pytest.raises(DriverFault):
            await port.switch({70000: False, 1: False})
        await until(lambda: rig.board.coils == {1: False, 3: True})


async def test_what_is_observed_is_what_was_commanded(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path, rest={})
    async with asyncio.timeout(DEADLINE_S), bench.rig(), bench.open() as port:
        await port.switch({1: True, 2: False})
        observed = await port.observed()
        assert observed in ({}, {1: True, 2: False})


async def test_commands_at_once_all_arrive(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path, rest={})
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig, bench.open() as port:
        await asyncio.gather(*(port.switch({channel: True}) for channel in (1, 2, 3)))
        await until(lambda: rig.board.coils == {1: True, 2: True, 3: True})
