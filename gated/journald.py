"""journald's native datagram protocol: structured fields without a library.

The format: systemd.io/JOURNAL_NATIVE_PROTOCOL.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping

SOCKET = "/run/systemd/journal/socket"


def is_journal(fd: int = 2) -> bool:
    """True when `fd` is connected to journald, by JOURNAL_STREAM (systemd.exec(5))."""
    try:
        device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
        stat = os.fstat(fd)
        return (int(device), int(inode)) == (stat.st_dev, stat.st_ino)
    except (ValueError, OSError):
        return False


def encode(fields: Mapping[str, str]) -> bytes:
    """One entry: NAME=value lines, or the length-prefixed form where a value has a newline."""
    out = bytearray()
    for name, value in fields.items():
        data = value.encode("utf-8", "replace")
        if b"\n" in data:
            out += name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
        else:
            out += name.encode() + b"=" + data + b"\n"
    return bytes(out)


class Log:
    """Writes entries to journald, or plain lines to standard error where there is none."""

    def __init__(self, identifier: str) -> None:
        self._identifier = identifier
        self._socket: socket.socket | None = None
        if is_journal():
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)  # a log that blocks would be worse than a log that misses a line

    def write(self, message: str, priority: int = 6, **fields: str) -> None:
        """Write one entry; `priority` as in syslog(3): 1 alert, 3 error, 4 warning, 6 information."""
        if self._socket is None:
            tail = "".join(f" {k.lower()}={v}" for k, v in fields.items() if k != "MESSAGE_ID")
            print(f"{self._identifier}: {message}{tail}", file=sys.stderr, flush=True)
            return
        entry = {
            "MESSAGE": message,
            "PRIORITY": str(priority),
            "SYSLOG_IDENTIFIER": self._identifier,
            **fields,
        }
        try:
            self._socket.sendto(encode(entry), SOCKET)
        except OSError:
            print(f"{self._identifier}: {message}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Give the socket back; a later entry goes to standard error."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
