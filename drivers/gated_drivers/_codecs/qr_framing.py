"""How code scanners on serial lines mark where a code begins and ends: bytes in, contents out.

Sources: the scanners' manuals. DENSO QK20 and GT10Q (9, "Communication format"): header none or STX,
terminator CR, LF, CR LF, ETX or none; the BCC is sent after the terminator and is the exclusive-or of what
stands between header and terminator. ISO 1745 and others take the terminator in. Vector: STX "123" ETX has
the BCC 30, with ETX 33 (hex).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal

Framing = Literal["cr", "lf", "crlf", "etx", "stx_cr", "stx_lf", "stx_crlf", "stx_etx", "gap"]
Bcc = Literal["none", "content", "content_and_end"]

STX = 0x02
CR, LF = 0x0D, 0x0A
ENDS: dict[str, bytes] = {"cr": b"\r", "lf": b"\n", "crlf": b"\r\n", "etx": b"\x03", "gap": b""}


class _At(Enum):
    OUTSIDE = auto()  # before STX
    INSIDE = auto()
    CHECK = auto()  # the next byte is the BCC


class FrameDecoder:
    """The contents of one line, whole and as sent; the same for any split of the bytes.

    `garbage` counts what was thrown away: pieces that are over-long, cut short, outside of STX and the end,
    or with a wrong BCC. After each of them the next code is read as ever. Pieces without content count as
    nothing.
    """

    def __init__(self, framing: Framing, bcc: Bcc = "none", longest: int = 512) -> None:
        self.garbage = 0
        start, _, end = framing.rpartition("_")
        self._starts = bool(start)
        self._end = ENDS[end]
        self._bcc = bcc
        self._longest = longest + len(self._end) + (framing == "gap" and bcc != "none")
        self._lenient = not self._starts and bcc == "none"  # one of CR and LF awaited, both sent
        self._piece = bytearray()
        self._at = _At.INSIDE
        self._spoilt = False  # what is heard now has been counted as garbage
        self._begin()

    def feed(self, data: bytes) -> list[bytes]:
        """The contents that these bytes complete."""
        found: list[bytes] = []
        for byte in data:
            if self._at is _At.INSIDE:
                self._inside(byte, found)
            elif self._at is _At.CHECK:
                self._finish(byte, found)
            elif byte == STX:
                self._begin()
                self._at = _At.INSIDE
            elif not self._spoilt and byte not in (CR, LF):  # some send a line's end between their frames
                self._spoil()
        return found

    def quiet(self) -> list[bytes]:
        """Nothing came for so long that what is not complete never will be; "gap" completes it."""
        found: list[bytes] = []
        if not self._end and self._piece and not self._spoilt:
            self._finish(0 if self._bcc == "none" else self._piece.pop(), found)
        elif self._at is not _At.OUTSIDE and not self._spoilt and not self._rests():
            self.garbage += 1
        self._begin()
        return found

    def _rests(self) -> bool:
        """Whether nothing of a code has been heard."""
        if self._at is _At.CHECK or self._starts:
            return False
        return not self._piece or (self._lenient and self._end == b"\r" and self._piece == b"\n")

    def _begin(self) -> None:
        self._piece.clear()
        self._at = _At.OUTSIDE if self._starts else _At.INSIDE
        self._spoilt = False

    def _spoil(self) -> None:
        self.garbage += 1
        self._spoilt = True

    def _inside(self, byte: int, found: list[bytes]) -> None:
        piece = self._piece
        if self._starts and byte == STX:  # the frame before lost its end
            if not self._spoilt:
                self.garbage += 1
            self._begin()
            self._at = _At.INSIDE
            return
        piece.append(byte)
        if self._end and piece.endswith(self._end):
            if self._bcc == "none":
                self._finish(0, found)
            else:
                self._at = _At.CHECK
        elif len(piece) > self._longest:
            if not self._spoilt:
                self._spoil()
            del piece[:-1]  # what may be half of an end

    def _finish(self, check: int, found: list[bytes]) -> None:
        piece, spoilt = bytes(self._piece), self._spoilt
        self._begin()
        if spoilt:
            return
        content = piece.removesuffix(self._end)
        if self._bcc != "none":
            for byte in content if self._bcc == "content" else piece:
                check ^= byte
            if check:
                self.garbage += 1
                return
        elif self._lenient and self._end == b"\r":
            content = content.removeprefix(b"\n")
        elif self._lenient and self._end == b"\n":
            content = content.removesuffix(b"\r")
        if content:
            found.append(content)
