"""`gated-release` as a process against boards on ptys: it opens, stays open, and shuts only when told."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from gated.errors import RequestRefused
from gated.release import client
from tests.release.harness import BUTTON, FIRE, HELD, OPEN, QUAKE, Manager, Site, end, site


async def test_a_pulse_of_100_ms_opens_both_lanes_and_they_stay_open(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.armed()
        await here.coils(HELD)
        here.pulse(FIRE, 0.1)
        await here.coils(OPEN)
        state = await here.state(lambda s: s.phase == "alarm" and s.inputs["panel"].state == "clear")
        assert state.open_lanes == {"lane-1", "lane-2"}
        assert [(c.cause, c.input, c.active) for c in state.causes] == [("fire", "panel", False)]
        assert state.lanes["lane-1"].observed == "unknown"
        assert [change.energised for change in here.rig.board.history] == [True, True, False, False]


async def test_killed_in_an_alarm_it_comes_back_open_without_shutting_once(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        process = await here.armed()
        here.pulse(QUAKE, 0.1)
        await here.coils(OPEN)
        await here.state(lambda s: s.phase == "alarm" and s.inputs["quake"].state == "clear")
        await _latched_on_disk(here)
        seen = len(here.rig.board.history)
        await end(process, signal.SIGKILL)
        await here.armed()
        state = await here.state(lambda s: s.phase == "alarm")
        assert state.open_lanes == {"lane-1", "lane-2"}
        assert here.rig.board.history[seen:] == []


async def test_an_alarm_at_boot_opens_before_anything_is_shut(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        here.rig.board.inputs[BUTTON] = True
        await here.armed()
        assert (await here.state(lambda s: True)).phase == "alarm"
        assert here.rig.board.history == []  # de-energised it was, and de-energised it stays


async def test_a_latch_that_cannot_be_believed_opens_until_a_reset(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        process = await here.armed()
        await end(process, signal.SIGKILL)
        (tmp_path / "state/latch").write_bytes(b"gated-release latch 1 2 00000000\n[]")
        await here.armed()
        await here.coils(OPEN)
        state = await here.state(lambda s: s.phase == "alarm")
        assert state.causes[0].input == "latch-file"
        await here.reset()
        await here.coils(HELD)
        await here.state(lambda s: s.phase == "normal")


async def test_a_log_that_nobody_reads_keeps_no_word_from_the_manager(tmp_path: Path) -> None:
    """A journald that hangs must not look like a release that hangs: every gate would open and shut again."""
    manager = Manager(tmp_path)
    async with site(tmp_path) as here:
        await here.armed(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="200000")
        for _ in range(50):  # more than a pipe holds
            with pytest.raises(RequestRefused):
                await here.reset(by="x" * 4000)
        for _ in range(30):  # more than were waiting to be read
            manager.heard.clear()
            await manager.hears("WATCHDOG=1")
    manager.close()


async def test_a_latch_file_that_vanished_opens(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await end(await here.armed(), signal.SIGKILL)
        (tmp_path / "state/latch").unlink()
        await here.armed()
        assert (await here.state(lambda s: True)).phase == "alarm"


async def test_reset_is_refused_until_all_is_clear_then_relocks_one_at_a_time(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.armed()
        here.rig.board.inputs[FIRE] = True
        await here.coils(OPEN)
        await here.state(lambda s: s.phase == "alarm")
        with pytest.raises(RequestRefused, match=r"panel \(fire\) is still active"):
            await here.reset()
        here.rig.board.inputs[FIRE] = False
        await here.state(lambda s: s.inputs["panel"].state == "clear")
        with pytest.raises(RequestRefused, match="mallory is not one of those who may reset"):
            await here.reset(by="mallory")
        with pytest.raises(RequestRefused, match="needs its reason"):
            await here.reset(why="")
        seen = len(here.rig.board.history)
        answer = await here.reset()
        assert answer["recorded"] and answer["state"]["phase"] == "relock_pending"
        await here.coils(HELD)
        await here.state(lambda s: s.phase == "normal")
        first, second = here.rig.board.history[seen:]
        assert (first.channel, second.channel) == (0, 1)
        assert second.at - first.at > 0.2
        codes = [record["code"] for record in here.trail]
        assert codes.count("reset_refused") == 3
        (reset,) = [record for record in here.trail if record["code"] == "reset"]
        assert (reset["by"], reset["why"], reset["via"].split(",")[0]) == (
            "sato",
            "false alarm",
            f"uid {os.getuid()}",
        )


async def test_a_new_alarm_while_relocking_opens_again(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.armed()
        here.pulse(FIRE, 0.1)
        await here.state(lambda s: s.phase == "alarm" and s.inputs["panel"].state == "clear")
        await here.reset()
        await here.coils({0: True})
        here.rig.board.inputs[BUTTON] = True
        await here.coils(OPEN)
        await here.state(lambda s: s.phase == "alarm" and {c.cause for c in s.causes} >= {"manual"})
        assert here.rig.board.coils == OPEN


async def test_no_acknowledged_record_is_lost_to_a_kill(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        for turn in range(2):
            process = await here.armed()
            with pytest.raises(RequestRefused):
                await here.reset(why=f"turn {turn}")
            await end(process, signal.SIGKILL)
        whys = [record["why"] for record in here.trail if record["code"] == "reset_refused"]
        assert whys == ["turn 0", "turn 1"]


async def test_a_second_one_refuses_and_says_who_holds_the_outputs(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        first = await here.armed()
        writes = here.rig.board.history[:]
        second = await here.start()
        _, said = await second.communicate()
        assert second.returncode == 1
        assert f"as process {first.pid}" in said.decode()
        assert here.rig.board.history == writes
        assert (await client.status(here.socket)).pid == first.pid


async def test_stopped_it_leaves_the_outputs_at_rest_and_takes_its_socket_away(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        process = await here.armed()
        await here.coils(HELD)
        assert await end(process, signal.SIGTERM) == 0
        assert here.rig.board.coils == OPEN
        assert not here.socket.exists()
        assert here.trail[-1]["code"] == "stopped"


async def test_a_watcher_that_reads_nothing_holds_up_nobody(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.armed()
        writers = []
        for _ in range(3):
            _, writer = await asyncio.open_unix_connection(here.socket, limit=1)
            writer.write(b'{"do": "watch"}\n' * 2)
            writers.append(writer)
        here.rig.board.inputs[FIRE] = True
        await here.coils(OPEN)
        await here.state(lambda s: s.phase == "alarm")
        for writer in writers:
            writer.close()


async def test_the_manager_hears_ready_when_armed_and_life_while_it_moves(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    async with site(tmp_path) as here:
        here.rig.silent = True
        await here.start(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="400000")
        await manager.hears("EXTEND_TIMEOUT_USEC=")
        await manager.hears("STATUS=starting, not armed; device ")
        assert "READY=1" not in manager.heard
        here.rig.silent = False
        await manager.hears("READY=1")
        manager.heard.clear()
        await manager.hears("WATCHDOG=1")
        await here.coils(HELD)
        here.rig.board.inputs[FIRE] = True
        await manager.hears("STATUS=alarm; open: lane-1, lane-2")
    manager.close()


async def test_it_has_real_time_priority_exactly_when_it_says_so(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        process = await here.armed()
        state = await here.state(lambda s: True)
        assert state.realtime is (os.sched_getscheduler(process.pid) == os.SCHED_FIFO)
        assert state.realtime or any("real-time" in note for note in state.notes)


async def _latched_on_disk(here: Site) -> None:
    """The answer to a refused reset waits for all that was handed to the disk before it."""
    with pytest.raises(RequestRefused):
        await here.reset(by="nobody")
