"""The peer of reader_nfcpy: a field with one card in it, on the UDP transport of nfcpy.

A datagram is a bit rate and technology and, in hex, what went over the air ("212F 0600FFFF0100"), or
"RFOFF". FeliCa cards answer polling (JIS X 6319-4) as a Lite-S does; Type A cards answer as far as
their UID (ISO 14443-3 anticollision).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import reduce
from operator import xor
from typing import Protocol

POLL_FELICA, POLL_A, POLL_B = "212F", "106A", "106B"
SYSTEM_CODE = b"\x88\xb4"  # FeliCa Lite-S
PMM = bytes.fromhex("00f1ffffffffffff")  # its second byte names the chip: Lite-S
Address = tuple[str, int]


class WireSettings(Protocol):
    """What the rig needs of its driver's settings."""

    @property
    def path(self) -> str:
        """udp:host:port."""
        ...


class CardFieldRig:
    """The field of a reader, and the card that is or is not in it."""

    def __init__(self, settings: WireSettings) -> None:
        _, host, port = settings.path.split(":")
        self.polls = 0  # times a reader looked for a card
        self._address = (host, int(port))
        self._card: bytes | None = None
        self._waiting: dict[Address, str] = {}  # readers that look for a card, and for what family
        self._left = False  # the card left and no reader has noticed yet
        self._socket: socket.socket | None = None
        self.mend()

    def present(self, card: bytes) -> None:
        """Hold up a card: an IDm of 8 bytes (FeliCa) or a UID of 4, 7 or 10 bytes (Type A)."""
        if len(card) not in (4, 7, 8, 10):
            raise ValueError(f"{len(card)} bytes are neither an IDm nor a UID")
        self._card = card
        for reader, family in list(self._waiting.items()):
            self._poll(reader, family, self._first_request(family))

    def remove(self) -> None:
        """Take the card away; the next poll ends at once, so that the reader need not wait to notice."""
        self._left = self._card is not None
        self._card = None

    def cut(self) -> None:
        """Pull the reader's cable."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
            self._waiting.clear()

    def mend(self) -> None:
        """Put it back."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            self._socket.bind(self._address)
            asyncio.get_running_loop().add_reader(self._socket, self._readable, self._socket)

    def send_garbage(self, data: bytes) -> None:
        """Answer whoever looks for a card now with these bytes, as a disturbed field does."""
        for reader in list(self._waiting):
            self._send(reader, data)

    def _readable(self, ours: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            data, reader = ours.recvfrom(1024)
            family, _, request = data.decode("ascii", "replace").partition(" ")
            if family == "RFOFF":
                self._end_searches()
            else:
                with contextlib.suppress(ValueError):
                    self._poll(reader, family, bytes.fromhex(request))

    def _poll(self, reader: Address, family: str, request: bytes) -> None:
        first = request == self._first_request(family)
        self.polls += first
        answer = self._answer(family, request)
        self._waiting.pop(reader, None)
        if answer is not None:
            self._send(reader, f"{family} {answer.hex()}".encode())
        elif self._left or self._card is not None:  # not for this card: let the reader look for others
            self._left = False
            self._send(reader, b"RFOFF")
        else:
            self._waiting[reader] = family

    def _end_searches(self) -> None:
        for reader in list(self._waiting):
            self._send(reader, b"RFOFF")
        self._waiting.clear()

    def _send(self, reader: Address, data: bytes) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(data, reader)

    @staticmethod
    def _first_request(family: str) -> bytes:
        requests = {POLL_FELICA: "0600ffff0100", POLL_A: "26", POLL_B: "050010"}
        return bytes.fromhex(requests.get(family, ""))

    def _answer(self, family: str, request: bytes) -> bytes | None:
        if self._card is None:
            return None
        if family == POLL_FELICA and len(self._card) == 8:
            return _felica(self._card, request)
        if family == POLL_A and len(self._card) != 8:
            return _type_a(self._card, request)
        return None


def _felica(idm: bytes, request: bytes) -> bytes | None:
    """Answer Polling: length, 00, system code with FF as wildcard, request code, time slots."""
    if len(request) != 6 or request[:2] != b"\x06\x00":
        return None
    if any(wanted not in (0xFF, ours) for wanted, ours in zip(request[2:4], SYSTEM_CODE, strict=True)):
        return None
    body = b"\x01" + idm + PMM + (SYSTEM_CODE if request[4] == 1 else b"")
    return bytes([len(body) + 1]) + body


def _type_a(uid: bytes, request: bytes) -> bytes | None:
    """Answer REQA, anticollision and select; a long UID goes in parts that begin with 88."""
    parts = [uid[-4:]]
    for end in range(len(uid) - 4, 0, -3):
        parts.insert(0, b"\x88" + uid[end - 3 : end])
    if request == b"\x26":
        return b"\x44\x00"
    level = {0x93: 0, 0x95: 1, 0x97: 2}.get(request[0], 9)
    if level >= len(parts):
        return None
    part = parts[level] + bytes([reduce(xor, parts[level])])
    if request[1:] == b"\x20":
        return part
    if request[1:] == b"\x70" + part:
        return b"\x04" if level + 1 < len(parts) else b"\x00"
    return None


@asynccontextmanager
async def open_rig(settings: WireSettings) -> AsyncIterator[CardFieldRig]:
    """Serve the field at `settings.path` while the context is open."""
    rig = CardFieldRig(settings)
    try:
        yield rig
    finally:
        rig.cut()
