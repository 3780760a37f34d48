"""A whole site in a test: the real `gated` in a process of its own, its devices' far ends in this one."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gated import journal, jsonlines
from gated.allowlist import SiteKey
from gated.allowlist.load import build
from gated.config import load
from gated_simulators.rigs import contact_modbus, reader_nfcpy, relay_serial
from gated_simulators.rigs._modbus_board import ModbusBoardRig
from gated_simulators.rigs.reader_nfcpy import CardFieldRig
from gated_simulators.rigs.relay_serial import SerialBoardRig

BIN = Path(sys.executable).parent
WITHIN_S = 15.0

GOOD_CARD = bytes.fromhex("012e4cd8a1b2c301")
OTHER_CARD = bytes.fromhex("012e4cd8a1b2c302")
STRANGER = bytes.fromhex("012e4cd8deadbeef")

CONFIG = """\
[site]
name = "test"
state_dir = "state"
control_socket = "gated.sock"
release_socket = "release.sock"

[areas.main]
anti_passback = "off"

[devices.reader]
driver = "reader_nfcpy"
path = "udp:127.0.0.1:{udp}"

[devices.board]
driver = "relay_serial"
port = "board"
channels = 4
rest = {{ 1 = false, 2 = true, 3 = false, 4 = false }}

[devices.sensors]
driver = "contact_modbus"
port = "sensors"
channels = [0, 1]

[lanes.lane]
inner = "main"
entry_readers = ["reader"]
times = {{ passage_s = 30.0, signal_s = 0.5 }}

[lanes.lane.relays]
release_entry = {{ device = "board", channel = 1, energised = "released" }}
release_exit = {{ device = "board", channel = 2, energised = "secured" }}
signal_grant = {{ device = "board", channel = 3, energised = "on" }}
signal_deny = {{ device = "board", channel = 4, energised = "on" }}

[lanes.lane.contacts]
beam_entry = {{ device = "sensors", channel = 0 }}
beam_exit = {{ device = "sensors", channel = 1 }}
"""

LIST = f"""\
technology,identifier,zones
felica,{GOOD_CARD.hex()},*
felica,{OTHER_CARD.hex()},*
"""


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Site:
    """The site's far ends, and its daemon."""

    path: Path
    reader: CardFieldRig
    board: SerialBoardRig
    sensors: ModbusBoardRig
    daemon: asyncio.subprocess.Process | None = None
    log: bytes = b""
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    _seen: int = 0

    @property
    def config(self) -> Path:
        return self.path / "gated.toml"

    async def start(self) -> None:
        """Start gated; return when it told the service manager that it serves."""
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.setblocking(False)
        with manager:
            address = self.path / "notify"
            address.unlink(missing_ok=True)
            manager.bind(str(address))
            self.daemon = await asyncio.create_subprocess_exec(
                BIN / "gated",
                "--config",
                self.config,
                env={**os.environ, "NOTIFY_SOCKET": str(address)},
                stderr=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(WITHIN_S):
                while b"READY=1" not in await asyncio.get_running_loop().sock_recv(manager, 4096):
                    pass

    async def serving(self) -> None:
        """Until every device of the site works."""
        self.board.on_command.append(lambda channel, energised: self._moved.set())
        await self.start()
        await self.devices_ok()

    async def devices_ok(self) -> None:
        """Until every device works."""
        async with asyncio.timeout(WITHIN_S):
            while not all(device["ok"] for device in (await self.ask("status"))["devices"].values()):
                pass

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal the daemon and return its exit code."""
        assert self.daemon is not None and self.daemon.stderr is not None
        if self.daemon.returncode is None:
            self.daemon.send_signal(how)
        async with asyncio.timeout(WITHIN_S):
            self.log += await self.daemon.stderr.read()
            return await self.daemon.wait()

    async def ask(self, do: str, **args: Any) -> Any:
        return await jsonlines.request(self.path / "gated.sock", do, **args)

    async def record(self, code: str, **fields: str) -> dict[str, Any]:
        """The next journal record with this code and these fields or details; each is returned once."""
        async with asyncio.timeout(WITHIN_S):
            async for record in journal.follow(self.path / "state" / "journal", self._seen):
                self._seen = record["seq"]
                told = {**record["detail"], **record}
                if record["code"] == code and all(told.get(k) == v for k, v in fields.items()):
                    return record
        raise AssertionError("a journal is followed for ever")

    def records(self) -> list[dict[str, Any]]:
        """Every record so far."""
        return list(journal.read(self.path / "state" / "journal"))

    async def coils(self, **wanted: bool) -> None:
        """Until the board's coils (c1=True ...) are as wanted."""
        async with asyncio.timeout(WITHIN_S):
            while any(self.board.board.coils.get(int(k[1:]), False) != v for k, v in wanted.items()):
                self._moved.clear()
                await self._moved.wait()

    async def walk_in(self) -> None:
        """A person goes through inwards, at the pace of the sensors."""
        for states in ((True, False), (True, True), (False, True), (False, False)):
            self.sensors.board.inputs.update({0: states[0], 1: states[1]})
            await self.polled()

    async def polled(self, times: int = 3) -> None:
        """Until gated has read the sensors so often more."""
        enough = self.sensors.requests + times
        async with asyncio.timeout(WITHIN_S):
            while self.sensors.requests < enough:
                await self.ask("metrics")

    def edit(self, change: Callable[[str], str]) -> None:
        """Edit the configuration file."""
        text = self.config.read_text()
        changed = change(text)
        assert changed != text
        self.config.write_text(changed)


@asynccontextmanager
async def open_site(path: Path) -> AsyncIterator[Site]:
    """Write the files, load the list, open the far ends; kill whatever still runs at the end."""
    config = path / "gated.toml"
    config.write_text(CONFIG.format(udp=free_udp_port()))
    (path / "list.csv").write_text(LIST)
    key = SiteKey.load_or_create(path / "state" / "site.key")
    build(path / "list.csv", path / "state" / "allowlist.db", key)
    settings: dict[str, Any] = {name: device.settings for name, device in load(config).devices.items()}
    async with AsyncExitStack() as rigs:
        site = Site(
            path,
            await rigs.enter_async_context(reader_nfcpy.open_rig(settings["reader"])),
            await rigs.enter_async_context(relay_serial.open_rig(settings["board"])),
            await rigs.enter_async_context(contact_modbus.open_rig(settings["sensors"])),
        )
        try:
            yield site
        finally:
            if site.daemon is not None:
                await site.stop(signal.SIGKILL)
                print(site.log.decode())
