"""The camera process: frames in, presentations out, so that OpenCV can crash or hang without gated.

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
from typing import Any

from gated_drivers._camera_wire import Kind, Message, encode

NICE = 10  # decoding gives way to decisions
MAX_PAYLOAD = 512  # bytes a code may hold to be a credential
PR_SET_PDEATHSIG = 1  # prctl(2)


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


def _order(link: socket.socket) -> dict[str, Any]:
    """The one line of JSON that says what to do."""
    line = b""
    while not line.endswith(b"\n"):
        part = link.recv(65536)
        if not part:
            os._exit(0)
        line += part
    order: dict[str, Any] = json.loads(line)
    return order


def serve(order: dict[str, Any], link: socket.socket) -> str:
    """Decode and report until the source is lost; returns the sentence that says why."""
    try:
        import cv2

        from gated_drivers._camera_source import Frames, SourceLost, open_capture, to_grey
        from gated_drivers._qr_decode import decoder
        from gated_drivers._qr_held import HeldCodes

        eyes = decoder(order["decoder"])
    except ImportError as error:
        what = error.name or str(error)
        return (
            f"{what} is not installed: install gated[camera], for the zbar decoder gated[zbar] and libzbar0"
        )
    cv2.setNumThreads(1)
    held = HeldCodes(order["absent_s"])
    try:
        capture = open_capture(
            *(order[k] for k in ("source", "width", "height", "fps", "connect_s", "read_s"))
        )
        frames = Frames(capture, order["source"], order["fps"])
        frames.start()
        while True:
            grey = to_grey(frames.next(), order["height"])
            sight = eyes.look(grey)
            at = time.monotonic()
            messages = [_presented(payload, at) for payload in held.new(sight, at)]
            link.sendall(b"".join(encode(m) for m in [*messages, Message(Kind.FRAME, at)]))
    except SourceLost as lost:
        return str(lost)


def _presented(payload: bytes, at: float) -> Message:
    if 1 <= len(payload) <= MAX_PAYLOAD:
        return Message(Kind.CODE, at, payload)
    return Message(Kind.IGNORED, at)


def main() -> None:
    """Serve the daemon at the other end of standard input."""
    link = socket.socket(fileno=0)
    order = _order(link)
    _end_with(order["parent"], link)
    os.nice(NICE)
    try:
        ending = serve(order, link)
    except OSError:  # the daemon is gone
        os._exit(0)
    except Exception as error:
        ending = f"the decoding process failed: {type(error).__name__}: {error}"
    try:
        link.sendall(encode(Message(Kind.FAULT, time.monotonic(), ending.encode()[:1024])))
    finally:
        # Not sys.exit: a capture thread may hang in a library, and destructors of OpenCV may wait for it.
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    main()
