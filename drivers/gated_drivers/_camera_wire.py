"""What the camera process tells the daemon, sans-IO: framed messages over a stream socket.

A message is kind (1 byte), CLOCK_MONOTONIC in seconds (IEEE double, big endian), length (2 bytes, big
endian) and that many bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

_HEAD = struct.Struct("!cdH")
MAX_BODY = 2048  # bytes; more is not ours


class Kind(Enum):
    """What a message says."""

    FRAME = b"F"  # a frame was decoded; no body
    CODE = b"C"  # a code was presented; the body is its payload
    IGNORED = b"I"  # a code was presented whose content no credential can have; no body
    FAULT = b"X"  # the source is lost; the body is the sentence, UTF-8. The process ends.


class Message(NamedTuple):
    """One message; never print the body of a CODE."""

    kind: Kind
    at: float
    body: bytes = b""


class WireError(ValueError):
    """The bytes are not of this protocol."""


def encode(message: Message) -> bytes:
    """The bytes of one message."""
    return _HEAD.pack(message.kind.value, message.at, len(message.body)) + message.body


class Receiver:
    """Bytes in, in any split; messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield each message that is complete now. Raises WireError on anything else's bytes."""
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            kind, at, length = _HEAD.unpack_from(self._buffer)
            if length > MAX_BODY or kind not in {k.value for k in Kind}:
                raise WireError("not a message of the camera process")
            if len(self._buffer) < _HEAD.size + length:
                return
            body = bytes(self._buffer[_HEAD.size : _HEAD.size + length])
            del self._buffer[: _HEAD.size + length]
            yield Message(Kind(kind), at, body)
