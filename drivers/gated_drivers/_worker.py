"""The daemon's end of a driver that lives in a process of its own: a Reader whose library may hang or crash.

The process is started with a socket as its standard input: it is told what to do by one line of JSON and
answers with the messages of _camera_wire. Each FRAME says that it is alive; `stall_s` after the last one
the reader is lost, whatever the process does, and closing kills it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

from gated.ports import DriverFault, Presentation
from gated_drivers import _camera_wire as wire

CLOSE_S = 1.0  # seconds a killed process may take to go before closing returns without it
WAITING = 64  # presentations kept for a consumer that is late; the oldest goes first


class WorkerReader:
    """A Reader.

    `frames` counts the process's signs of life; `ignored` counts what it read and no credential can be.
    """

    def __init__(
        self,
        name: str,
        module: str,
        presented: Callable[[bytes, float], Presentation],
        *,
        order: Mapping[str, Any],
        environment: Mapping[str, str],
        open_s: float,
        stall_s: float,
        unopened: str,
        stalled: str,
    ) -> None:
        """`module` is run and told `order`; `environment` is added to ours for it.

        `presented` reads the body of a CODE; `unopened` and `stalled` are said, with the seconds for {}.
        """
        self.frames = 0
        self.ignored = 0
        self._name = name
        self._module = module
        self._presented = presented
        self._order = order
        self._environment = environment
        self._open_s = open_s
        self._stall_s = stall_s
        self._unopened = unopened
        self._stalled = stalled
        self._loop = asyncio.get_running_loop()
        self._receiver = wire.Receiver()
        self._waiting: deque[Presentation] = deque(maxlen=WAITING)
        self._fault: DriverFault | None = None
        self._closing = False
        self._changed = asyncio.Event()
        self._reaped = asyncio.Event()
        self._link: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._last = 0.0  # when the newest sign of life was given
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Start the process and wait for its first sign of life; raises DriverFault within `open_s`."""
        self._link, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _spawn(self._module, theirs, self._environment)
                pidfd = os.pidfd_open(self._process.pid)
            except OSError as error:
                raise DriverFault(f"{self._name}: cannot start its process: {error.strerror}") from error
            self._loop.add_reader(pidfd, self._process_ended, self._process, pidfd)
            # Over the socket, because it may hold a password; it fits the socket's buffer.
            self._link.send(json.dumps({**self._order, "parent": os.getpid()}).encode() + b"\n")
        self._link.setblocking(False)
        self._loop.add_reader(self._link, self._readable, self._link)
        self._timer = self._loop.call_later(self._open_s, self._lose, self._unopened.format(self._open_s))
        while not self.frames:
            await self._change()

    async def presentations(self) -> AsyncIterator[Presentation]:
        """Yield each presentation once, until closed; raises DriverFault when the reader is lost."""
        while not self._closing:
            while self._waiting:
                yield self._waiting.popleft()
            if not self._closing:
                await self._change()

    async def close(self) -> None:
        """Kill the process and reap it; the loop is never blocked. Closing twice is fine."""
        self._closing = True
        self._changed.set()
        if self._timer is not None:
            self._timer.cancel()
        self._unlink()
        if self._process is None:
            return
        if not self._reaped.is_set():
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)  # a stopped process goes too
        with suppress(TimeoutError):  # a process stuck in a driver of the kernel is reaped when it goes
            async with asyncio.timeout(CLOSE_S):
                await self._reaped.wait()

    def _readable(self, link: socket.socket) -> None:
        try:
            data = link.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self._unlink()
            self._both_ended()
            return
        try:
            for message in self._receiver.feed(data):
                self._take(message)
        except ValueError as error:
            self._lose(str(error))

    def _unlink(self) -> None:
        if self._link is not None:
            self._loop.remove_reader(self._link)
            self._link.close()
            self._link = None

    def _take(self, message: wire.Message) -> None:
        if message.kind is wire.Kind.CODE:
            self._waiting.append(self._presented(message.body, message.at))
            self._changed.set()
        elif message.kind is wire.Kind.IGNORED:
            self.ignored += 1
        elif message.kind is wire.Kind.FAULT:
            self._lose(message.body.decode(errors="replace"))
        elif message.kind is wire.Kind.FRAME:
            self.frames += 1
            self._last = message.at
            if self.frames == 1:
                self._watch()
                self._changed.set()

    def _watch(self) -> None:
        """Call a stall `stall_s` after the newest sign of life, and look again at the time it would come."""
        if self._timer is not None:
            self._timer.cancel()
        if self._closing or self._fault is not None:
            return
        left = self._last + self._stall_s - time.monotonic()
        if left <= 0:
            self._lose(self._stalled.format(self._stall_s))
        else:
            self._timer = self._loop.call_later(left, self._watch)

    def _process_ended(self, process: subprocess.Popen[bytes], pidfd: int) -> None:
        self._loop.remove_reader(pidfd)
        os.close(pidfd)
        process.wait()  # it has ended: this only reaps
        self._reaped.set()
        self._both_ended()

    def _both_ended(self) -> None:
        """Only now is it sure that no last word of the process is still on its way."""
        if self._link is None and self._reaped.is_set():
            assert self._process is not None
            self._lose(f"its process ended unexpectedly ({_how(self._process.returncode)})")

    def _lose(self, why: str) -> None:
        if self._fault is None and not self._closing:
            self._fault = DriverFault(f"{self._name}: {why}")
            self._changed.set()

    async def _change(self) -> None:
        """Wait until something happened; raises the fault if that is what happened."""
        if self._fault is not None:
            raise self._fault
        self._changed.clear()
        await self._changed.wait()
        if self._fault is not None and not self._waiting:
            raise self._fault


def _spawn(module: str, link: socket.socket, extra: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The process, with `link` as its standard input and nothing else of ours.

    Libraries write to standard error what no operator can use (and URLs with passwords), so that is
    closed. Its own process group keeps Ctrl-C for the daemon.
    """
    environment = {k: v for k, v in os.environ.items() if k not in {"NOTIFY_SOCKET", "WATCHDOG_USEC"}}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=link.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**environment, **extra},
        process_group=0,
    )


def _how(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
