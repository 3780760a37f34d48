"""OSDP frames: commands as bytes, and the one reply each of them may get.

Source: IEC 60839-11-5 (SIA OSDP 2.2), 5.7 (frame), 5.9 (sequence), 6 (commands), 7 (replies), annex C (CRC).
A frame: 53, address (replies: bit 7 set), length over all of it (two bytes, low first), control (bits 0-1
sequence, bit 2 CRC, bit 3 security block), the security block (its length, type, data), code, data, MAC of
4 bytes where the session is secure, CRC low byte first. Vector: osdp_POLL to address 0 with sequence 0 is
`53 00 08 00 04 60 EB AA`.
"""

from __future__ import annotations

from binascii import crc_hqx
from typing import NamedTuple

SOM = 0x53
MARK = b"\xff"  # may go before a frame: it lets the line settle
REPLY = 0x80  # set in the address of every reply
WITH_CRC, WITH_BLOCK = 0x04, 0x08
HEADER, CRC_BYTES, MAC_BYTES = 5, 2, 4
SHORTEST, LONGEST = HEADER + 1 + CRC_BYTES, 256  # of a reply; what is asked here never has a longer one
MOST_TRIED = 4  # look-alikes of a reply whose CRC is computed for one piece of bytes

POLL, ID, LSTAT, RSTAT, CHLNG, SCRYPT = 0x60, 0x61, 0x64, 0x67, 0x76, 0x77
ACK, NAK, LSTATR, RSTATR, RAW, CCRYPT, RMAC_I, BUSY = 0x40, 0x41, 0x48, 0x4B, 0x50, 0x76, 0x78, 0x79


class Block(NamedTuple):
    """The security block: SCS_11 to SCS_18, and its data."""

    type: int
    data: bytes = b""


class Reply(NamedTuple):
    """A reply whose CRC is right; nothing else of it is checked. `signed` is what a MAC is made over."""

    sequence: int
    block: Block | None
    body: bytes
    """Code and data; for SCS_15 to SCS_18 the data may be encrypted, and the MAC is the last 4 bytes."""
    signed: bytes
    """The frame without MAC and CRC."""


class CardRead(NamedTuple):
    """osdp_RAW: `bits` significant bits from the first byte's highest one on."""

    reader: int
    bits: int
    data: bytes

    def __repr__(self) -> str:
        """Without the number: a credential stands in no log."""
        return f"CardRead(reader={self.reader}, bits={self.bits})"


def crc16(data: bytes) -> int:
    """The CRC of a frame: polynomial 1021, start 1D0F."""
    return crc_hqx(data, 0x1D0F)


def head(address: int, sequence: int, block: Block | None, body_size: int, extra: int = 0) -> bytes:
    """A command's frame up to its code; `extra` bytes (the MAC) follow the body. Raises ValueError."""
    if not 0 <= address <= 0x7E:
        raise ValueError(f"address {address} is not between 0 and 126")
    control = sequence | WITH_CRC | (0 if block is None else WITH_BLOCK)
    security = b"" if block is None else bytes((2 + len(block.data), block.type)) + block.data
    size = HEADER + len(security) + body_size + extra + CRC_BYTES
    return bytes((SOM, address, size & 0xFF, size >> 8, control)) + security


def framed(unfinished: bytes) -> bytes:
    """With its CRC, ready for the line."""
    return unfinished + crc16(unfinished).to_bytes(2, "little")


def command(address: int, sequence: int, body: bytes, block: Block | None = None) -> bytes:
    """A command that no session protects. Raises ValueError where the address is out of range."""
    return framed(head(address, sequence, block, len(body)) + body)


def card_read(data: bytes) -> CardRead | None:
    """The data of osdp_RAW (7.10): reader, format, number of bits, bits. None where it is none."""
    if len(data) < 4:
        return None
    bits = data[2] | data[3] << 8
    number = data[4:]
    return CardRead(data[0], bits, number) if bits and len(number) == (bits + 7) // 8 else None


def _parse(frame: bytes) -> Reply | None:
    """A frame whose CRC is right, taken apart; None where its inside does not fit."""
    end, block, at = len(frame) - CRC_BYTES, None, HEADER
    if frame[4] & WITH_BLOCK:
        size = frame[HEADER]
        if size < 2 or HEADER + size >= end:
            return None
        at += size
        block = Block(frame[HEADER + 1], frame[HEADER + 2 : at])
    mac = MAC_BYTES if block is not None and block.type >= 0x15 else 0
    if end - at < 1 + mac:
        return None
    return Reply(frame[4] & 0x03, block, frame[at:end], frame[: end - mac])


class Replies:
    """Finds replies of one peripheral in what comes over the line, in pieces of any size.

    Whatever else comes is dropped and counted in `damaged`, once for each stretch of it: noise, a frame
    with a wrong CRC or with a checksum instead, frames of other peripherals, the echo of a command. The work
    for one piece is bounded, whatever is in it, and so is what is kept of it.
    """

    __slots__ = ("_address", "_buffer", "damaged")

    def __init__(self) -> None:
        self.damaged = 0
        self._buffer = b""
        self._address = -1

    def expect(self, address: int) -> None:
        """From now on, look for replies of this peripheral."""
        self.drop()
        self._address = address | REPLY

    def drop(self) -> None:
        """Look for nothing any more; the beginning of a reply that never ended is counted."""
        if self._buffer:
            self.damaged += 1
            self._buffer = b""
        self._address = -1

    def feed(self, data: bytes) -> list[Reply]:
        """Take the next bytes. The whole replies in them, at most MOST_TRIED."""
        found: list[Reply] = []
        if self._address < 0:
            self.damaged += 1
            return found
        buffer = self._buffer + data
        start = bytes((SOM, self._address))
        done = tried = 0  # bytes that were taken, CRCs that were computed
        keep, at = len(buffer), buffer.find(start)
        while at >= 0 and tried < MOST_TRIED:
            if len(buffer) - at < HEADER:
                keep = min(keep, at)
                break
            size = buffer[at + 2] | buffer[at + 3] << 8
            if SHORTEST <= size <= LONGEST and buffer[at + 4] & WITH_CRC:
                frame = buffer[at : at + size]
                if len(frame) < size:
                    keep = min(keep, at)  # and what follows may be whole all the same
                else:
                    tried += 1
                    if crc16(frame[:-CRC_BYTES]) == int.from_bytes(frame[-CRC_BYTES:], "little"):
                        reply = _parse(frame)
                        if buffer[done:at].strip(MARK) or reply is None:
                            self.damaged += 1
                        if reply is not None:
                            found.append(reply)
                        done, keep = at + size, len(buffer)
                        at = buffer.find(start, done)
                        continue
            at = buffer.find(start, at + 1)
        if keep == len(buffer) and keep > done and buffer[-1] == SOM:
            keep -= 1
        if keep > done:
            self.damaged += 1
        self._buffer = buffer[keep:]  # shorter than LONGEST: else it would be whole
        return found
