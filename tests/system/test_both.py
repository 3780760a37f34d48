"""Both daemons side by side: a fire contact of 100 ms, a card, a kill, a reset, as in a real night."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gated.errors import GatedError
from gated.release import client
from gated.release import config as release_config
from gated_simulators.rigs import contact_modbus
from gated_simulators.rigs._modbus_board import ModbusBoardRig
from tests.system.site import BIN, GOOD_CARD, WITHIN_S, Site

RELEASE = """\
[release]
state_dir = "state/release"
socket = "release.sock"
reset_by = ["guard.sato"]
relock_warning_s = 0.1
relock_interval_s = 0.1
realtime_priority = 0

[devices.inputs]
driver = "contact_modbus"
port = "release-bus"
channels = [0]

[devices.outputs]
driver = "relay_modbus"
port = "release-bus"
rest = { 0 = false }

[inputs.fire-panel]
cause = "fire"
device = "inputs"
channel = 0
alarm_when = "closed"

[outputs.lane]
device = "outputs"
channel = 0
energised = "may_shut"
"""


FEEDBACK = """\
open_feedback = { device = "inputs", channel = 1, closed = "open" }
"""


@asynccontextmanager
async def released_by(site: Site, feedback: bool = False) -> AsyncIterator[ModbusBoardRig]:
    """The emergency release of the site, in a process of its own, with its board's far end here."""
    path = site.path / "release.toml"
    if feedback:
        path.write_text(
            RELEASE.replace("channels = [0]", "channels = [0, 1]").replace(
                "realtime_priority", "confirm_s = 0.5\nrealtime_priority"
            )
            + FEEDBACK
        )
    else:
        path.write_text(RELEASE)
    settings = release_config.load(path).devices["inputs"].settings
    async with contact_modbus.open_rig(settings) as panel:  # type: ignore[arg-type]
        process = await asyncio.create_subprocess_exec(
            BIN / "gated-release", "--config", path, env={**os.environ, "NOTIFY_SOCKET": ""}
        )
        try:
            yield panel
        finally:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(WITHIN_S):
                assert await process.wait() == 0


async def phase(site: Site, wanted: str) -> client.ReleaseState:
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                async for state in client.watch(site.path / "release.sock"):
                    if state.phase == wanted:
                        return state
            except GatedError:
                await asyncio.sleep(0)


async def test_a_fire_a_kill_and_a_reset(site: Site) -> None:
    async with released_by(site) as panel:
        await phase(site, "normal")
        await site.serving()
        await site.coils(c2=True)  # secured: the release says that the lane may be shut
        panel.board.inputs[0] = True
        await site.record("emergency", lane="lane")
        await site.coils(c1=True, c2=False)
        panel.board.inputs[0] = False  # the contact is clear again, the alarm is not
        site.reader.present(GOOD_CARD)
        await site.record("emergency_open", access_point="reader")

        await site.stop(signal.SIGKILL)
        moved = len(site.board.board.history)
        assert panel.board.coils[0] is False  # held open by the other process
        await site.start()
        await site.record("started", after="a crash")
        await site.record("emergency", lane="lane")
        await site.devices_ok()
        assert (await site.ask("status"))["lanes"]["lane"]["state"] == "emergency"
        assert not [c for c in site.board.board.history[moved:] if c.channel in (1, 2)]

        with pytest.raises(GatedError):
            await client.request(site.path / "release.sock", "reset", by="nobody", why="bored")
        await client.request(site.path / "release.sock", "reset", by="guard.sato", why="false alarm")
        await site.record("emergency_over", lane="lane")
        await site.coils(c1=False, c2=True)
        await phase(site, "normal")
        assert await site.stop() == 0


async def test_a_lane_seen_open_is_left_to_the_release_and_one_not_seen_open_is_not(site: Site) -> None:
    async with released_by(site, feedback=True) as panel:

        def flap_follows(channel: int, energised: bool) -> None:
            panel.board.inputs[1] = not energised

        panel.on_command.append(flap_follows)
        await phase(site, "normal")
        await site.serving()
        moved = len(site.board.board.history)
        panel.board.inputs[0] = True
        await site.record("emergency", lane="lane")
        panel.board.inputs[0] = False
        await seen(site, lambda lane: lane.observed == "open" and not lane.open_by_hand)
        assert not [c for c in site.board.board.history[moved:] if c.channel in (1, 2)]

        site.reader.present(GOOD_CARD)
        await site.record("emergency_open", access_point="reader")
        await site.stop(signal.SIGKILL)
        await site.start()
        await site.record("started", after="a crash")
        await site.record("emergency_open", access_point="reader")  # and not granted, at the very start
        assert not [c for c in site.board.board.history[moved:] if c.channel in (1, 2)]

        panel.on_command.clear()
        panel.board.inputs[1] = False  # somebody forces the flap shut, or it never was as open as it said
        await seen(site, lambda lane: lane.open_by_hand)
        await site.record("not_seen_open", lane="lane")
        await site.coils(c1=True, c2=False)  # lane's exit is wired the other way round
        moved = len(site.board.board.history)
        assert await site.stop() == 0
        # stopping leaves other coils at rest, but not those that hold a lane open
        assert not [c for c in site.board.board.history[moved:] if c.channel in (1, 2)]


async def seen(site: Site, wanted: Callable[[client.LaneReport], bool]) -> None:
    """Until the release reports the lane as wanted."""
    async with asyncio.timeout(WITHIN_S):
        async for state in client.watch(site.path / "release.sock"):
            if wanted(state.lanes["lane"]):
                return
