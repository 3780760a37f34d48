"""The camera process: frames in, presentations out, so that OpenCV can crash or hang without gated."""

from __future__ import annotations

import os
import socket
import time

from gated_drivers._camera_wire import Kind, Message, encode
from gated_drivers._worker_side import Order, serve

NICE = 10  # decoding gives way to decisions
MAX_PAYLOAD = 512  # bytes a code may hold to be a credential


def decode(order: Order, link: socket.socket) -> str:
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


def work(order: Order, link: socket.socket) -> str:
    """What the process is for, at the niceness that decoding has."""
    os.nice(NICE)
    return decode(order, link)


if __name__ == "__main__":
    serve(work, "the decoding process")
