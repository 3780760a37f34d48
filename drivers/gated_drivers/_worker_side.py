"""What a process of _worker does first: hear its order, and make sure that it ends with gated.

Standard input is a socket to the daemon: it brings one line of JSON and takes back the messages of
_camera_wire. The process ends when that socket does, or with its parent; it never writes to a disk.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from gated_drivers._camera_wire import Kind, Message, encode

PR_SET_PDEATHSIG = 1  # prctl(2)

Order = dict[str, Any]


def serve(work: Callable[[Order, socket.socket], str], what: str) -> NoReturn:
    """Serve the daemon at the other end of standard input until `work` returns why it ended.

    `work` gets the order and the socket; an OSError of it means that the daemon is gone.
    """
    link = socket.socket(fileno=0)
    order = _order(link)
    _end_with(order["parent"], link)
    try:
        ending = work(order, link)
    except OSError:  # the daemon is gone
        os._exit(0)
    except Exception as error:
        ending = f"{what} failed: {type(error).__name__}: {error}"
    try:
        link.sendall(encode(Message(Kind.FAULT, time.monotonic(), ending.encode()[:1024])))
    finally:
        # Not sys.exit: a thread may hang in a library, and a library's destructors may wait for it.
        sys.stderr.flush()
        os._exit(1)


def _end_with(parent: int, link: socket.socket) -> None:
    """Make sure that nothing outlives the daemon, not even a process that hangs in a library."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)

    def watch() -> None:
        try:
            while link.recv(64):
                pass
        except OSError:
            pass
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def _order(link: socket.socket) -> Order:
    """The one line of JSON that says what to do."""
    line = b""
    while not line.endswith(b"\n"):
        part = link.recv(65536)
        if not part:
            os._exit(0)
        line += part
    order: Order = json.loads(line)
    return order
