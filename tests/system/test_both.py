"""Both daemons side by side: a fire contact of 100 ms, a card, a kill, a reset, as in a real night."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
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


@asynccontextmanager
async def released_by(site: Site) -> AsyncIterator[ModbusBoardRig]:
    """The emergency release of the site, in a process of its own, with its board's far end here."""
    path = site.path / "release.toml"
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
