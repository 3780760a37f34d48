"""The floor of the language: a blocking loop with hand-made frames on a line of its own.

It polls, opens when the alarm bit is set and shuts again when it is clear: no latch, no records, no
supervision. Whatever this takes, nobody who writes Python gets under.

    python -m gated_simulators.bench.rival PORT POLL_S PRIORITY
"""

from __future__ import annotations

import os
import select
import socket
import sys
import tty

from gated_simulators.bench.board import LANES, first_in_line
from gated_simulators.rigs._modbus_board import READ_INPUTS, WRITE_COILS, crc16

NAME = "blocking loop, hand-made frames: the language's floor"


def main(port: str, poll_s: float, priority: int) -> None:
    """Never returns while the board is there."""
    if port.startswith("socket://"):
        connection = socket.create_connection(("127.0.0.1", int(port.rpartition(":")[2])))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fd = connection.fileno()
    else:
        fd = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(fd)
    if priority:
        first_in_line(priority)
    poll = _framed(bytes([1, READ_INPUTS, 0, 0, 0, 1]))
    write = {on: _framed(bytes([1, WRITE_COILS, 0, 0, 0, LANES, 1, on * 3])) for on in (False, True)}
    holding = None
    while True:
        os.write(fd, poll)
        clear = not _answer(fd, 6)[3]
        if clear is not holding:
            holding = clear
            os.write(fd, write[clear])
            _answer(fd, 8)
        select.select([], [], [], poll_s)


def _framed(body: bytes) -> bytes:
    return body + crc16(body)


def _answer(fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = os.read(fd, size - len(data))
        if not more:
            sys.exit(0)
        data += more
    return data


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
