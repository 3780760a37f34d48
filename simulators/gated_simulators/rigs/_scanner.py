"""A code scanner on its stand: it reads what is held under it, and again while it is held."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class HeldCode:
    """`read` is called with the content at once, and then every `reread_s` seconds until it is taken away."""

    def __init__(self, read: Callable[[bytes], None]) -> None:
        self.reread_s = 0.75
        self.readings = 0
        self._read = read
        self._timer: asyncio.TimerHandle | None = None

    def show(self, content: bytes | str) -> None:
        """Hold a code up, in place of any other."""
        self.clear()
        self._again(content.encode() if isinstance(content, str) else content)

    def clear(self) -> None:
        """Nothing under the scanner."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self, content: bytes) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.reread_s, self._again, content)
        self.readings += 1
        self._read(content)
