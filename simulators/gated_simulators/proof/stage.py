"""Where a row of the proof is measured: a busy machine, `gated` beside, and a release with its board."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gated.errors import GatedError
from gated.release import client
from gated_simulators.bench.release import CONFIG, BoardProcess, busy, child, rival_arguments
from gated_simulators.bench.site import READY_S, Shared, Site, helper
from gated_simulators.processes import entry_point, send

POLL_S = 0.002
PRIORITY = 40
CARDS = 10_000  # of gated's list
FPS = 15
MEMORY = Path("/dev/shm")  # a state directory there costs no disk


class Beside:
    """`gated` with two cameras, which follows the release at its socket; it can be killed and started."""

    def __init__(self, site: Site, stack: AsyncExitStack) -> None:
        self._site = site
        self._stack = stack
        self._process: asyncio.subprocess.Process | None = None
        self.log = site.path / "gated.log"

    async def start(self) -> None:
        """Start it; returns at once."""
        self._process = await self._stack.enter_async_context(
            child("--config", str(self._site.config), python=entry_point("gated"), log=self.log)
        )

    async def serving(self) -> None:
        """Wait until its devices work and its cameras decode. Raises GatedError."""
        try:
            async with asyncio.timeout(READY_S):
                while True:
                    try:
                        await self._site.devices_work()
                        return
                    except GatedError:
                        await asyncio.sleep(0.05)
        except TimeoutError:
            raise GatedError(f"gated did not start:\n{self.log.read_text()[-2000:]}") from None

    async def signal(self, number: signal.Signals) -> None:
        """Send it a signal; returns when it is gone where that kills."""
        if self._process is not None:
            send(self._process, number)
            if number == signal.SIGKILL:
                await self._process.wait()

    @property
    def ended(self) -> bool:
        """It runs no more."""
        return self._process is None or self._process.returncode is not None


@dataclass
class Surroundings:
    """What every row has around it: the directory, and `gated`."""

    path: Path
    beside: Beside

    @property
    def socket(self) -> Path:
        """Where the release answers, whichever row's it is."""
        return self.path / "release.sock"


@asynccontextmanager
async def surroundings() -> AsyncIterator[Surroundings]:
    """Every core busy, `gated` beside with two cameras that look at a hall."""
    base = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="gated-proof-", dir=base) as name:
        path = Path(name)
        shared = Shared(path, CARDS)
        shared.make()
        async with AsyncExitStack() as stack:
            site = Site(shared, "beside", readers=2, cameras=2, fps=FPS, release_socket=path / "release.sock")
            await stack.enter_async_context(site.far_end(realtime=False))
            cameras = await stack.enter_async_context(
                helper("farend", {"cameras": site.cameras, "fps": site.fps}, ["nice"])
            )
            await cameras.line()
            await cameras.ask({"idle": True})
            beside = Beside(site, stack)
            await beside.start()
            await beside.serving()
            await stack.enter_async_context(busy(os.cpu_count() or 1))
            yield Surroundings(path, beside)


@dataclass
class Stage:
    """One row's release and its board. A condition sets what is different, before the release starts."""

    around: Surroundings
    stack: AsyncExitStack
    priority: int = PRIORITY
    environment: dict[str, str] = field(default_factory=dict)
    python: str = sys.executable
    more: str = ""  # of release.toml
    board: BoardProcess | None = None
    process: asyncio.subprocess.Process | None = None
    pids: list[int] = field(default_factory=list)  # of every process that had `environment`

    def __post_init__(self) -> None:
        self.path = self.around.path / "release"
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir()
        self.state_dir = self.path / "state"
        self.log = self.path / "release.log"

    @property
    def trail(self) -> str:
        """The release's records so far."""
        try:
            return (self.state_dir / "release.jsonl").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    @asynccontextmanager
    async def release(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """The release, while the context is open."""
        assert self.board is not None
        config = self.path / "release.toml"
        text = CONFIG.format(
            state_dir=self.state_dir,
            port=self.board.ports["release"],
            poll_s=POLL_S,
            priority=self.priority,
        )
        config.write_text(text.replace('"release.sock"', f'"{self.around.socket}"') + self.more)
        arguments = ("-m", "gated.release.service", "--config", str(config))
        async with child(
            *arguments,
            python=self.python,
            env=self.environment,
            log=self.log,
            cwd=self.path,  # what is installed counts, not what lies about
        ) as process:
            self.process = process
            self.pids.append(process.pid)
            try:
                yield process
            finally:
                if process.returncode is not None:  # struck: whatever it left behind goes too
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(process.pid, signal.SIGKILL)

    async def rival(self) -> None:
        """The rival on the board's other line, until the stage is cleared."""
        assert self.board is not None
        arguments = rival_arguments(self.board.ports["rival"], POLL_S, self.priority)
        process = await self.stack.enter_async_context(child(*arguments, env=self.environment))
        self.pids.append(process.pid)

    async def status(self) -> client.ReleaseState:
        """What the release says of itself. Raises GatedError."""
        return await client.status(self.around.socket)
