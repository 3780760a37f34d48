"""A contactless card for vpcd, the virtual reader of Debian's vsmartcard-vpcd.

The card is a TCP client of the reader. A frame is a length (2 bytes, big endian) and that many bytes. One
byte is an order: 00 power off, 01 power on, 02 reset, 04 tell the ATR; anything else is an APDU. To be
connected is to lie on the reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from functools import reduce
from operator import xor

GET_UID = bytes.fromhex("ffca0000")
TELL_ATR = b"\x04"
ORDERS = {b"\x00", b"\x01", b"\x02"}
FELICA = 0x11
TYPE_A = 0x03
DONE = b"\x90\x00"


def storage_atr(standard: int, name: int) -> bytes:
    """The ATR of a storage card by PC/SC part 3, 3.1.3.2.3.2."""
    atr = bytes.fromhex("3b8f8001804f0ca000000306") + struct.pack(">BH4x", standard, name)
    return atr + bytes([reduce(xor, atr[1:])])


def atr_of(identifier: bytes) -> bytes:
    """A FeliCa card where the identifier has 8 bytes, else a MIFARE Classic."""
    return storage_atr(FELICA, 0x003B) if len(identifier) == 8 else storage_atr(TYPE_A, 0x0001)


@dataclass
class VirtualCard:
    """What the card says, and how it misbehaves."""

    identifier: bytes
    atr: bytes
    answer: bytes | None = None  # to every APDU, instead of the identifier
    delay_s: float = 0.0  # before each answer to an APDU
    leaves: bool = False  # withdrawn when the first APDU has come
    apdus: int = 0  # how many came

    async def lie(self, port: int) -> None:
        """Lie on the reader at `port` until cancelled or withdrawn; waits for the reader to be there."""
        loop = asyncio.get_running_loop()
        with socket.socket() as line:
            line.setblocking(False)
            while True:
                with contextlib.suppress(ConnectionError):
                    await loop.sock_connect(line, ("127.0.0.1", port))
                    break
                await asyncio.sleep(0.01)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(ConnectionError, EOFError):
                while not (self.leaves and self.apdus):
                    said = await self._say(await _frame(line))
                    if said is not None:
                        await loop.sock_sendall(line, struct.pack(">H", len(said)) + said)

    async def _say(self, heard: bytes) -> bytes | None:
        if heard == TELL_ATR:
            return self.atr
        if heard in ORDERS:
            return None
        self.apdus += 1
        if self.leaves:
            return None
        await asyncio.sleep(self.delay_s)
        if self.answer is not None:
            return self.answer
        return self.identifier + DONE if heard.startswith(GET_UID) else b"\x6a\x81"


async def _frame(line: socket.socket) -> bytes:
    (length,) = struct.unpack(">H", await _exactly(line, 2))
    return await _exactly(line, length)


async def _exactly(line: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = await asyncio.get_running_loop().sock_recv(line, count - len(data))
        if not part:
            raise EOFError
        data += part
        # vpcd sends a frame in two parts: a delayed acknowledgement of the first costs 40 ms each time.
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    return data
