"""The processes of a site, started from their real entry points and stopped so that nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from gated.errors import GatedError

STOP_S = 8.0
"""How long a process may take to stop when asked, seconds; then it is killed, and that is a fault."""
GRACE_S = 1.0
"""How long children may outlive the process that started them, seconds."""
POLL_S = 0.02
PR_SET_PDEATHSIG = 1


def entry_point(name: str) -> str:
    """The installed command of that name, of this very environment first. Raises GatedError."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise GatedError(f"{name} is not installed beside {sys.executable}: install gated there")
    return found


def serving_pid(path: Path) -> int:
    """The process that serves a Unix socket, as the kernel knows it. Raises GatedError when none does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(2.0)
        try:
            asking.connect(str(path))
        except OSError as error:
            raise GatedError(f"{path}: nobody answers there; is the service running?") from error
        pid: int = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        return pid


def send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal a child, dead or alive.

    Not by its own methods: they reap a child that has just died behind the event loop's back.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def die_with_parent() -> None:
    """For `preexec_fn`: even if we are killed ourselves, the child goes too. Linux only, like gated."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class _Running:
    name: str
    process: asyncio.subprocess.Process


class Processes:
    """Starts and stops the processes of one site; each logs into a file of its own in `logs`."""

    def __init__(self, commands: dict[str, list[str]], logs: Path) -> None:
        self._commands = commands
        self._logs = logs
        self._running: dict[str, _Running] = {}
        self._groups: list[tuple[str, int]] = []  # every process group there ever was

    def log_of(self, name: str) -> Path:
        """Where a process writes what it says."""
        return self._logs / f"{name}.log"

    async def start(self, name: str) -> None:
        """Start a process; one that was killed is waited for first. Raises GatedError."""
        old = self._running.get(name)
        if old is not None:
            try:
                async with asyncio.timeout(STOP_S):
                    await old.process.wait()
            except TimeoutError:
                raise GatedError(f"{name} is running already") from None
        with self.log_of(name).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self._commands[name],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us: we stop them in order
                preexec_fn=die_with_parent,
            )
        self._running[name] = _Running(name, process)
        self._groups.append((name, process.pid))

    def ended(self, name: str) -> int | None:
        """The exit status of a process that is no longer running."""
        running = self._running.get(name)
        return None if running is None else running.process.returncode

    async def stop(self, name: str) -> list[str]:
        """Ask a process to stop and wait for it; tells what was not clean."""
        running = self._running.pop(name, None)
        if running is None:
            return []
        process, faults = running.process, []
        if process.returncode is None:
            send(process, signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                faults.append(f"{name} did not stop within {STOP_S:.0f} s of SIGTERM and was killed")
                send(process, signal.SIGKILL)
                await process.wait()
            if process.returncode not in (0, -signal.SIGTERM, -signal.SIGKILL):
                faults.append(f"{name} ended with status {process.returncode}; see its log")
        return faults

    async def stop_all(self) -> list[str]:
        """Stop everything, last started first, and tell what was not clean or was left behind."""
        faults: list[str] = []
        for name in reversed(list(self._running)):
            faults += await self.stop(name)
        for name, group in self._groups:
            if not await _gone(group):
                faults.append(f"a child of {name} was left running and was killed")
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, signal.SIGKILL)
                await _gone(group)
        return faults


async def _gone(group: int) -> bool:
    """Whether a process group is gone within a moment: children go after their parent."""
    until = time.monotonic() + GRACE_S
    while _alive(group):
        if time.monotonic() > until:
            return False
        await asyncio.sleep(POLL_S)
    return True


def _alive(group: int) -> bool:
    """Whether any process of the group still runs (one that is dead and unreaped does not)."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, _parent, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return False
