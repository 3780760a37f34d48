"""OSDP Secure Channel: the handshake that proves both keys, and commands and replies under its session keys.

Source: IEC 60839-11-5 (SIA OSDP 2.2) annex D: AES-128; session keys from the base key SCBK and the panel's
random number; cryptograms of both random numbers; a chain of MACs, of which each frame carries 4 bytes;
data encrypted in CBC mode under the inverse of the chain's last link.

What the standard leaves open is closed here: the base key is the site's own, never SCBK-D; a reply that
carries data is believed only when the data are encrypted (SCS_18); the peripheral's first link of the
chain is computed and compared, not taken over.
"""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from gated_drivers._codecs.osdp import (
    CCRYPT,
    CHLNG,
    MAC_BYTES,
    NAK,
    RMAC_I,
    SCRYPT,
    Block,
    Reply,
    framed,
    head,
)

KEY_BYTES = BLOCK_BYTES = 16
RANDOM_BYTES = 8
SCBK_D = bytes(range(0x30, 0x40))  # the default key, which everybody knows
SCS_11, SCS_12, SCS_13, SCS_14, SCS_15, SCS_16, SCS_17, SCS_18 = range(0x11, 0x19)
OWN_KEY = b"\x01"  # data of the security block: the base key is not SCBK-D
END = 0x80  # first byte of padding

WIRES = "; somebody may be on its wires: look at them and at the reader"
KEY = "; load the site's key into it, or correct the setting key"
UNFIT = "; its firmware is not fit for use here"


class Untrusted(Exception):
    """A reply that a reader with our key does not give; says what is wrong with it, and what to do."""


def why_no_key(key: bytes) -> str:
    """Why these bytes must not be a base key; empty where they may. Tells nothing of them."""
    if len(key) != KEY_BYTES:
        return f"has {len(key)} bytes, not {KEY_BYTES}"
    if key == SCBK_D:
        return "is the default key SCBK-D, which everybody knows"
    if len(set(key)) == 1:
        return "is the same byte over and over"
    return ""


def _ecb(key: bytes, data: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES128(key), modes.ECB()).encryptor()  # one block; the standard wants it
    return encryptor.update(data)


def _cbc(key: bytes, start: bytes, data: bytes) -> bytes:
    return Cipher(algorithms.AES128(key), modes.CBC(start)).encryptor().update(data)


def _inverse(data: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in data)


def _padded(data: bytes) -> bytes:
    return data + bytes((END,)) + bytes(-(len(data) + 1) % BLOCK_BYTES)


class Session:
    """The session keys and the chain of MACs. Both ends move it on with every command and reply."""

    __slots__ = ("_enc", "_last", "_mac1", "_mac2")

    def __init__(self, key: bytes, panel_random: bytes) -> None:
        self._enc, self._mac1, self._mac2 = (
            _ecb(key, bytes((0x01, which)) + panel_random[:6] + bytes(8)) for which in (0x82, 0x01, 0x02)
        )
        self._last = bytes(BLOCK_BYTES)  # C-MAC or R-MAC, whichever came last

    def __repr__(self) -> str:
        """Without the keys."""
        return "Session()"

    def cryptogram(self, first: bytes, second: bytes) -> bytes:
        """Proof of the key: over the other side's random number, then one's own."""
        return _ecb(self._enc, first + second)

    def begin(self, panel_cryptogram: bytes) -> bytes:
        """The chain's first link, R-MAC-I, which the peripheral tells as well."""
        self._last = _ecb(self._mac2, _ecb(self._mac1, panel_cryptogram))
        return self._last

    def _link(self, signed: bytes) -> bytes:
        data = signed if len(signed) % BLOCK_BYTES == 0 else _padded(signed)
        start = self._last
        if len(data) > BLOCK_BYTES:
            start = _cbc(self._mac1, start, data[:-BLOCK_BYTES])[-BLOCK_BYTES:]
        self._last = _cbc(self._mac2, start, data[-BLOCK_BYTES:])
        return self._last

    def seal(self, address: int, sequence: int, body: bytes) -> bytes:
        """A command under the session: SCS_15, or SCS_17 where it has data, which are encrypted."""
        code, data = body[:1], body[1:]
        if data:
            data = _cbc(self._enc, _inverse(self._last), _padded(data))
        block = Block(SCS_17 if data else SCS_15)
        signed = head(address, sequence, block, 1 + len(data), MAC_BYTES) + code + data
        return framed(signed + self._link(signed)[:MAC_BYTES])

    def open(self, reply: Reply) -> bytes:
        """Code and clear data of the reply to the last command. Raises Untrusted: the session is over."""
        if reply.block is None or reply.block.type not in (SCS_16, SCS_18):
            raise Untrusted(f"answers outside of its secure session{WIRES}")
        body, mac = reply.body[:-MAC_BYTES], reply.body[-MAC_BYTES:]
        start = _inverse(self._last)
        if not hmac.compare_digest(self._link(reply.signed)[:MAC_BYTES], mac):
            raise Untrusted(f"gives an answer with a wrong MAC{WIRES}")
        code, data = body[:1], body[1:]
        if reply.block.type == SCS_16:
            if data and code[0] != NAK:
                raise Untrusted(f"sends data that are not encrypted{UNFIT}")
            return body
        if not data:
            return code
        if len(data) % BLOCK_BYTES:
            raise Untrusted(f"gives an answer that cannot be decrypted{UNFIT}")
        clear = Cipher(algorithms.AES128(self._enc), modes.CBC(start)).decryptor().update(data).rstrip(b"\0")
        if not clear or clear[-1] != END:
            raise Untrusted(f"gives an answer that cannot be decrypted{UNFIT}")
        return code + clear[:-1]


class Handshake:
    """From the panel's random number (8 bytes, never used before) to a session."""

    __slots__ = ("_begun", "_random", "_session")

    def __init__(self, key: bytes, panel_random: bytes) -> None:
        self._random = panel_random
        self._session = Session(key, panel_random)
        self._begun = b""

    def __repr__(self) -> str:
        """Without the keys."""
        return "Handshake()"

    def challenge(self) -> tuple[bytes, Block]:
        """osdp_CHLNG."""
        return bytes((CHLNG,)) + self._random, Block(SCS_11, OWN_KEY)

    def proof(self, reply: Reply) -> tuple[bytes, Block]:
        """Check osdp_CCRYPT (cUID, random number, cryptogram); then osdp_SCRYPT. Raises Untrusted."""
        data = _expected(reply, CCRYPT, SCS_12, 2 * RANDOM_BYTES + BLOCK_BYTES)
        random, cryptogram = data[8:16], data[16:]
        if not hmac.compare_digest(self._session.cryptogram(self._random, random), cryptogram):
            raise Untrusted(f"does not have our key{KEY}")
        answer = self._session.cryptogram(random, self._random)
        self._begun = self._session.begin(answer)
        return bytes((SCRYPT,)) + answer, Block(SCS_13, OWN_KEY)

    def session(self, reply: Reply) -> Session:
        """Check osdp_RMAC_I; the session that begins with it. Raises Untrusted."""
        data = _expected(reply, RMAC_I, SCS_14, BLOCK_BYTES)
        if not hmac.compare_digest(self._begun, data):
            raise Untrusted(f"begins its session with a wrong MAC{WIRES}")
        return self._session


def _expected(reply: Reply, code: int, block_type: int, size: int) -> bytes:
    """The data of this reply of the handshake. Raises Untrusted where it is another."""
    if reply.body[0] == NAK and reply.block is None:
        number = reply.body[1] if len(reply.body) > 1 else 0
        raise Untrusted(
            f"refuses the secure session (NAK {number}); switch Secure Channel on in the reader{KEY}"
        )
    if reply.body[0] != code or reply.block is None or reply.block.type != block_type:
        raise Untrusted(
            "answers in plain text when asked for a secure session; switch Secure Channel on in the reader"
        )
    if reply.block.data == b"\0" and block_type == SCS_12:
        raise Untrusted(f"asks for the default key SCBK-D, which is never used{KEY}")
    if reply.block.data != OWN_KEY:
        raise Untrusted(f"does not accept our key{KEY}")
    if len(reply.body) != 1 + size:
        raise Untrusted(f"gives an answer of the wrong size in the handshake{UNFIT}")
    return reply.body[1:]
