"""What a keyboard-wedge scanner types: the kernel's input events in, lines of text out.

Sources: linux/input.h (struct input_event, 24 bytes where a long has 64 bits), linux/input-event-codes.h,
Documentation/input/event-codes.rst (SYN_DROPPED); JIS X 6002 for the Japanese layout.
"""

from __future__ import annotations

import struct
from typing import Literal

Layout = Literal["us", "jp"]
Ending = Literal["enter", "tab", "gap"]

EVENT = struct.Struct("@llHHi")  # seconds, microseconds, type, code, value
EV_SYN, EV_KEY = 0, 1
SYN_DROPPED = 3
PRESSED, RELEASED = 1, 0  # 2: repeated, because the key is held

KEY_TAB, KEY_ENTER, KEY_KPENTER, KEY_SPACE = 15, 28, 96, 57
CTRL = {29, 97}
SHIFT = {42, 54}
OTHERS_HELD = {56, 100, 125, 126}  # Alt and Meta: what is typed with them is no character of ours
END_KEYS: dict[str, set[int]] = {"enter": {KEY_ENTER, KEY_KPENTER}, "tab": {KEY_TAB}, "gap": set()}

Keys = dict[int, str]  # what a key gives, without and with shift; a blank where it gives nothing


def _row(first: int, plain: str, shifted: str) -> Keys:
    return {first + i: pair[0] + pair[1] for i, pair in enumerate(zip(plain, shifted, strict=True))}


_COMMON: Keys = {
    **_row(16, "qwertyuiop", "QWERTYUIOP"),
    **_row(30, "asdfghjkl", "ASDFGHJKL"),
    **_row(44, "zxcvbnm,./", "ZXCVBNM<>?"),
    **_row(71, "789-456+1230.", "789-456+1230."),  # the keypad, as with Num Lock
    55: "**",
    98: "//",
    KEY_TAB: "\t\t",
    KEY_ENTER: "\r\r",
    KEY_KPENTER: "\r\r",
}
LAYOUTS: dict[str, Keys] = {
    "us": {
        **_COMMON,
        **_row(2, "1234567890-=", "!@#$%^&*()_+"),
        **_row(26, "[]", "{}"),
        **_row(39, ";'`", ':"~'),
        43: "\\|",
    },
    "jp": {
        **_COMMON,
        **_row(2, "1234567890-^", "!\"#$%&'() =~"),
        **_row(26, "@[", "`{"),
        **_row(39, ";:", "+*"),
        43: "]}",
        89: "\\_",
        124: "\\|",
    },
}


class KeyDecoder:
    """The lines that are typed; the same for any split of the bytes.

    `garbage` counts lines thrown away: over-long, cut short, with a key that is no character, or with events
    that the kernel dropped. What is thrown away ends where the line ends, or by `quiet`.
    """

    def __init__(self, ending: Ending, layout: Layout, longest: int = 512) -> None:
        self.garbage = 0
        self._ends = END_KEYS[ending]
        self._by_gap = ending == "gap"
        self._keys = LAYOUTS[layout]
        self._longest = longest
        self._partial = b""
        self._held: set[int] = set()
        self._dropped = False  # until the kernel's next report
        self._begin()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that these events complete."""
        found: list[bytes] = []
        data = self._partial + data
        whole = len(data) - len(data) % EVENT.size
        self._partial = data[whole:]
        for _, _, kind, code, value in EVENT.iter_unpack(data[:whole]):
            if kind == EV_SYN:
                self._report(code)
            elif kind == EV_KEY and not self._dropped:
                self._key(code, value, found)
        return found

    def quiet(self) -> list[bytes]:
        """Nothing was typed for so long that the line is over: complete only where the gap ends it."""
        found: list[bytes] = []
        if self._by_gap:
            self._finish(found)
        elif self._line and not self._spoilt:
            self.garbage += 1
        if self._spoilt:
            self._held.clear()  # a release may be among what was lost
        self._begin()
        return found

    def _begin(self) -> None:
        self._line = bytearray()
        self._spoilt = False  # the line has been counted as garbage

    def _spoil(self) -> None:
        if not self._spoilt:
            self.garbage += 1
        self._spoilt = True
        self._line.clear()

    def _report(self, code: int) -> None:
        if code == SYN_DROPPED:
            self._dropped = True
            self._spoil()
            self._held.clear()
        else:
            self._dropped = False

    def _key(self, code: int, value: int, found: list[bytes]) -> None:
        if code in SHIFT | CTRL | OTHERS_HELD:
            if value == RELEASED:
                self._held.discard(code)
            else:
                self._held.add(code)
        elif value != PRESSED:
            return
        elif code in self._ends:
            self._finish(found)
        elif (byte := self._byte(code)) is None or len(self._line) >= self._longest:
            self._spoil()
        elif not self._spoilt:
            self._line.append(byte)

    def _byte(self, code: int) -> int | None:
        if code == KEY_SPACE:
            character = " "
        else:
            character = self._keys.get(code, "  ")[bool(self._held & SHIFT)]
            if character == " ":
                return None
        if self._held & OTHERS_HELD:
            return None
        if self._held & CTRL:  # how scanners type control characters: FNC1 is Ctrl and ]
            return ord(character.upper()) & 0x1F if "@" <= character.upper() <= "_" else None
        return ord(character)

    def _finish(self, found: list[bytes]) -> None:
        line, spoilt = bytes(self._line), self._spoilt
        self._begin()
        if line and not spoilt:
            found.append(line)
