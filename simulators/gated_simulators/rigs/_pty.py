"""A serial cable without hardware: a pseudo-terminal under a name that stays, as udev's names do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from collections.abc import Callable
from pathlib import Path


class PtyCable:
    """The board's end of a cable; the other end is linked at `port`, where a driver opens it.

    `received` is called with each piece of bytes as it arrives. Must be made in a running loop.
    """

    def __init__(self, port: str | Path, received: Callable[[bytes], None]) -> None:
        self.port = Path(port)
        self._received = received
        self._loop = asyncio.get_running_loop()
        self._ends: tuple[int, int] | None = None
        self.mend()

    def mend(self) -> None:
        """Plug the cable in: a new device under the old name."""
        if self._ends is not None:
            return
        board, computer = os.openpty()  # the rig keeps both: a driver that closes its end is no hang-up
        tty.setraw(computer)
        os.set_blocking(board, False)
        self._ends = board, computer
        self.port.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.port.with_name(f".{self.port.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(computer))
        fresh.replace(self.port)
        self._loop.add_reader(board, self._readable, board)

    def cut(self) -> None:
        """Pull the cable out: whoever has the other end open is hung up on, and the name is gone."""
        if self._ends is None:
            return
        board, computer = self._ends
        self._ends = None
        self._loop.remove_reader(board)
        self.port.unlink(missing_ok=True)
        os.close(computer)
        os.close(board)

    def send(self, data: bytes) -> None:
        """Bytes from the board to the computer; lost where the cable is out or nobody reads."""
        if self._ends is not None:
            with contextlib.suppress(BlockingIOError):
                os.write(self._ends[0], data)

    def take(self) -> None:
        """Take what the computer has written by now, without a turn of the loop."""
        if self._ends is not None:
            self._readable(self._ends[0])

    def _readable(self, board: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._received(os.read(board, 4096))
