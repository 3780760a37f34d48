"""The release's side of its survivor (gated.release.survivor): starts it, tells it each wire, shows it life.

A survivor that dies, or no longer answers, is a fault that is shown, and another one is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

from gated.ports import LastWill
from gated.release import survivor

BEAT_S = 0.25
UNANSWERED = 12  # beats without an answer: it hangs
READY_S = 10.0  # the longest that a new one may take, on a machine that has much else to do
FIRST_BACKOFF_S, MAX_BACKOFF_S = 0.2, 5.0
ROOT = str(Path(__file__).parents[2])
CODE = (
    "import sys; sys.path.append(sys.argv[3]); from gated.release import survivor; "
    "survivor.main(int(sys.argv[1]), int(sys.argv[2]))"
)
# A fault of its own must still end it; all else that a manager sends to every process of a service must not.
LETHAL = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGKILL, signal.SIGSTOP}

Show = Callable[[str | None], None]
"""Called with a fault, one sentence, or None when there is a survivor."""


class Bequest:
    """What is left to a survivor, and the survivor. Construct it in the running loop."""

    def __init__(self, show: Show) -> None:
        self.pid = 0  # of a survivor that is ready; 0: there is none
        self._show = show
        self._loop = asyncio.get_running_loop()
        self._wills: dict[str, LastWill] = {}
        self._numbers: dict[str, int] = {}
        self._end: socket.socket | None = None
        self._child = 0
        self._since = 0.0
        self._unanswered = 0
        self._backoff = FIRST_BACKOFF_S
        self._again: asyncio.TimerHandle | None = None

    @property
    def boards(self) -> Collection[str]:
        """The boards that are left to the survivor."""
        return self._wills.keys()

    def start(self) -> None:
        """Start a survivor and tell it all wills. It reads them once it runs; nobody waits for that."""
        self._again = None
        self._reap()
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            mine.setblocking(False)
            os.set_inheritable(its.fileno(), True)
            command = [sys.executable, "-I", "-S", "-c", CODE, str(its.fileno()), str(os.getpid()), ROOT]
            blocked = signal.valid_signals() - LETHAL
            self._child = os.posix_spawn(sys.executable, command, os.environ, setsigmask=blocked)
        except OSError as error:
            mine.close()
            self._broken(f"cannot be started: {error.strerror}")
            return
        finally:
            its.close()
        self._end, self._since, self._unanswered = mine, time.monotonic(), 0
        self._loop.add_reader(mine, self._heard)
        for board, will in list(self._wills.items()):
            self._tell_will(board, will)

    def leave(self, board: str, will: LastWill) -> None:
        """Have the board opened by the survivor; replaces what was left for it before."""
        self._wills[board] = will
        self._numbers.setdefault(board, len(self._numbers))
        self._tell_will(board, will)

    def withdraw(self, board: str) -> None:
        """The board was closed: its wire is no longer ours to leave."""
        if self._wills.pop(board, None) is not None:
            self._tell(f"D {self._numbers[board]:x}".encode())

    def beat(self) -> None:
        """Say that everything goes on; every BEAT_S."""
        if self._end is None:
            return
        if self.pid:
            self._unanswered += 1
        if self._unanswered > UNANSWERED or (not self.pid and time.monotonic() > self._since + READY_S):
            self._broken("hangs")
        else:
            self._tell(b"B")

    def close(self) -> None:
        """The end: goodbye, but where a will is left no word of it, so that it is carried out."""
        if self._again is not None:
            self._again.cancel()
        if not self._wills:
            self._tell(b"Q")
        if self._end is not None:
            self._loop.remove_reader(self._end)
            self._end.close()
            self._end = None

    def _tell_will(self, board: str, will: LastWill) -> None:
        try:
            os.fstat(will.fd)
        except OSError:  # closed behind our back: it would break every later survivor too
            del self._wills[board]
            return
        self._tell(survivor.encode(self._numbers[board], will.frames, will.ioctls), will.fd)

    def _tell(self, data: bytes, *wire: int) -> None:
        if self._end is None:
            return
        try:
            if wire:
                socket.send_fds(self._end, [data], wire)
            else:
                self._end.send(data)
        except BlockingIOError:
            if data != b"B":
                self._broken("takes no more messages")
        except OSError as error:
            self._broken(f"cannot be told: {error.strerror}")

    def _heard(self) -> None:
        assert self._end is not None
        try:
            word = self._end.recv(16)
        except BlockingIOError:
            return
        except OSError:
            word = b""
        if word == b"R":
            self.pid, self._backoff = self._child, FIRST_BACKOFF_S
            self._show(None)
        elif word:
            self._unanswered = 0
        else:
            self._broken("ended")

    def _broken(self, how: str) -> None:
        """Without this survivor from now on; another is started after a while."""
        if self._child:  # before its socket closes: it would take us for dead
            with contextlib.suppress(OSError):
                os.kill(self._child, signal.SIGKILL)
        if self._end is not None:
            self._loop.remove_reader(self._end)
            self._end.close()
            self._end = None
        self.pid = 0
        if self._again is None:
            self._again = self._loop.call_later(self._backoff, self.start)
            self._backoff = min(self._backoff * 2, MAX_BACKOFF_S)
        self._show(f"the survivor {how}: nothing opens the gates if this process dies now; starting another")

    def _reap(self) -> None:
        """Take note of the end of the last one, so that no dead process is left standing."""
        if self._child:
            with contextlib.suppress(OSError):
                os.waitpid(self._child, os.WNOHANG)
            self._child = 0
