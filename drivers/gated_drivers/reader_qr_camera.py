"""QR codes from a camera, read by OpenCV and zxing-cpp in a process of their own.

Sources: a V4L2 device (/dev/video0), a network stream (MJPEG over HTTP, RTSP) or a recording. The
daemon imports neither OpenCV nor a decoder; it starts `python -m gated_drivers._camera_worker`, hears
of every frame over a socket, and counts `stall_s` from the last one, whatever the process does. A code
that is held up is presented once, and again only after frames showed its absence for `absent_s`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from pydantic import Field, field_validator

from gated.ports import Driver, Kind, Presentation, Settings, Technology
from gated_drivers._worker import WorkerReader

LOOK = "check the camera and its cable"
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENCV_LOG_LEVEL": "SILENT"}
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


def _presented(payload: bytes, at: float) -> Presentation:
    return Presentation(Technology.QR, payload, at)


def camera_of(settings: CameraSettings) -> WorkerReader:
    """`frames` counts decoded frames; `ignored` counts codes whose content is empty or over 512 bytes."""
    told = settings.model_dump(exclude={"stall_s", "open_s"})
    # The library's own time limits are only the second line: the stall timer is the first.
    limits = {"connect_s": settings.open_s, "read_s": settings.stall_s + 1}
    return WorkerReader(
        f"camera {_PASSWORD.sub('***@', settings.source)}",
        "gated_drivers._camera_worker",
        _presented,
        order=told | limits,
        environment=ENVIRONMENT,
        open_s=settings.open_s,
        stall_s=settings.stall_s,
        unopened="no frame within {:g} s; " + LOOK,
        stalled="no frame for {:g} s, the stream stalled; " + LOOK,
    )


@asynccontextmanager
async def _open(settings: CameraSettings) -> AsyncIterator[WorkerReader]:
    camera = camera_of(settings)
    try:
        await camera.start()
        yield camera
    finally:
        await camera.close()


DRIVER = Driver(Kind.READER, CameraSettings, _open)
