"""The retry ladder: what to do with a grey frame in which plain decoding read nothing.

Each step changes the picture so that other codes become legible, and reads it again. Order and choice
come from measured gain per millisecond of CPU, over photographs and degraded copies of them (dark,
washed out, shadowed, blurred, moiré, small, tilted, scratched), chosen on one half and checked on the
other; steps that gained nothing after these were left out. zbar is not a step: after these it adds
0.3 % for the price of all of them, and it re-codes bytes that are not ASCII.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from zxingcpp import Binarizer

Grey = npt.NDArray[np.uint8]
"""One frame, height x width, a byte per pixel, 0 black."""


class Step(NamedTuple):
    """One rung: `prepare` the frame, then decode it with `binarizer`.

    `place` (centre and half size as fractions of the frame) is set where `prepare` cuts that place out.
    """

    name: str
    prepare: Callable[[Grey], Grey]
    binarizer: Binarizer
    place: tuple[float, float, float] | None = None


def _grey(picture: object) -> Grey:
    """OpenCV's stubs lose the element type; the steps below keep it uint8."""
    assert isinstance(picture, np.ndarray)
    return picture


def _gamma(exponent: float) -> Callable[[Grey], Grey]:
    """out = 255 (in/255)^exponent; below 1 lifts the shadows, above 1 recovers the highlights."""
    table = np.array([round(255 * (i / 255) ** exponent) for i in range(256)], np.uint8)
    return lambda grey: _grey(cv2.LUT(grey, table))


def _local_threshold(window: int, below: int) -> Callable[[Grey], Grey]:
    """White where a pixel is brighter than the mean of its window (odd, px) less `below`."""
    return lambda grey: _grey(
        cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, window, below)
    )


def _flatten(grey: Grey) -> Grey:
    """Divide by the background (closing at quarter size), so that uneven light becomes even."""
    quarter = cv2.resize(grey, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    paper = cv2.morphologyEx(quarter, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    paper = cv2.resize(cv2.blur(paper, (9, 9)), (grey.shape[1], grey.shape[0]))
    return _grey(cv2.divide(grey, paper, scale=255))


def _thicken(grey: Grey) -> Grey:
    """Grow the dark modules by a pixel: printed dots that do not touch, bright bloom."""
    return _grey(cv2.erode(grey, np.ones((3, 3), np.uint8)))


def _unsharp(grey: Grey) -> Grey:
    """Sharpen by twice the difference to a blur of one pixel."""
    return _grey(cv2.addWeighted(grey, 3.0, cv2.GaussianBlur(grey, (0, 0), 1.0), -2.0, 0.0))


def _soften(grey: Grey) -> Grey:
    """Blur by one pixel: moiré of a screen, sensor noise."""
    return _grey(cv2.GaussianBlur(grey, (0, 0), 1.0))


def _double(grey: Grey) -> Grey:
    """Twice the size: modules of two pixels and less."""
    return _grey(cv2.resize(grey, None, fx=2.0, fy=2.0, interpolation=cv2.INTER_LINEAR))


_LOCAL, _GLOBAL, _FIXED = Binarizer.LocalAverage, Binarizer.GlobalHistogram, Binarizer.FixedThreshold

STEPS: tuple[Step, ...] = (
    Step("lift shadows", _gamma(0.5), _LOCAL),
    Step("recover highlights", _gamma(1.8), _GLOBAL),
    Step("fine local threshold", _local_threshold(15, 2), _FIXED),
    Step("even light", _flatten, _GLOBAL),
    Step("coarse local threshold", _local_threshold(31, 5), _FIXED),
    Step("thicken", _thicken, _LOCAL),
    Step("sharpen", _unsharp, _LOCAL),
    Step("soften", _soften, _LOCAL),
    Step("double", _double, _LOCAL),
)

BENT_SIDE = 256  # pixels; a place is brought to this size, so that it costs the same wherever it is
BEND = 0.02  # how far the middle of a bent side is off, as a part of the side
_MARGIN = 1.25  # of the place that is cut out: the corners found are the code's, without quiet zone
_ALONG, _ACROSS = np.meshgrid(*[(np.arange(BENT_SIDE, dtype=np.float32) + 0.5) / BENT_SIDE] * 2)


Shift = npt.NDArray[np.float64]
"""How far each point of a cut-out is moved, as a part of its side."""


def _bend(place: tuple[float, float, float], right: Shift, down: Shift) -> Callable[[Grey], Grey]:
    """Cut out the place and pull its points `right` and `down`."""

    def cut(grey: Grey) -> Grey:
        height, width = grey.shape
        side = 2 * place[2] * width * _MARGIN
        across = (place[0] * width + (_ALONG - 0.5 + right) * side).astype(np.float32)
        along = (place[1] * height + (_ACROSS - 0.5 + down) * side).astype(np.float32)
        return _grey(cv2.remap(grey, across, along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))

    return cut


def bends(place: tuple[float, float, float]) -> tuple[Step, ...]:
    """Steps for a code on something that is not flat: the place, bent each way by a little.

    Decoders take a code for a plane; on a folded paper or cloth the finder patterns are found and the
    modules between them are missed. A parabola along or across, either way, meets enough of them.
    """
    arch: Shift = np.asarray(4 * _ALONG * (1 - _ALONG) * BEND, np.float64)
    side_arch: Shift = np.asarray(4 * _ACROSS * (1 - _ACROSS) * BEND, np.float64)
    none = np.zeros_like(arch)
    shifts = (arch, -arch, side_arch, -side_arch)
    ways = [*((shift, none) for shift in shifts), *((none, shift) for shift in shifts)]
    return tuple(Step("unbend", _bend(place, *way), _LOCAL, place) for way in ways)
