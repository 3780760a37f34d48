"""The contract of every relay board: the peer saw what was commanded, and nothing else."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from gated.ports import DriverFault, Kind, RelayTraits
from tests.drivers.samples import DEADLINE_S, Bench, names, until

SURVIVOR = """\
import fcntl, json, os, sys
will = json.loads(sys.argv[1])
for _ in range(2):
    for frame in will["frames"]:
        os.write(will["fd"], bytes.fromhex(frame))
    for request, argument in will["ioctls"]:
        fcntl.ioctl(will["fd"], request, bytes.fromhex(argument))
"""

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


async def test_a_posted_command_is_on_the_wire_when_post_returns(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path, rest={})
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig, bench.open() as port:
        if not hasattr(port, "post"):
            return
        for coils in ({1: True, 2: True}, {1: True, 2: False}, {1: False}):
            port.post(coils)
            if hasattr(rig, "take"):
                rig.take()  # no turn of the loop in between
            else:
                await until(lambda coils=coils: coils.items() <= rig.board.coils.items())  # type: ignore[misc]
            assert coils.items() <= rig.board.coils.items()
            await port.switch(coils)


async def test_a_posted_coil_the_board_has_not_holds_up_no_other(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path, rest={})
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig, bench.open() as port:
        if not hasattr(port, "post"):
            return
        port.post({1: True, 200: True, 3: True, 70000: True, -1: True})
        await until(lambda: rig.board.coils == {1: True, 3: True})


async def test_a_post_after_a_loss_is_a_fault(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig, bench.open() as port:
        if not hasattr(port, "post"):
            return
        await bench.works(rig, port)
        rig.cut()
        with pytest.raises(DriverFault):
            await bench.use(port)
        with pytest.raises(DriverFault):
            port.post({1: True})


async def test_another_process_carries_out_the_last_will(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path, rest={})
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig, bench.open() as port:
        if not hasattr(port, "last_will"):
            return
        await port.switch({1: True, 2: True, 3: True})
        await until(lambda: rig.board.coils == {1: True, 2: True, 3: True})
        will = port.last_will({1: False, 2: False})
        assert will is not None
        assert rig.board.coils == {1: True, 2: True, 3: True}
        frames, ioctls = [f.hex() for f in will.frames], [(r, a.hex()) for r, a in will.ioctls]
        told = json.dumps({"fd": will.fd, "frames": frames, "ioctls": ioctls})
        survivor = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SURVIVOR, told, pass_fds=[will.fd]
        )
        assert await survivor.wait() == 0
        await until(lambda: rig.board.coils == {1: False, 2: False, 3: True})


def test_its_traits_are_those_of_a_relay_board(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    if bench.driver.traits is not None:
        assert isinstance(bench.driver.traits(bench.settings), RelayTraits)
