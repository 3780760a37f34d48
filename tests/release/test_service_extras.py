"""Signals, monitors, dates of proof, the second latch and drivers that hang, with the real process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from gated.release import latch
from tests.release.harness import CONFIG, FIRE, HELD, OPEN, QUAKE, Site, end, site

SPARE = 3

SIGNALS = (
    CONFIG
    + """
[devices.lamps]
driver = "relay_modbus"
port = "lamps"
timeout_s = 0.2

[signals.horn]
device = "outputs"
channel = 2
on = "alarm"

[signals.lamp]
device = "lamps"
channel = 0
on = "alarm"
energised = "off"

[signals.relocking]
device = "lamps"
channel = 1
on = "relock_warning"

[signals.trouble]
device = "lamps"
channel = 2
on = "fault"
"""
)
MONITORS = (
    CONFIG.replace("channels = [0, 1, 2]", "channels = [0, 1, 2, 3]")
    + """
[monitors.panel-transfer]
device = "inputs"
channel = 3
trouble_when = "closed"
says = "transfer_stopped"
"""
)


async def test_signals_show_the_alarm_the_relocking_and_faults(tmp_path: Path) -> None:
    async with site(tmp_path, SIGNALS) as here:
        lamps = await here.plug("lamps")
        await here.armed()
        await here.coils({**HELD, 2: False})
        await here.coils({0: True, 1: False}, "lamps")
        here.pulse(FIRE, 0.1)
        await here.coils({**OPEN, 2: True})
        await here.coils({0: False, 1: False}, "lamps")
        order = [change.channel for change in here.rig.board.history if change.at]
        assert order.index(2) > max(i for i, c in enumerate(here.rig.board.history) if c.channel in HELD)
        await here.state(lambda s: s.phase == "alarm" and s.inputs["panel"].state == "clear")
        await here.reset()
        await here.coils({1: True}, "lamps")
        await here.coils({**HELD, 2: False})
        await here.coils({0: True, 1: False}, "lamps")
        assert not lamps.board.coils.get(2)


async def test_lamps_that_are_dead_are_a_fault_and_stop_nothing(tmp_path: Path) -> None:
    async with site(tmp_path, SIGNALS) as here:
        lamps = await here.plug("lamps")
        lamps.silent = True
        await here.armed()
        await here.state(lambda s: any("device lamps" in fault for fault in s.faults))
        here.pulse(FIRE, 0.1)
        await here.coils(OPEN)
        lamps.silent = False
        await here.coils({2: False}, "lamps")
        await here.state(lambda s: not s.faults)


async def test_a_signal_that_its_board_refuses_stops_no_lane(tmp_path: Path) -> None:
    config = SIGNALS.replace('device = "lamps"\nchannel = 1', 'device = "lamps"\nchannel = 99')
    async with site(tmp_path, config) as here:
        await here.plug("lamps")
        await here.armed()
        await here.state(lambda s: any("signals lamp, relocking, trouble" in fault for fault in s.faults))
        await here.coils({2: True}, "lamps")  # there is a fault
        here.pulse(FIRE, 0.1)
        await here.coils({**OPEN, 2: True})
        assert (await here.state(lambda s: s.phase == "alarm")).armed


async def test_a_signal_that_an_output_board_has_not_keeps_the_board(tmp_path: Path) -> None:
    config = SIGNALS.replace('device = "outputs"\nchannel = 2', 'device = "outputs"\nchannel = 99')
    async with site(tmp_path, config) as here:
        await here.plug("lamps")
        await here.armed()
        await here.state(lambda s: any("signals horn" in fault for fault in s.faults))
        reads = here.rig.requests
        async with asyncio.timeout(10):
            while here.rig.requests < reads + 100:  # it was looked at meanwhile
                await here.state(lambda s: s.armed)
        here.pulse(FIRE, 0.1)
        await here.coils(OPEN)
        await here.state(lambda s: s.phase == "alarm" and s.armed)
        await settled(here)
        faults = [r["device"] for r in here.trail if r["code"] == "device_fault"]
        assert faults == ["signals of outputs"]


async def test_a_monitor_warns_and_opens_nothing(tmp_path: Path) -> None:
    async with site(tmp_path, MONITORS) as here:
        await here.armed()
        here.rig.board.inputs[SPARE] = True
        state = await here.state(lambda s: any("panel-transfer" in w for w in s.warnings))
        assert state.phase == "normal" and not state.faults
        assert any("passes no alarm on" in warning for warning in state.warnings)
        here.rig.board.inputs[SPARE] = False
        await here.state(lambda s: not any("panel-transfer" in w for w in s.warnings))
        here.rig.board.inputs[SPARE] = True
        await here.state(lambda s: any("panel-transfer" in w for w in s.warnings))
        here.rig.cut()
        await here.state(lambda s: "monitor panel-transfer cannot be read" in " ".join(s.warnings))
        await settled(here)
        codes = [r["code"] for r in here.trail if r["code"].startswith("monitor")]
        assert codes == ["monitor_trouble", "monitor_good", "monitor_trouble", "monitor_unread"]
        assert here.rig.board.coils == HELD


async def test_what_was_seen_to_work_has_a_date_that_outlives_the_process(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        process = await here.armed()
        state = await here.state(lambda s: len(s.warnings) == 5)
        assert "input panel: never tested; its line is due for a test" in state.warnings
        here.pulse(FIRE, 0.1)
        await here.coils(OPEN)
        state = await here.state(lambda s: len(s.warnings) == 2)
        assert state.inputs["panel"].last_active.startswith("20")
        assert state.lanes["lane-1"].opened_ms is not None
        assert 0 < state.lanes["lane-1"].opened_ms < 5000
        assert await end(process, signal.SIGTERM) == 0
        assert json.loads((tmp_path / "state/proven.json").read_text())["lanes"].keys() == {
            "lane-1",
            "lane-2",
        }
        await here.armed()
        again = await here.state(lambda s: len(s.warnings) == 2)
        assert again.inputs["panel"].last_active == state.inputs["panel"].last_active


# The latch is kept twice


async def test_an_alarm_that_the_disk_never_got_outlives_the_process(tmp_path: Path) -> None:
    """The disk is away while it happens, and comes back as it was: nothing latched."""
    async with site(tmp_path) as here:
        process = await here.armed()
        (tmp_path / "state").rename(tmp_path / "away")
        (tmp_path / "state").write_text("no directory can be here")
        here.pulse(FIRE, 0.1)
        await here.coils(OPEN)
        await here.state(lambda s: any("latch cannot be written" in fault for fault in s.faults))
        await kept_in_memory(here)
        seen = len(here.rig.board.history)
        await end(process, signal.SIGKILL)
        (tmp_path / "state").unlink()
        (tmp_path / "away").rename(tmp_path / "state")
        assert latch.read(tmp_path / "state") == ()
        await here.armed()
        state = await here.state(lambda s: s.inputs["panel"].state == "clear")
        assert state.open_lanes == {"lane-1", "lane-2"}
        assert {cause.cause for cause in state.causes} == {"fire"}
        assert not any(change.energised for change in here.rig.board.history[seen:])


async def test_an_alarm_on_a_read_only_file_system_outlives_the_process(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or not mount or not umount:
        pytest.skip("only root mounts a file system")
    async with site(tmp_path) as here:
        process = await here.armed()
        await here.coils(HELD)
        if subprocess.run([mount, "--bind", str(state), str(state)], check=False).returncode:
            pytest.skip("this root may not mount a file system")
        try:
            subprocess.run([mount, "-o", "remount,bind,ro", str(state)], check=True)
            here.pulse(QUAKE, 0.1)
            await here.coils(OPEN)
            await here.state(lambda s: any("Read-only file system" in fault for fault in s.faults))
            await kept_in_memory(here)
            await end(process, signal.SIGKILL)
            assert latch.read(state) == ()  # as far as this disk knows
            seen = len(here.rig.board.history)
            await here.armed()
            found = await here.state(lambda s: s.phase == "alarm")
            assert {cause.cause for cause in found.causes} == {"earthquake"}
            assert not any(change.energised for change in here.rig.board.history[seen:])
        finally:
            subprocess.run([umount, "-l", str(state)], check=True)


async def test_a_latch_in_memory_that_cannot_be_believed_opens(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        process = await here.armed()
        await here.coils(HELD)
        assert await end(process, signal.SIGTERM) == 0
        (tmp_path / "latch").write_bytes(b"half")
        await here.armed()
        state = await here.state(lambda s: True)
        assert [cause.input for cause in state.causes] == ["latch-file"]


async def test_after_a_boot_the_latch_in_memory_is_missing_and_that_is_nothing(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        process = await here.armed()
        assert await end(process, signal.SIGTERM) == 0
        (tmp_path / "latch").unlink()
        await here.armed()
        assert (await here.state(lambda s: True)).phase == "normal"
        await settled(here)
        assert latch.read(tmp_path) == ()


# Drivers that hang

STUCK = """
import asyncio, contextlib, os, pathlib
from gated.ports import Driver, Kind, Settings

class StuckSettings(Settings):
    where: str
    until: str

class Board:
    async def switch(self, coils): pass
    async def observed(self): return {}

async def stuck(until):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(until + ".tried")
    pathlib.Path(until + ".tried").touch()
    while not os.path.exists(until):  # whatever one does to it
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.05)

@contextlib.asynccontextmanager
async def open_board(settings):
    if settings.where == "open":
        await stuck(settings.until)
    try:
        yield Board()
    finally:
        await stuck(settings.until)

DRIVER = Driver(Kind.RELAY, StuckSettings, open_board)
"""


def with_stuck_driver(path: Path, where: str) -> str:
    """A driver of somebody else's, which hangs until the file `go` is there; the configuration with it."""
    package = path / "drivers/stuck_drivers"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "relay_stuck.py").write_text(STUCK)
    info = path / "drivers/stuck_drivers-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stuck-drivers\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[gated.driver_packages]\nstuck = stuck_drivers\n")
    return CONFIG.replace(
        '[outputs.lane-2]\ndevice = "outputs"\nchannel = 1\n',
        f'[devices.far]\ndriver = "relay_stuck"\nwhere = "{where}"\nuntil = "{path / "go"}"\n\n'
        '[outputs.lane-2]\ndevice = "far"\nchannel = 0\n',
    )


@pytest.mark.parametrize("where", ["open", "close"])
async def test_a_driver_that_hangs_keeps_no_other_board_from_opening_nor_the_release_from_stopping(
    tmp_path: Path, where: str
) -> None:
    async with site(tmp_path, with_stuck_driver(tmp_path, where)) as here:
        process = await here.start(PYTHONPATH=str(tmp_path / "drivers"))
        await here.coils({0: True})
        here.pulse(FIRE, 0.1)
        await here.coils({0: False})
        state = await here.state(lambda s: s.phase == "alarm")
        stays = "if this process dies, the outputs of far stay as they are until the service is back"
        assert (stays in state.notes) is (where == "close")
        assert "far" in state.unbequeathed and "outputs" not in state.unbequeathed
        async with asyncio.timeout(5):  # as long as the service manager waits
            assert await end(process, signal.SIGTERM) == 0
        assert here.rig.board.coils[0] is False


@pytest.mark.timeout(90)
async def test_a_driver_that_hangs_is_left_behind_and_tried_again_while_all_else_goes_on(
    tmp_path: Path,
) -> None:
    """No restart, which would open and shut every gate again and again."""
    async with site(tmp_path, with_stuck_driver(tmp_path, "open")) as here:
        process = await here.start(PYTHONPATH=str(tmp_path / "drivers"))
        await here.coils({0: True})
        history = here.rig.board.history
        for _ in range(3):  # it takes STUCK_S, as long as the harness waits
            with contextlib.suppress(AssertionError):
                state = await here.state(lambda s: any("its driver hangs" in fault for fault in s.faults))
                break
        assert state.pid == process.pid and not state.armed
        assert [change.energised for change in history] == [True]
        here.pulse(FIRE, 0.1)
        await here.coils({0: False})
        state = await here.state(lambda s: s.lanes["lane-2"].open_by_hand)
        assert not state.lanes["lane-1"].open_by_hand
        assert process.returncode is None


async def kept_in_memory(here: Site) -> None:
    """Wait until the second latch is written."""
    async with asyncio.timeout(10):
        while not latch.read(here.path):
            await here.state(lambda s: True)


async def settled(here: Site) -> None:
    """Wait until the disk has all that was handed to it."""
    with pytest.raises(Exception, match="refused"):
        await here.reset(by="nobody")
