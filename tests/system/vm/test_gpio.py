"""gated-release on a real GPIO character device: alarm contact in, relays out, and what a death leaves."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from pathlib import Path

import pytest

from tests.release.harness import end, site
from tests.system.vm.kernel import GpioChip

FIRE, LANE_1, LANE_2 = 17, 5, 6
CONFIG = """\
[release]
state_dir = "state"
socket = "release.sock"
reset_by = ["sato"]
relock_warning_s = 0.1
relock_interval_s = 0.1
start_within_s = 20

[devices.inputs]
driver = "contact_gpio"
pins = { 0 = 17 }
pull = "none"

[devices.outputs]
driver = "relay_gpio"
pins = { 1 = 5, 2 = 6 }
rest = { 1 = false, 2 = false }

[inputs.panel]
cause = "fire"
device = "inputs"
channel = 0
alarm_when = "closed"

[outputs.lane-1]
device = "outputs"
channel = 1
energised = "may_shut"

[outputs.lane-2]
device = "outputs"
channel = 2
energised = "may_shut"
"""


async def test_an_edge_opens_every_lane_and_a_pulse_latches(tmp_path: Path, chip: GpioChip) -> None:
    chip.pull(FIRE, True)  # the contact, to ground, is open
    async with site(tmp_path, CONFIG) as gate:
        await gate.armed()
        await chip.reach(gpio5=True, gpio6=True)
        chip.pull(FIRE, False)
        await chip.reach(gpio5=False, gpio6=False)
        chip.pull(FIRE, True)
        state = await gate.state(lambda s: s.inputs["panel"].state == "clear")
        assert state.phase == "alarm"
        assert not chip.level(LANE_1) and not chip.level(LANE_2)
        await gate.reset()
        await chip.reach(gpio5=True, gpio6=True)


async def test_the_outputs_drop_when_the_process_is_killed(tmp_path: Path, chip: GpioChip) -> None:
    chip.pull(FIRE, True)
    async with site(tmp_path, CONFIG) as gate:
        process = await gate.armed()
        await chip.reach(gpio5=True, gpio6=True)
        await end(process, signal.SIGKILL)
        await chip.reach(gpio5=False, gpio6=False)


async def test_a_hung_process_opens_within_two_seconds(tmp_path: Path, chip: GpioChip) -> None:
    chip.pull(FIRE, True)
    async with site(tmp_path, CONFIG) as gate:
        process = await gate.armed()
        await chip.reach(gpio5=True, gpio6=True)
        process.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(4.0):  # 2 s of a machine that runs at its usual speed
            await chip.reach(gpio5=False, gpio6=False)


async def test_an_alarm_opens_while_the_clock_jumps_by_fifty_years(tmp_path: Path, chip: GpioChip) -> None:
    chip.pull(FIRE, True)
    async with site(tmp_path, CONFIG) as gate:
        await gate.armed()
        for years in (50, -50, -50, 50):
            subprocess.run(["date", "--set", f"{years:+d} years"], check=True, stdout=subprocess.DEVNULL)
            chip.pull(FIRE, False)
            await chip.reach(gpio5=False, gpio6=False)
            chip.pull(FIRE, True)
            await gate.state(lambda s: s.phase == "alarm" and s.inputs["panel"].state == "clear")
            await gate.reset()
            await chip.reach(gpio5=True, gpio6=True)


async def test_a_line_that_somebody_else_holds_is_a_fault_that_names_the_pin(
    tmp_path: Path, chip: GpioChip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LG_WD", str(tmp_path))  # lgpio goes there and leaves a FIFO
    monkeypatch.chdir(tmp_path)
    import lgpio

    chip.pull(FIRE, True)
    handle = lgpio.gpiochip_open(int(chip.chip.removeprefix("gpiochip")))
    lgpio.gpio_claim_output(handle, LANE_1, 0)
    try:
        async with site(tmp_path, CONFIG) as gate:
            await gate.start()
            state = await gate.state(lambda s: any("GPIO" in fault for fault in s.faults))
            assert not state.armed
            lgpio.gpio_free(handle, LANE_1)
            await gate.state(lambda s: s.armed)
    finally:
        with contextlib.suppress(lgpio.error):
            lgpio.gpiochip_close(handle)
