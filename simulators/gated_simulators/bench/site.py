"""The site of the bench: three lanes on one serial relay board, and the real processes that run it.

The lanes have readers and no sensors, so a passage is assumed when the release pulse ends; that is 10 ms,
so that trials follow each other. The list holds a million cards.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gated import jsonlines
from gated.durable import create_once
from gated.errors import GatedError
from gated_simulators.bench.stores import KEY_BYTES, idm, make_list
from gated_simulators.processes import Processes, entry_point

PULSE_S = 0.01
LANES = 3
READY_S = 20.0

_HEAD = """\
[site]
name = "bench"
timezone = "UTC"
state_dir = "state"
control_socket = "gated.sock"
{release}

[areas.main]
anti_passback = "off"

[devices.board]
driver = "relay_serial"
port = "board"
channels = 8
rest = { 1 = false, 2 = false, 3 = false, 4 = false, 5 = false, 6 = false }
"""

_READER = """
[devices.reader-{n}]
driver = "reader_nfcpy"
path = "{path}"
"""

_CAMERA = """
[devices.camera-{n}]
driver = "reader_qr_camera"
source = "{url}"
stall_s = 60
fps = {fps}
"""

_LANE = """
[lanes.lane-{n}]
inner = "main"
mode = "entry"
entry_readers = [{readers}]
times = {{ pulse_s = {pulse}, signal_s = {pulse} }}

[lanes.lane-{n}.relays]
release_entry = {{ device = "board", channel = {n}, energised = "released" }}
signal_grant = {{ device = "board", channel = {lamp}, energised = "on" }}
"""


@dataclass(frozen=True)
class Shared:
    """What every site of a run shares: the scratch directory, the list and how many cards it holds."""

    place: Path
    rows: int

    @property
    def list_file(self) -> Path:
        """The list file."""
        return self.place / "allowlist.db"

    def make(self) -> None:
        """Build the list."""
        make_list(self.list_file, self.rows)

    def cards(self, count: int, seed: int) -> list[str]:
        """Cards of the list, in hex, each once; none that a reader takes for a phone."""
        drawn = (idm(n) for n in random.Random(seed).sample(range(self.rows), 2 * count))
        return [card.hex() for card in drawn if not card.startswith(b"\x01\xfe")][:count]


class Site:
    """One site's files and addresses, and the processes at both ends of its wires."""

    def __init__(
        self,
        shared: Shared,
        name: str,
        readers: int = LANES,
        cameras: int = 0,
        fps: int = 15,
        release_socket: Path | None = None,
    ) -> None:
        """Write the files; `cameras` are at the first lanes; a release at `release_socket` is followed."""
        self.release_socket = release_socket
        self.path = shared.place / name
        self.path.mkdir()
        state = self.path / "state"
        create_once(state / "site.key", KEY_BYTES)
        (state / "allowlist.db").hardlink_to(shared.list_file)
        self.readers, self.cameras = _addresses(readers, cameras)
        self.fps = fps
        self.board = self.path / "board"
        self.config = self.path / "gated.toml"
        self.config.write_text(self._text(), encoding="utf-8")

    def _text(self) -> str:
        release = f'release_socket = "{self.release_socket}"' if self.release_socket else ""
        parts = [_HEAD.replace("{release}\n", f"{release}\n")]
        parts += [_READER.format(n=n, path=path) for n, path in enumerate(self.readers, 1)]
        parts += [_CAMERA.format(n=n, url=url, fps=self.fps) for n, url in enumerate(self.cameras, 1)]
        kinds = {"reader": len(self.readers), "camera": len(self.cameras)}
        for n in range(1, max(kinds.values()) + 1):
            names = [f'"{kind}-{n}"' for kind, count in kinds.items() if n <= count]
            parts.append(_LANE.format(n=n, readers=", ".join(names), pulse=PULSE_S, lamp=n + LANES))
        return "".join(parts)

    @property
    def command(self) -> list[str]:
        """How gated is started."""
        return [entry_point("gated"), "--config", str(self.config)]

    @asynccontextmanager
    async def far_end(self, with_cameras: bool = False, realtime: bool = True) -> AsyncIterator[Helper]:
        """The far end of the readers and the board (and the cameras), while the context is open."""
        wires = {
            "readers": self.readers,
            "board": str(self.board),
            "cameras": self.cameras if with_cameras else [],
            "fps": self.fps,
            "realtime": realtime,
        }
        async with helper("farend", wires) as far:
            await far.line()
            yield far

    @asynccontextmanager
    async def gated(self, command: list[str] | None = None) -> AsyncIterator[float]:
        """The daemon, while the context is open; the seconds from its start to its word that it serves."""
        address = self.path / "notify"
        told = ["/usr/bin/env", f"NOTIFY_SOCKET={address}", *(command or self.command)]
        processes = Processes({"gated": told}, self.path)
        with closing(_Manager(address)) as manager:
            began = time.monotonic()
            await processes.start("gated")
            try:
                yield await manager.told(processes) - began
            finally:
                faults = await processes.stop_all()
        if faults:
            raise GatedError("; ".join(faults))

    async def ask(self, do: str, **arguments: Any) -> Any:
        """Ask the daemon on its control socket."""
        return await jsonlines.request(self.path / "gated.sock", do, **arguments)

    async def devices_work(self) -> dict[str, Any]:
        """Wait until every device works; the whole status."""
        async with asyncio.timeout(READY_S):
            while True:
                status: dict[str, Any] = await self.ask("status")
                if all(device["ok"] for device in status["devices"].values()):
                    return status
                await asyncio.sleep(0.05)


class _Manager:
    """The service manager, as far as gated needs one: it hears when gated serves, and goes on listening."""

    def __init__(self, address: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._said: asyncio.Future[float] = self._loop.create_future()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address.unlink(missing_ok=True)
        self._socket.bind(str(address))
        self._loop.add_reader(self._socket, self._hear)

    def _hear(self) -> None:
        if b"READY=1" in self._socket.recv(4096) and not self._said.done():
            self._said.set_result(time.monotonic())

    async def told(self, processes: Processes) -> float:
        """When gated said that it serves. Raises GatedError with its log when it ended, or after 20 s."""
        until = time.monotonic() + READY_S
        while time.monotonic() < until and processes.ended("gated") is None:
            if (await asyncio.wait([self._said], timeout=0.25))[0]:
                return self._said.result()
        raise GatedError(f"gated did not start:\n{processes.log_of('gated').read_text()}")

    def close(self) -> None:
        """Listen no more."""
        self._loop.remove_reader(self._socket)
        self._socket.close()


class Helper:
    """A process of the bench that answers lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, request: dict[str, Any]) -> Any:
        """One request, one answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        return await self.line()

    async def line(self) -> Any:
        """The next line it says. Raises GatedError when it ended."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise GatedError(f"a process of the bench ended early; see what it said above ({self._process})")
        return json.loads(line)

    async def finish(self) -> Any:
        """Let it end; its last line."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return await self.line()


@asynccontextmanager
async def helper(
    module: str, settings: dict[str, Any], around: list[str] | None = None
) -> AsyncIterator[Helper]:
    """Run a module of the bench with its settings as JSON; `around` is put before the command."""
    process = await asyncio.create_subprocess_exec(
        *(around or []),
        sys.executable,
        "-m",
        f"gated_simulators.bench.{module}",
        json.dumps(settings),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        yield Helper(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def rss_mib(pid: int) -> float:
    """What a process has resident now (VmRSS)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(status.partition("VmRSS:")[2].split()[0]) / 1024, 1)


def _addresses(readers: int, cameras: int) -> tuple[list[str], list[str]]:
    """Free ports; all are held until the last is found, so that no two are the same."""
    with ExitStack() as held:

        def free(kind: socket.SocketKind) -> int:
            taken = held.enter_context(socket.socket(socket.AF_INET, kind))
            taken.bind(("127.0.0.1", 0))
            return int(taken.getsockname()[1])

        return (
            [f"udp:127.0.0.1:{free(socket.SOCK_DGRAM)}" for _ in range(readers)],
            [f"http://127.0.0.1:{free(socket.SOCK_STREAM)}/" for _ in range(cameras)],
        )


def load_average() -> float:
    """Processes that want a processor, over the last minute."""
    return round(os.getloadavg()[0], 2)
