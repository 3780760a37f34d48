"""The process that outlives the release: killed, hung or stopped, the gates open; and never shut by it."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import socket
import sys
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.ports import LastWill
from gated.release import bequest, survivor
from gated.release.bequest import Bequest
from tests.release.harness import CONFIG, FIRE, HELD, OPEN, Site, end, site

UNNAMED = CONFIG.replace("rest = { 0 = false, 1 = false }\n", "")
SHUT_AT_REST = CONFIG.replace("rest = { 0 = false, 1 = false }", "rest = { 0 = true, 1 = true }")
BROADCAST = st.binary(max_size=40)


# With the release


async def outlived(here: Site, *, by_another_than: int = 0) -> int:
    """Wait for a survivor; its process."""
    state = await here.state(lambda s: s.outlived_by not in (0, by_another_than))
    return state.outlived_by


async def test_killed_it_is_outlived_and_the_gates_open(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        process = await here.armed()
        await here.coils(HELD)
        survivor_pid = await outlived(here)
        await end(process, signal.SIGKILL)
        await here.coils(OPEN)
        assert process.stderr is not None
        said = (await process.stderr.read()).decode()
        assert f"process {process.pid} ended; 1 output lines were told to open" in said
        await gone(survivor_pid)
        assert [change.energised for change in here.rig.board.history] == [True, True, False, False]


async def test_hung_it_is_killed_and_the_gates_open(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        process = await here.armed()
        await here.coils(HELD)
        await outlived(here)
        process.send_signal(signal.SIGSTOP)
        await here.coils(OPEN)
        assert await asyncio.wait_for(process.wait(), 5) == -signal.SIGKILL


async def test_killed_while_all_is_normal_it_comes_back_and_lets_the_lanes_shut(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        for _ in range(2):
            process = await here.armed()
            await here.coils(HELD)
            await outlived(here)
            await end(process, signal.SIGKILL)
            await here.coils(OPEN)
        await here.armed()
        await here.coils(HELD)


async def test_killed_in_an_alarm_nothing_ever_shuts(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        process = await here.armed()
        await outlived(here)
        here.pulse(FIRE, 0.1)
        await here.coils(OPEN)
        await here.state(lambda s: s.phase == "alarm" and s.inputs["panel"].state == "clear")
        seen = len(here.rig.board.history)
        for _ in range(2):
            await end(process, signal.SIGKILL)
            process = await here.armed()
            await outlived(here)
        assert (await here.state(lambda s: True)).open_lanes == {"lane-1", "lane-2"}
        assert not any(change.energised for change in here.rig.board.history[seen:])


async def test_a_survivor_that_is_killed_is_a_fault_until_there_is_another(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        process = await here.armed()
        first = await outlived(here)
        seen = len(here.rig.board.history)
        os.kill(first, signal.SIGKILL)
        await outlived(here, by_another_than=first)
        state = await here.state(lambda s: not s.faults)
        assert state.phase == "normal"
        assert here.rig.board.history[seen:] == []
        codes = [record["code"] for record in here.trail]
        assert codes.index("survivor_fault") < codes.index("survivor_back")
        await end(process, signal.SIGKILL)  # the other one was told all wills
        await here.coils(OPEN)


async def test_a_survivor_that_hangs_is_replaced(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.armed()
        first = await outlived(here)
        os.kill(first, signal.SIGSTOP)
        await outlived(here, by_another_than=first)
        await gone(first)


async def test_it_does_not_mind_the_signals_of_a_manager_that_ends_the_service(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        process = await here.armed()
        survivor_pid = await outlived(here)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGABRT, signal.SIGQUIT):
            os.kill(survivor_pid, number)
        await here.coils(HELD)
        await end(process, signal.SIGABRT)  # as a watchdog of the manager does
        await here.coils(OPEN)


async def test_after_an_orderly_stop_it_does_nothing(tmp_path: Path) -> None:
    async with site(tmp_path, SHUT_AT_REST) as here:
        process = await here.armed()
        await here.coils(HELD)
        survivor_pid = await outlived(here)
        assert await end(process, signal.SIGTERM) == 0
        await gone(survivor_pid)
        assert [change.energised for change in here.rig.board.history] == [True, True]


async def test_stopped_in_an_alarm_no_rest_shuts_a_lane(tmp_path: Path) -> None:
    async with site(tmp_path, SHUT_AT_REST) as here:
        process = await here.armed()
        await here.coils(HELD)
        survivor_pid = await outlived(here)
        here.pulse(FIRE, 0.1)
        await here.coils(OPEN)
        await here.state(lambda s: s.phase == "alarm")
        seen = len(here.rig.board.history)
        assert await end(process, signal.SIGTERM) == 0
        await gone(survivor_pid)
        assert not any(change.energised for change in here.rig.board.history[seen:])
        assert here.rig.board.coils == OPEN


async def test_a_coil_that_rest_does_not_name_is_opened_at_a_stop(tmp_path: Path) -> None:
    async with site(tmp_path, UNNAMED) as here:
        process = await here.armed()
        await here.coils(HELD)
        await outlived(here)
        assert await end(process, signal.SIGTERM) == 0
        await here.coils(OPEN)


# By itself


async def gone(pid: int) -> None:
    """Wait until the process is no more."""
    loop = asyncio.get_running_loop()
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop.add_reader(fd, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), 10)
    finally:
        loop.remove_reader(fd)
        os.close(fd)


@asynccontextmanager
async def left_behind(told: list[str | None]) -> AsyncIterator[Bequest]:
    """A survivor of this very process, which must therefore show life, and say goodbye."""
    said = asyncio.Event()

    def show(sentence: str | None) -> None:
        told.append(sentence)
        said.set()

    left = Bequest(show)
    left.start()
    async with asyncio.timeout(10):
        await said.wait()
    pid = left.pid

    async def live() -> None:
        while True:
            left.beat()
            await asyncio.sleep(bequest.BEAT_S)

    living = asyncio.create_task(live())
    try:
        yield left
    finally:
        living.cancel()
        left.close()
        await gone(pid)
        os.waitpid(pid, 0)


async def test_a_wire_taken_back_is_closed_and_never_written_to() -> None:
    told: list[str | None] = []
    ours, its = socket.socketpair()
    async with left_behind(told) as left:
        left.leave("board", LastWill(its.fileno(), (b"open",)))
        left.withdraw("board")
        its.close()
        ours.settimeout(10)
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, ours.recv, 10) == b""  # closed there too, nothing written
    assert told == [None]
    ours.close()


def test_every_will_is_carried_out_again_and_again_and_a_dead_wire_stops_no_other() -> None:
    mine, its = pty.openpty()
    tty.setraw(its)
    gone_master, dead = pty.openpty()
    os.close(gone_master)
    ours, theirs = socket.socketpair()
    survivor.carry_out(
        [
            survivor.Will(dead, [b"nobody"], []),
            survivor.Will(its, [b"one;", b"two;"], []),
            survivor.Will(theirs.fileno(), [b"sock;"], []),
        ]
    )
    assert os.read(mine, 100) == b"one;two;" * len(survivor.AGAIN_S)
    assert ours.recv(100) == b"sock;" * len(survivor.AGAIN_S)
    for fd in (mine, its, dead):
        os.close(fd)
    ours.close()
    theirs.close()


def test_what_a_stuck_line_holds_gives_way_to_the_will() -> None:
    mine, its = pty.openpty()
    tty.setraw(its)
    os.set_blocking(its, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(its, bytes(4096))
    survivor.carry_out([survivor.Will(its, [b"open"], [])])
    os.set_blocking(mine, False)
    read = b""
    with pytest.raises(BlockingIOError):
        while True:
            read += os.read(mine, 65536)
    assert read.endswith(b"open")
    os.close(mine)
    os.close(its)


@given(
    st.integers(0, 1 << 20),
    st.lists(st.binary(min_size=1, max_size=40), max_size=5),
    st.lists(st.tuples(st.integers(0, (1 << 32) - 1), BROADCAST), max_size=3),
)
def test_a_will_arrives_as_it_was_sent(
    board: int, frames: list[bytes], calls: list[tuple[int, bytes]]
) -> None:
    word, *words = survivor.encode(board, tuple(frames), tuple(calls)).split(b" ")
    assert word == b"W"
    assert survivor.decode(words) == (board, frames, calls)


def test_it_needs_nothing_but_the_standard_library() -> None:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.set_inheritable(its.fileno(), True)
    code = bequest.CODE + "; print(*sorted(m for m in sys.modules if m.startswith(('gated', 'pydantic'))))"
    mine, out = os.pipe()
    arguments = [sys.executable, "-I", "-S", "-c", code, str(its.fileno()), str(os.getpid()), bequest.ROOT]
    pid = os.posix_spawn(sys.executable, arguments, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, out, 1)])
    its.close()
    os.close(out)
    ours.send(b"Q")
    with os.fdopen(mine) as modules:
        assert modules.read().split() == [
            "gated",
            "gated.release",
            "gated.release.realtime",
            "gated.release.survivor",
        ]
    os.waitpid(pid, 0)
    ours.close()
