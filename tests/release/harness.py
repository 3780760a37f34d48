"""A site of the emergency release: simulated boards on ptys, and `gated-release` as a real process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gated.errors import GatedError
from gated.release import client
from gated.release.client import ReleaseState
from gated_simulators.rigs.relay_modbus import ModbusBoardRig, open_rig

DEADLINE_S = 90.0 if os.environ.get("GATED_VM") else 15.0  # an emulated machine takes its time
HELD = {0: True, 1: True}
OPEN = {0: False, 1: False}
FIRE, QUAKE, BUTTON = 0, 1, 2

CONFIG = """\
[release]
state_dir = "state"
socket = "release.sock"
reset_by = ["sato"]
relock_warning_s = 0.3
relock_interval_s = 0.3
confirm_s = 0.4
fault_after_s = 0.2

[devices.inputs]
driver = "contact_modbus"
port = "bus"
channels = [0, 1, 2]
timeout_s = 0.2

[devices.outputs]
driver = "relay_modbus"
port = "bus"
timeout_s = 0.2
rest = { 0 = false, 1 = false }

[inputs.panel]
cause = "fire"
device = "inputs"
channel = 0
alarm_when = "closed"

[inputs.quake]
cause = "earthquake"
device = "inputs"
channel = 1
alarm_when = "closed"

[inputs.button]
cause = "manual"
device = "inputs"
channel = 2
alarm_when = "closed"

[outputs.lane-1]
device = "outputs"
channel = 0
energised = "may_shut"

[outputs.lane-2]
device = "outputs"
channel = 1
energised = "may_shut"
"""


@dataclass
class Site:
    """One site; `rig` is its first board."""

    path: Path
    stack: AsyncExitStack
    rigs: dict[str, ModbusBoardRig] = field(default_factory=dict)
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)
    commanded: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def rig(self) -> ModbusBoardRig:
        return self.rigs["bus"]

    @property
    def socket(self) -> Path:
        return self.path / "release.sock"

    @property
    def trail(self) -> list[dict[str, Any]]:
        text = (self.path / "state/release.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    async def plug(self, name: str) -> ModbusBoardRig:
        rig = await self.stack.enter_async_context(
            open_rig(SimpleNamespace(port=str(self.path / name), unit=1))
        )
        rig.on_command.append(lambda channel, energised: self.commanded.set())
        self.rigs[name] = rig
        return rig

    async def start(self, **environment: str) -> asyncio.subprocess.Process:
        """Start the service; it may still be arming."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "gated.release.service", "--config", str(self.path / "release.toml")),
            env={**os.environ, **environment},
            stderr=asyncio.subprocess.PIPE,
        )
        self.processes.append(process)
        return process

    async def armed(self, **environment: str) -> asyncio.subprocess.Process:
        """Start the service and wait until it says that it is armed."""
        process = await self.start(**environment)
        await self.state(lambda state: state.armed and state.pid == process.pid)
        return process

    async def state(self, true: Callable[[ReleaseState], bool]) -> ReleaseState:
        """Watch until `true`; the deadline names the last state seen."""
        last: Any = None
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    with contextlib.suppress(GatedError):
                        async for last in client.watch(self.socket):
                            if true(last):
                                return last  # type: ignore[no-any-return]
                    await asyncio.sleep(0.01)  # nobody serves there yet
        except TimeoutError:
            raise AssertionError(f"never came: the last state was {last}") from None

    async def coils(self, wanted: dict[int, bool], board: str = "bus") -> None:
        """Wait until the board holds these coils."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while any(self.rigs[board].board.coils.get(c, False) is not on for c, on in wanted.items()):
                    self.commanded.clear()
                    await self.commanded.wait()
        except TimeoutError:
            raise AssertionError(f"the coils stayed {self.rigs[board].board.coils}") from None

    def pulse(self, channel: int, seconds: float) -> None:
        """Close an input for a time."""
        inputs = self.rig.board.inputs
        inputs[channel] = True
        asyncio.get_running_loop().call_later(seconds, inputs.__setitem__, channel, False)

    async def reset(self, by: str = "sato", why: str = "false alarm") -> Any:
        return await client.request(self.socket, "reset", by=by, why=why)


@asynccontextmanager
async def site(path: Path, config: str = CONFIG) -> AsyncIterator[Site]:
    """A site at `path` with its first board plugged in; every process is ended and awaited."""
    (path / "release.toml").write_text(config)
    async with AsyncExitStack() as stack:
        found = Site(path, stack)
        await found.plug("bus")
        try:
            yield found
        finally:
            for process in found.processes:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.communicate()


async def end(process: asyncio.subprocess.Process, number: signal.Signals) -> int:
    process.send_signal(number)
    async with asyncio.timeout(DEADLINE_S):
        return await process.wait()


class Manager:
    """The service manager's end of the notification socket."""

    def __init__(self, path: Path) -> None:
        self.address = str(path / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)
        self.heard: list[str] = []

    async def hears(self, line: str) -> None:
        """Wait until a line that begins so was sent."""
        async with asyncio.timeout(DEADLINE_S):
            while not any(heard.startswith(line) for heard in self.heard):
                data = await asyncio.get_running_loop().sock_recv(self._socket, 4096)
                self.heard += data.decode().splitlines()

    def close(self) -> None:
        self._socket.close()
