"""What the drivers of code scanners share: types of settings, held codes, and reading what is sent."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Annotated, Protocol

from pydantic import Field

from gated.ports import DriverFault, Presentation, Technology
from gated_drivers._codecs.qr_content import Contents

AT_ONCE = 1536  # bytes read in one callback, so that a flood starves nobody; 64 input events
WAITING = 64  # presentations kept for a consumer that is late; the oldest goes first
REMEMBERED = 256  # different codes that may be held up at once

Mark = Annotated[str, Field(max_length=32, pattern=r"^[\u0000-\u00ff]*$")]
GapS = Annotated[
    float,
    Field(
        ge=0.01,
        le=10,
        description="silence after which a code is over: whole where a gap ends it, else cut short; seconds",
    ),
]
AbsentS = Annotated[
    float,
    Field(
        ge=0,
        le=60,
        description="a code not sent for this long counts again, seconds; longer than the scanner's own "
        "pause between two readings of one code",
    ),
]
Prefix = Annotated[
    list[Mark],
    Field(
        description="one of these stands before each code, as ]Q1 does where AIM identifiers are sent; "
        "what has none is ignored"
    ),
]
Suffix = Annotated[Mark, Field(description="stands behind each code; what has none is ignored")]
NoRead = Annotated[list[Mark], Field(description="what the scanner sends when it could not read; ignored")]
NO_READ = ("%%NoRead", "NR")


class Decoder(Protocol):
    """From bytes to what was sent in one piece."""

    garbage: int

    def feed(self, data: bytes, /) -> list[bytes]:
        """The pieces that these bytes complete."""
        ...

    def quiet(self) -> list[bytes]:
        """The same, when nothing came for the gap."""
        ...


class SeenCodes:
    """When a code that is sent again is a new presentation: after it was not sent for `absent_s` seconds."""

    def __init__(self, absent_s: float) -> None:
        self._absent_s = absent_s
        self._seen: dict[bytes, float] = {}  # when last, oldest first

    def new(self, code: bytes, at: float) -> bool:
        """Whether this code, sent at `at` seconds (never before the last), is presented by it."""
        while self._seen and at - self._seen[first := next(iter(self._seen))] >= self._absent_s:
            del self._seen[first]
        held = self._seen.pop(code, None) is not None
        self._seen[code] = at
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return not held


class Scanner:
    """A Reader on an open descriptor that does not block.

    `garbage` counts damaged pieces, `ignored` those that are no code of this kind, `repeated` codes that were
    held on, `missed` presentations that nobody fetched.
    """

    def __init__(
        self, fd: int, decoder: Decoder, contents: Contents, *, gap_s: float, absent_s: float, lost: str
    ) -> None:
        self.repeated = 0
        self.missed = 0
        self._fd = fd
        self._decoder = decoder
        self._contents = contents
        self._seen = SeenCodes(absent_s)
        self._gap_s = gap_s
        self._lost = lost
        self._fault: DriverFault | None = None
        self._waiting: deque[Presentation] = deque()
        self._changed = asyncio.Event()
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(fd, self._readable)

    @property
    def garbage(self) -> int:
        """Pieces that were damaged."""
        return self._decoder.garbage

    @property
    def ignored(self) -> int:
        """Pieces without the marks of a code, and messages of the scanner."""
        return self._contents.ignored

    async def presentations(self) -> AsyncIterator[Presentation]:
        """Yield each presented code once; raises DriverFault when the scanner is lost."""
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self._fault is not None:
                raise self._fault
            self._changed.clear()
            await self._changed.wait()

    def release(self) -> None:
        """Stop listening; safe to repeat."""
        self._loop.remove_reader(self._fd)
        if self._timer is not None:
            self._timer.cancel()

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.release()
            self._fault = DriverFault(self._lost)
            self._changed.set()
            return
        self._heard = time.monotonic()
        self._take(self._decoder.feed(data))
        if self._timer is None:
            self._timer = self._loop.call_later(self._gap_s, self._silence)

    def _silence(self) -> None:
        left = self._heard + self._gap_s - time.monotonic()
        if left > 0:
            self._timer = self._loop.call_later(left, self._silence)
            return
        self._timer = None
        self._take(self._decoder.quiet())

    def _take(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            code = self._contents.of(piece)
            if code is None:
                continue
            if not self._seen.new(code, self._heard):
                self.repeated += 1
                continue
            if len(self._waiting) == WAITING:
                self._waiting.popleft()
                self.missed += 1
            self._waiting.append(Presentation(Technology.QR, code, self._heard))
            self._changed.set()
