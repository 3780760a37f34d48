"""QR codes from a camera, read by OpenCV and zxing-cpp in a process of their own.

Sources: a V4L2 device (/dev/video0), a network stream (MJPEG over HTTP, RTSP) or a recording. The
daemon imports neither OpenCV nor a decoder; it starts `python -m gated_drivers._camera_worker`, hears
of every frame over a socket, and counts `stall_s` from the last one, whatever the process does. A code
that is held up is presented once, and again only after frames showed its absence for `absent_s`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

from pydantic import Field, field_validator

from gated.ports import Driver, DriverFault, Kind, Presentation, Settings, Technology
from gated_drivers import _camera_wire as wire

CLOSE_S = 1.0  # seconds a killed process may take to go before closing returns without it
LOOK = "check the camera and its cable"
WAITING = 64  # presentations kept for a consumer that is late; the oldest goes first
_PASSWORD = re.compile(r"(?<=://)[^/@]*@")


class CameraSettings(Settings):
    """Which camera it is and how it is read."""

    source: str = Field(
        min_length=1, description="/dev/video0, an http(s):// or rtsp(s):// stream, or a recording's file"
    )
    decoder: Literal["zxing", "zbar"] = Field("zxing", description="zbar is slower and not exact for binary")
    width: int = Field(640, ge=160, le=4096, description="asked of a V4L2 device; pixels")
    height: int = Field(480, ge=120, le=2160, description="asked of a V4L2 device; pixels")
    fps: float = Field(15.0, gt=0, le=120, description="frames decoded a second at most; a recording's pace")
    stall_s: float = Field(2.0, ge=0.2, le=60, description="without a frame for this long: a fault; seconds")
    absent_s: float = Field(1.0, ge=0, le=60, description="a code away for this long counts again; seconds")
    open_s: float = Field(10.0, ge=0.5, le=120, description="deadline for the first frame; seconds")

    @field_validator("source")
    @classmethod
    def _known_scheme(cls, source: str) -> str:
        scheme, colon, _ = source.partition("://")
        if colon and scheme not in {"http", "https", "rtsp", "rtsps"}:
            raise ValueError("must be a device, a file, or a URL of http, https, rtsp or rtsps")
        return source


class Camera:
    """The daemon's end of a camera process; a Reader.

    `frames` counts decoded frames; `ignored` counts codes whose content is empty or over 512 bytes.
    """

    def __init__(self, settings: CameraSettings) -> None:
        self.frames = 0
        self.ignored = 0
        self._settings = settings
        self._name = _PASSWORD.sub("***@", settings.source)
        self._loop = asyncio.get_running_loop()
        self._receiver = wire.Receiver()
        self._waiting: deque[Presentation] = deque(maxlen=WAITING)
        self._fault: DriverFault | None = None
        self._closing = False
        self._changed = asyncio.Event()
        self._reaped = asyncio.Event()
        self._link: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._last = 0.0  # when the newest frame was decoded
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Start the process and wait for the first frame; raises DriverFault within `open_s`."""
        self._link, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _spawn(theirs)
                pidfd = os.pidfd_open(self._process.pid)
            except OSError as error:
                why = f"cannot start its process: {error.strerror}"
                raise DriverFault(f"camera {self._name}: {why}") from error
            self._loop.add_reader(pidfd, self._process_ended, self._process, pidfd)
            self._link.send(self._order())  # fits the socket's buffer
        self._link.setblocking(False)
        self._loop.add_reader(self._link, self._readable, self._link)
        opened = self._settings.open_s
        self._timer = self._loop.call_later(opened, self._lose, f"no frame within {opened:g} s; {LOOK}")
        while not self.frames:
            await self._change()

    async def presentations(self) -> AsyncIterator[Presentation]:
        """Yield each presented code once, until closed; raises DriverFault when frames stop coming."""
        while not self._closing:
            while self._waiting:
                yield self._waiting.popleft()
            if not self._closing:
                await self._change()

    async def close(self) -> None:
        """Kill the process and reap it; the loop is never blocked. Closing twice is fine."""
        self._closing = True
        self._changed.set()
        if self._timer is not None:
            self._timer.cancel()
        self._unlink()
        if self._process is None:
            return
        if not self._reaped.is_set():
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)  # a stopped process goes too
        with suppress(TimeoutError):  # a process stuck in a driver of the kernel is reaped when it goes
            async with asyncio.timeout(CLOSE_S):
                await self._reaped.wait()

    def _readable(self, link: socket.socket) -> None:
        try:
            data = link.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self._unlink()
            self._both_ended()
            return
        try:
            for message in self._receiver.feed(data):
                self._take(message)
        except wire.WireError as error:
            self._lose(str(error))

    def _unlink(self) -> None:
        if self._link is not None:
            self._loop.remove_reader(self._link)
            self._link.close()
            self._link = None

    def _take(self, message: wire.Message) -> None:
        if message.kind is wire.Kind.CODE:
            self._waiting.append(Presentation(Technology.QR, message.body, message.at))
            self._changed.set()
        elif message.kind is wire.Kind.IGNORED:
            self.ignored += 1
        elif message.kind is wire.Kind.FAULT:
            self._lose(message.body.decode(errors="replace"))
        elif message.kind is wire.Kind.FRAME:
            self.frames += 1
            self._last = message.at
            if self.frames == 1:
                self._watch_frames()
                self._changed.set()

    def _watch_frames(self) -> None:
        """Call a stall `stall_s` after the newest frame, and look again at the time it would come."""
        if self._timer is not None:
            self._timer.cancel()
        if self._closing or self._fault is not None:
            return
        left = self._last + self._settings.stall_s - time.monotonic()
        if left <= 0:
            self._lose(f"no frame for {self._settings.stall_s:g} s, the stream stalled; {LOOK}")
        else:
            self._timer = self._loop.call_later(left, self._watch_frames)

    def _process_ended(self, process: subprocess.Popen[bytes], pidfd: int) -> None:
        self._loop.remove_reader(pidfd)
        os.close(pidfd)
        process.wait()  # it has ended: this only reaps
        self._reaped.set()
        self._both_ended()

    def _both_ended(self) -> None:
        """Only now is it sure that no last word of the process is still on its way."""
        if self._link is None and self._reaped.is_set():
            assert self._process is not None
            self._lose(f"its process ended unexpectedly ({_how(self._process.returncode)})")

    def _lose(self, why: str) -> None:
        if self._fault is None and not self._closing:
            self._fault = DriverFault(f"camera {self._name}: {why}")
            self._changed.set()

    async def _change(self) -> None:
        """Wait until something happened; raises the fault if that is what happened."""
        if self._fault is not None:
            raise self._fault
        self._changed.clear()
        await self._changed.wait()
        if self._fault is not None and not self._waiting:
            raise self._fault

    def _order(self) -> bytes:
        """What the process is told; over the socket, because a source may hold a password."""
        told = self._settings.model_dump(exclude={"stall_s", "open_s"})
        # The library's own time limits are only the second line: the stall timer is the first.
        limits = {"connect_s": self._settings.open_s, "read_s": self._settings.stall_s + 1}
        return json.dumps(told | limits | {"parent": os.getpid()}).encode() + b"\n"


def _spawn(link: socket.socket) -> subprocess.Popen[bytes]:
    """The camera process, with `link` as its standard input and nothing else of ours.

    Its libraries write to standard error what no operator can use (and URLs with passwords), so that
    is closed. Its own process group keeps Ctrl-C for the daemon.
    """
    environment = {k: v for k, v in os.environ.items() if k not in {"NOTIFY_SOCKET", "WATCHDOG_USEC"}}
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENCV_LOG_LEVEL": "SILENT"}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "gated_drivers._camera_worker"],
        stdin=link.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        process_group=0,
    )


def _how(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


@asynccontextmanager
async def _open(settings: CameraSettings) -> AsyncIterator[Camera]:
    camera = Camera(settings)
    try:
        await camera.start()
        yield camera
    finally:
        await camera.close()


DRIVER = Driver(Kind.READER, CameraSettings, _open)
