"""A person at a terminal: a real pty, a program on it, and what the person does when it says something."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

DEADLINE_S = 45.0
Habit = Callable[["Terminal", re.Match[str]], Awaitable[None]]


class Terminal:
    """The near end of the pty; `shown` is everything the program wrote."""

    def __init__(self, fd: int) -> None:
        self.shown = ""
        self._fd = fd
        self._read = 0
        self._news = asyncio.Event()
        self._over = False
        asyncio.get_running_loop().add_reader(fd, self._receive)

    def _receive(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # the far end was closed
            data = b""
        if not data:
            self.close()
        self.shown += data.decode().replace("\r\n", "\n")
        self._news.set()

    def close(self) -> None:
        """Look no more."""
        self._over = True
        asyncio.get_running_loop().remove_reader(self._fd)

    def types(self, line: str) -> None:
        """A line, and Enter."""
        os.write(self._fd, line.encode() + b"\n")

    async def reacts(self, habits: dict[str, Habit], until: str) -> None:
        """Do what is right at each thing the program says, in its order, until it says `until`."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                new = self.shown[self._read :]
                found = [m for pattern in (*habits, until) if (m := re.search(pattern, new))]
                if not found:
                    if self._over:
                        raise AssertionError(f"it ended and never said {until!r}:\n{self.shown}")
                    self._news.clear()
                    await self._news.wait()
                    continue
                match = min(found, key=lambda m: (m.start(), m.re.pattern != until))
                self._read += match.end()
                if match.re.pattern == until:
                    return
                await habits[match.re.pattern](self, match)


@asynccontextmanager
async def gatectl(cwd: Path, *words: str) -> AsyncIterator[tuple[Terminal, asyncio.subprocess.Process]]:
    """gatectl on a terminal of its own, as a person starts it."""
    near, far = os.openpty()
    attributes = termios.tcgetattr(far)
    attributes[3] &= ~termios.ECHO  # what is typed would look like what is said
    termios.tcsetattr(far, termios.TCSANOW, attributes)
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("gatectl"),
        *words,
        cwd=cwd,
        env={**os.environ, "XDG_STATE_HOME": str(cwd / "home")},
        stdin=far,
        stdout=far,
        stderr=far,
        start_new_session=True,
    )
    os.close(far)
    terminal = Terminal(near)
    try:
        yield terminal, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        terminal.close()
        os.close(near)
