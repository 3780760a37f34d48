"""Where frames come from: a V4L2 device, a network stream or a recording, read in a thread of their own."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from typing import Any

import cv2
import numpy as np

from gated_drivers._qr_ladder import Grey


class SourceLost(Exception):
    """The source cannot be opened or gives no more frames; one sentence, without the source's name."""


def is_stream(source: str) -> bool:
    """Whether the source is a URL."""
    return "://" in source


def is_device(source: str) -> bool:
    """Whether the source is a V4L2 device."""
    return source.startswith("/dev/")


def open_capture(source: str, width: int, height: int, fps: float, open_s: float, read_s: float) -> Any:
    """An opened cv2.VideoCapture; raises SourceLost when there is nothing to open.

    A network stream is given up after `open_s` seconds without an answer and `read_s` without data
    (left alone, FFmpeg waits 30 s). A device is asked for `width` x `height` at `fps`, unconverted,
    because grey is a part of what it delivers anyway.
    """
    if is_device(source):
        wanted = [
            (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"YUYV")),
            (cv2.CAP_PROP_FRAME_WIDTH, width),
            (cv2.CAP_PROP_FRAME_HEIGHT, height),
            (cv2.CAP_PROP_FPS, round(fps)),
            (cv2.CAP_PROP_CONVERT_RGB, 0),
        ]
        capture = cv2.VideoCapture(source, cv2.CAP_V4L2, [int(v) for pair in wanted for v in pair])
    else:
        limits = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            int(open_s * 1000),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            int(read_s * 1000),
        ]
        capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
    if not capture.isOpened():
        raise SourceLost("there is nothing to open, or it does not answer; check the source and the cable")
    return capture


def to_grey(frame: Any, height: int | None = None) -> Grey:
    """The brightness of a frame as it came: grey, planar YUV (`height` rows of Y first), YUYV, BGR, JPEG."""
    if frame.ndim == 3 and frame.shape[2] == 3:
        frame = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    elif frame.ndim == 3:
        frame = np.ascontiguousarray(frame[:, :, 0])
    elif frame.shape[0] == 1:
        frame = cv2.imdecode(frame, cv2.IMREAD_GRAYSCALE)
        if frame is None:
            raise SourceLost("the camera sends pictures that are not JPEG")
    elif height is not None and frame.shape[0] > height:
        frame = frame[:height]
    grey: Grey = np.asarray(frame, np.uint8)
    return grey


class Frames(threading.Thread):
    """Reads a capture for ever and keeps the newest frame only, so that decoding never lags behind.

    A recording is paced at `fps` and loses no frame. A live source is decoded `fps` times a second at most.
    """

    def __init__(self, capture: Any, source: str, fps: float) -> None:
        super().__init__(daemon=True)
        self._capture = capture
        self._recording = not is_stream(source) and not is_device(source)
        self._interval = 1 / fps
        self._slot: queue.Queue[Any] = queue.Queue(1)

    def next(self) -> Any:
        """The next frame; raises SourceLost when there will be none."""
        frame = self._slot.get()
        if isinstance(frame, SourceLost):
            raise frame
        return frame

    def run(self) -> None:
        """Grab until the source ends."""
        due = time.monotonic()
        try:
            while self._capture.grab():
                now = time.monotonic()
                if self._recording:
                    time.sleep(max(0.0, due - now))
                    due = max(due, now) + self._interval
                elif now < due:
                    continue  # unpacked for nobody
                else:
                    due = now + 0.75 * self._interval  # frames do not come on the dot
                got, frame = self._capture.retrieve()
                if got:
                    self._put(frame)
            ended = SourceLost(
                "the recording ended" if self._recording else "the stream ended; check the camera"
            )
        except cv2.error as error:
            ended = SourceLost(f"OpenCV cannot read it ({error.err or 'no reason given'})")
        self._slot.put(ended)

    def _put(self, frame: Any) -> None:
        if not self._recording and self._slot.full():
            with suppress(queue.Empty):
                self._slot.get_nowait()
        self._slot.put(frame)
