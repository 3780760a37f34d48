"""Can it ever keep a gate shut? Boards, cables, disks and lines that fail, one after the other."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from gated.errors import RequestRefused
from gated.release import latch
from tests.release.harness import BUTTON, CONFIG, FIRE, HELD, OPEN, end, site

TWO_BOARDS = CONFIG.replace(
    '[outputs.lane-2]\ndevice = "outputs"\nchannel = 1\n',
    '[devices.far]\ndriver = "relay_modbus"\nport = "far"\ntimeout_s = 0.2\nrest = { 0 = false }\n\n'
    '[outputs.lane-2]\ndevice = "far"\nchannel = 0\n',
)
LOOP = CONFIG.replace('channel = 0\nalarm_when = "closed"', 'channel = 0\nalarm_when = "open"')


async def test_a_dead_output_board_stops_no_other_and_opens_when_it_is_back(tmp_path: Path) -> None:
    async with site(tmp_path, TWO_BOARDS) as here:
        far = await here.plug("far")
        await here.armed()
        await here.coils({0: True}, "far")
        far.cut()
        await here.state(lambda s: not s.armed and any("far" in fault for fault in s.faults))
        here.pulse(FIRE, 0.1)
        await here.coils({0: False})
        state = await here.state(lambda s: s.lanes["lane-2"].open_by_hand)
        assert "OPEN BY HAND: lane-2" in state.faults
        assert not state.lanes["lane-1"].open_by_hand
        far.mend()
        await here.coils({0: False}, "far")
        await here.state(lambda s: s.armed and not s.faults)
        assert [change.energised for change in far.board.history] == [True, False]
        assert [r["lane"] for r in here.trail if r["code"] == "open_by_hand"] == ["lane-2"]


async def test_a_coil_that_somebody_else_switched_is_opened_again(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.armed()
        here.pulse(FIRE, 0.1)
        await here.coils(OPEN)
        here.rig.board.command(0, True)
        await here.coils(OPEN)


async def test_a_board_that_lost_its_power_is_told_again(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.armed()
        await here.coils(HELD)
        here.rig.board.command(1, False)
        await here.coils(HELD)


async def test_losing_the_inputs_holds_and_is_shown_where_a_contact_closes_for_alarm(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.armed()
        seen = len(here.rig.board.history)
        here.rig.cut()
        state = await here.state(lambda s: "input panel cannot be read" in s.faults)
        assert state.phase == "normal" and not state.armed
        here.rig.mend()
        await here.state(lambda s: s.armed and not s.faults)
        assert here.rig.board.history[seen:] == []
        here.pulse(BUTTON, 0.1)
        await here.coils(OPEN)


async def test_losing_a_normally_closed_loop_opens(tmp_path: Path) -> None:
    async with site(tmp_path, LOOP) as here:
        here.rig.board.inputs[FIRE] = True
        await here.armed()
        await here.coils(HELD)
        here.rig.cut()
        await here.state(lambda s: {c.cause for c in s.causes} == {"fault"} and len(s.open_lanes) == 2)
        here.rig.mend()
        await here.coils(OPEN)


async def test_a_board_that_never_answers_leaves_the_outputs_untouched(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        here.rig.board.coils.update(OPEN)
        here.rig.silent = True
        await here.start()
        state = await here.state(lambda s: any("device" in fault for fault in s.faults))
        assert state.phase == "starting"
        assert {lane.commanded for lane in state.lanes.values()} == {"none"}
        assert here.rig.board.writes == 0
        here.rig.silent = False
        await here.coils(HELD)


async def test_state_that_cannot_be_read_opens(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        (tmp_path / "state").write_text("no directory can be here")
        await here.armed()
        state = await here.state(lambda s: s.phase == "alarm" and len(s.faults) >= 3)
        for what in ("lock", "latch", "trail"):
            assert any(what in fault for fault in state.faults), what
        assert here.rig.board.history == []


async def test_a_full_disk_is_shown_and_opens_none_the_less(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        process = await here.armed()
        await here.coils(HELD)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        here.pulse(FIRE, 0.1)
        await here.coils(OPEN)
        await here.state(lambda s: s.phase == "alarm" and len(s.faults) >= 4)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        await here.state(lambda s: not s.faults)
        assert latch.read(tmp_path / "state") != ()
        assert [r["code"] for r in here.trail].count("alarm") == 1


async def test_an_alarm_that_a_full_disk_refused_outlives_the_process(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        process = await here.armed()
        await here.coils(HELD)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        here.pulse(FIRE, 0.1)
        await here.state(lambda s: any("latch cannot be written" in fault for fault in s.faults))
        await end(process, signal.SIGKILL)
        seen = len(here.rig.board.history)
        await here.armed()
        state = await here.state(lambda s: s.inputs["panel"].state == "clear")
        assert state.phase == "alarm"
        assert {lane.commanded for lane in state.lanes.values()} == {"open"}
        assert not any(c.energised for c in here.rig.board.history[seen:])
        await here.coils(OPEN)
        with pytest.raises(RequestRefused):  # the answer waits for all records before it
            await here.reset(by="nobody")
        (record,) = [r for r in here.trail if r["code"] == "latch_unreadable"]
        assert "the disk refused to keep an alarm" in record["text"]


async def test_it_opens_through_a_flood_of_garbage(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.armed()
        await here.coils(HELD)
        here.rig.send(os.urandom(500))
        here.rig.board.inputs[FIRE] = True
        here.rig.send(os.urandom(500))
        await here.coils(OPEN)


async def test_stopped_with_a_cable_out_it_still_ends(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        process = await here.armed()
        here.rig.cut()
        assert await end(process, signal.SIGTERM) == 0


async def test_while_it_cannot_be_reached_the_latch_is_kept_in_order(tmp_path: Path) -> None:
    """Alarm, reset, relock, kill: nothing is latched any more and the coils do not move."""
    async with site(tmp_path) as here:
        process = await here.armed()
        here.pulse(FIRE, 0.1)
        await here.state(lambda s: s.phase == "alarm" and s.inputs["panel"].state == "clear")
        await here.reset()
        await here.coils(HELD)
        await here.state(lambda s: s.phase == "normal")
        assert await end(process, signal.SIGTERM) == 0
        seen = len(here.rig.board.history)
        await here.armed()
        assert (await here.state(lambda s: True)).phase == "normal"
        assert [c.energised for c in here.rig.board.history[seen:]] == [True, True]


async def test_a_lane_of_two_flaps_is_open_or_clear_when_both_are(tmp_path: Path) -> None:
    config = CONFIG.replace("channels = [0, 1, 2]", "channels = [0, 1, 2, 4, 5, 6, 7]").replace(
        "[outputs.lane-2]\n", '[outputs.other-flap]\nlane = "lane-1"\n'
    )
    for channel, sensors in ((0, (4, 6)), (1, (5, 7))):
        old = f'channel = {channel}\nenergised = "may_shut"\n'
        assert old in config
        config = config.replace(
            old,
            f'{old}open_feedback = {{ device = "inputs", channel = {sensors[0]}, closed = "open" }}\n'
            f'lane_clear = {{ device = "inputs", channel = {sensors[1]}, closed = "clear" }}\n',
        )
    async with site(tmp_path, config) as here:
        inputs = here.rig.board.inputs
        inputs[7] = True  # the last to be read says clear; somebody stands at the other flap
        await here.armed()
        await here.coils(HELD)
        here.pulse(FIRE, 0.1)
        await here.coils(OPEN)
        inputs[5] = True  # one flap opened, the other did not
        state = await here.state(lambda s: s.lanes["lane-1"].open_by_hand)
        assert state.lanes["lane-1"].observed == "shut"
        inputs[4] = True
        await here.state(
            lambda s: s.lanes["lane-1"].observed == "open" and not s.lanes["lane-1"].open_by_hand
        )
        await here.state(lambda s: s.inputs["panel"].state == "clear")
        await here.reset()
        await here.state(lambda s: any("lane-1 is not seen to be clear" in fault for fault in s.faults))
        inputs[6] = True
        await here.coils(HELD)
