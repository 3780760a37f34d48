"""A simulated camera: an HTTP server of Motion JPEG that shows codes, held badly if you like.

Only what the wire carries is simulated: a picture is rendered and encoded once when it changes and
then sent `fps` times a second, as multipart/x-mixed-replace, to everyone who asks for any path.
"""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import cv2
import numpy as np
import numpy.typing as npt
import segno

from gated.ports import Settings

Picture = npt.NDArray[np.uint8]

BOUNDARY = b"frame"
NOISE = 3.0  # sigma of the sensor's noise, grey levels
WALL, PAPER = 96, 235  # grey levels behind the code, and of the paper it is printed on
_rng = np.random.default_rng(1)


def code_picture(content: bytes | str, side: int) -> Picture:
    """A QR code (level M, quiet zone of four modules) on paper, `side` pixels wide; text as UTF-8."""
    if isinstance(content, str) and not content.isascii():
        content = content.encode()  # left to itself, segno would choose Shift JIS
    mode = "byte" if isinstance(content, bytes) else None
    code = segno.make_qr(content, error="m", mode=mode, boost_error=False)
    modules = np.array([[bool(m) for m in row] for row in code.matrix_iter(border=4)])
    picture = np.where(modules, 25, PAPER).astype(np.uint8)
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def tilted(picture: Picture, degrees: float) -> Picture:
    """The picture turned about its vertical axis, seen from twice its width, on the wall."""
    side = picture.shape[0]
    angle = math.radians(degrees)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64)
    depth = 4 + corners[:, 0] * math.sin(angle)
    seen = np.stack([corners[:, 0] * math.cos(angle), corners[:, 1]], 1) * (4 / depth)[:, None]
    matrix = cv2.getPerspectiveTransform(
        ((corners + 1) * side / 2).astype(np.float32), ((seen * 0.8 + 1) * side / 2).astype(np.float32)
    )
    return np.asarray(cv2.warpPerspective(picture, matrix, (side, side), borderValue=WALL), np.uint8)


def degraded(frame: Picture, blur: float = 0.0, glare: float = 0.0, noise: float = NOISE) -> Picture:
    """The frame out of focus (`blur`: sigma in px), with a lamp mirrored in it (`glare`: 0 to 1), noisy."""
    light = frame.astype(np.float32)
    if blur:
        light = cv2.GaussianBlur(light, (0, 0), blur).astype(np.float32)
    if glare:
        y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
        spot = ((x - 0.56 * frame.shape[1]) ** 2 + (y - 0.4 * frame.shape[0]) ** 2) / (2 * 70.0**2)
        light += 255 * glare * np.exp(-spot)
    light += _rng.normal(0, noise, frame.shape)
    return np.clip(light, 0, 255).astype(np.uint8)


class CameraRig:
    """The camera; `connections` keeps when somebody connected, `shown` how often the picture changed."""

    def __init__(self, host: str, port: int, size: tuple[int, int], fps: float) -> None:
        self.connections: list[float] = []
        self.shown = 0
        self.frames_sent = 0
        self._address = (host, port)
        self._size = size
        self._interval = 1 / fps
        self._flowing = True
        self._viewers: dict[asyncio.Task[None], socket.socket] = {}
        self._listener: socket.socket | None = None
        self._part = b""
        self.clear()

    def show(
        self,
        content: bytes | str,
        blur: float = 0.0,
        tilt: float = 0.0,
        glare: float = 0.0,
        beside: bytes | str | None = None,
    ) -> None:
        """Hold up a code: `blur` sigma in px, `tilt` 0 to 70 degrees, `glare` 0 to 1; and one `beside` it."""
        width, height = self._size
        frame = np.full((height, width), WALL, np.uint8)
        contents = [content] if beside is None else [content, beside]
        side = min(width // len(contents), height) * 3 // 4
        for i, each in enumerate(contents):
            left = (2 * i + 1) * width // (2 * len(contents)) - side // 2
            top = (height - side) // 2
            frame[top : top + side, left : left + side] = tilted(code_picture(each, side), tilt)
        self.show_picture(degraded(frame, blur, glare))

    def show_picture(self, frame: Picture) -> None:
        """Show a grey picture as it is."""
        done, jpeg = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 90])
        assert done
        head = b"--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % (BOUNDARY, len(jpeg))
        self._part = head + jpeg.tobytes() + b"\r\n"
        self.shown += 1

    def clear(self) -> None:
        """Nothing in front of the camera."""
        width, height = self._size
        self.show_picture(degraded(np.full((height, width), WALL, np.uint8)))

    def stall(self) -> None:
        """Keep the connections and send nothing more."""
        self._flowing = False

    def resume(self) -> None:
        """Send again."""
        self._flowing = True

    def cut(self) -> None:
        """Pull the cable: everyone is hung up on and nobody can connect."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for task in list(self._viewers):
            task.cancel()

    def mend(self) -> None:
        """Put it back at the same address."""
        if self._listener is not None:
            return
        self._listener = socket.create_server(self._address)
        self._listener.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    async def close(self) -> None:
        """Hang up and leave nothing behind."""
        self.cut()
        await asyncio.gather(*self._viewers, return_exceptions=True)

    def _accept(self) -> None:
        assert self._listener is not None
        with suppress(BlockingIOError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            self.connections.append(time.monotonic())
            task = asyncio.get_running_loop().create_task(self._send(connection))
            self._viewers[task] = connection
            task.add_done_callback(self._hang_up)

    def _hang_up(self, task: asyncio.Task[None]) -> None:
        self._viewers.pop(task).close()

    async def _send(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request and len(request) < 65536:
                part = await loop.sock_recv(connection, 4096)
                if not part:
                    return
                request += part
            kind = b"multipart/x-mixed-replace; boundary=" + BOUNDARY
            head = b"HTTP/1.0 200 OK\r\nCache-Control: no-store\r\nContent-Type: " + kind + b"\r\n\r\n"
            await loop.sock_sendall(connection, head)
            while True:
                if self._flowing:
                    await loop.sock_sendall(connection, self._part)
                    self.frames_sent += 1
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._interval):
                        while await loop.sock_recv(connection, 4096):
                            pass
                        return  # the viewer hung up


@asynccontextmanager
async def open_rig(settings: Settings) -> AsyncIterator[CameraRig]:
    """Serve the camera at the host and port of `settings.source`, an http URL, until left."""
    url = urlsplit(getattr(settings, "source", ""))
    if url.scheme != "http" or url.hostname is None:
        raise ValueError(f"the simulated camera speaks http only, not {url.scheme or 'files'}")
    size = (getattr(settings, "width", 640), getattr(settings, "height", 480))
    rig = CameraRig(url.hostname, url.port or 80, size, getattr(settings, "fps", 15.0))
    rig.mend()
    try:
        yield rig
    finally:
        await rig.close()
