"""Opening what byte protocols run on: a serial device, or `socket://host:port` as device servers offer it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

import serial

from gated_drivers._serial_line import close_line, os_errors

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
    with os_errors():
        line = serial.Serial(port, baudrate, timeout=0, write_timeout=0, exclusive=True)
    os.set_blocking(line.fileno(), False)
    return Line(line.fileno(), partial(close_line, line))
