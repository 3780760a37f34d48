"""The wire below a Modbus RTU line: a serial device, or `socket://host:port` as device servers offer it."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

import serial

CONNECT_S = 2.5


class Line(NamedTuple):
    """An open line: its descriptor, which never blocks, and how it is closed, which may."""

    fd: int
    close: Callable[[], None]


def open_line(port: str, baudrate: int) -> Line:
    """Open the line for this process alone, 8N1. Blocks; raises OSError or ValueError."""
    if port.startswith("socket://"):
        address = urlsplit(port)
        connection = socket.create_connection((address.hostname, address.port or 0), timeout=CONNECT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        return Line(connection.fileno(), connection.close)
    line = serial.Serial(port, baudrate, timeout=0, write_timeout=0, exclusive=True)

    def close() -> None:
        # The lock would stay with whoever inherited the descriptor, and nobody could open the port again.
        with suppress(OSError):
            fcntl.flock(line.fileno(), fcntl.LOCK_UN)
        line.close()

    os.set_blocking(line.fileno(), False)
    return Line(line.fileno(), close)
