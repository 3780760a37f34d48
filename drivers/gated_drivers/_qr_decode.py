"""Grey frame in, codes out: the two decoders and when the retry ladder is climbed.

Reading every frame ten ways would make an idle camera twenty times as dear. So the ladder is climbed
only where the decoder saw a code that it could not read, in three parts on three frames, and a place
where that keeps failing is tried ever more rarely; otherwise one step is taken every few frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import zxingcpp

from gated_drivers._qr_ladder import STEPS, Grey, Step, bends

SPREAD = 5  # frames between two steps while nothing is seen
HALF = 6  # steps taken at once, the others on the next frame: no frame costs more than one of zbar
LOYALTY = 30  # frames for which the step that read last is tried first
REMEMBER = 60  # frames after which a doubtful place is forgotten
RARELY = 64  # frames between two climbs for a doubtful place that never reads

# Since zxing-cpp 3 "QRCode" takes in Micro QR and rMQR, whose weak error correction reads digits out of
# clutter; a pass is never one of them.
_QR: Any = getattr(zxingcpp.BarcodeFormat, "QRCodeModel2", zxingcpp.BarcodeFormat.QRCode)


class Code(NamedTuple):
    """A code in the frame: its bytes (empty when seen but not read), centre and half size as fractions of the
    frame (x and reach of its width, y of its height)."""

    payload: bytes
    x: float
    y: float
    reach: float

    def near(self, other: Code) -> bool:
        """Whether the other's centre lies within this code."""
        return max(abs(self.x - other.x), abs(self.y - other.y)) <= self.reach


class Sight(NamedTuple):
    """What one frame showed: codes that were read, and places where a code was seen but not read."""

    codes: tuple[Code, ...]
    doubtful: tuple[Code, ...] = ()


class Decoder(Protocol):
    """A way to read frames; it may remember the frames before."""

    def look(self, grey: Grey) -> Sight:
        """Read the next frame of a stream."""
        ...


def _zxing(grey: Grey, binarizer: zxingcpp.Binarizer) -> Sight:
    """QR only (all formats would cost ten times as much), undecodable candidates included."""
    found = zxingcpp.read_barcodes(grey, formats=_QR, binarizer=binarizer, return_errors=True)
    height, width = grey.shape
    codes = [(_code(each, width, height), each.valid) for each in found]
    return Sight(
        tuple(sorted((c for c, valid in codes if valid), key=lambda c: (c.y, c.x))),
        tuple(c._replace(payload=b"") for c, valid in codes if not valid),
    )


def _code(found: Any, width: int, height: int) -> Code:
    """Centre and half size as fractions of the frame, so that a step may change its size."""
    corners = (
        found.position.top_left,
        found.position.top_right,
        found.position.bottom_left,
        found.position.bottom_right,
    )
    xs, ys = [c.x for c in corners], [c.y for c in corners]
    reach = max(max(xs) - min(xs), max(ys) - min(ys)) / 2 / width
    return Code(bytes(found.bytes), sum(xs) / 4 / width, sum(ys) / 4 / height, reach)


class _Doubt:
    """A place where a code was seen and not read, and how often by now."""

    def __init__(self, place: Code) -> None:
        self.place = place
        self.seen = 0
        self.last = 0

    @property
    def due(self) -> bool:
        """At the 1st, 4th, 8th, 16th ... sight (others are for the other parts), then every RARELY-th."""
        return self.seen != 2 and (self.seen & (self.seen - 1) == 0 or self.seen % RARELY == 0)


class Zxing:
    """zxing-cpp with the retry ladder: the default, by measurement."""

    def __init__(self) -> None:
        self._frame = 0
        self._next = 0  # the step that is next in the spread
        self._stage = 0  # of a climb: 1, the second half is next; 2, bends are next; 0, none is under way
        self._spread_from = 0  # the frame from which steps are spread again: a climb took them all
        self._loyal: tuple[Step, int] | None = None  # the step that read last, and until which frame
        self._doubts: list[_Doubt] = []

    def look(self, grey: Grey) -> Sight:
        """Read the next frame of a stream; spends more where a code was seen but not read."""
        self._frame += 1
        sight = self.bare(grey)
        if sight.codes:
            self._stage = 0
            return sight
        return Sight(self._climb(grey, self._chosen(sight.doubtful)), sight.doubtful)

    def bare(self, grey: Grey) -> Sight:
        """One plain pass."""
        return _zxing(grey, zxingcpp.Binarizer.LocalAverage)

    def whole(self, grey: Grey) -> Sight:
        """A single picture with the whole ladder, regardless of the stream: for measuring."""
        sight = self.bare(grey)
        if sight.codes:
            return sight
        return Sight(self._climb(grey, (*STEPS, *_bends(sight.doubtful))), sight.doubtful)

    def _climb(self, grey: Grey, steps: Iterable[Step]) -> tuple[Code, ...]:
        for step in steps:
            codes = _zxing(step.prepare(grey), step.binarizer).codes
            if codes:
                self._loyal = (step, self._frame + LOYALTY)
                self._stage = 0
                if step.place is not None:
                    return tuple(Code(c.payload, *step.place) for c in codes)
                return codes
        return ()

    def _chosen(self, doubtful: tuple[Code, ...]) -> tuple[Step, ...]:
        """Which steps this frame is worth."""
        if self._doubt(doubtful):
            self._stage = 1
            self._spread_from = self._frame + len(STEPS) * SPREAD
            return STEPS[:HALF]
        if self._stage == 1:
            self._stage = 2
            return STEPS[HALF:]
        if self._stage == 2:
            self._stage = 0
            return _bends(doubtful)
        chosen = []
        if self._loyal is not None and self._frame <= self._loyal[1]:
            chosen.append(self._loyal[0])
        if self._frame >= self._spread_from and self._frame % SPREAD == 0:
            chosen.append(STEPS[self._next % len(STEPS)])
            self._next += 1
        return tuple(chosen)

    def _doubt(self, doubtful: tuple[Code, ...]) -> bool:
        """Remember doubtful places; True when one of them is due for the ladder.

        A poster that looks like a code stays where it is and is soon left alone; a code in a hand moves.
        """
        self._doubts = [d for d in self._doubts if self._frame - d.last <= REMEMBER]
        due = False
        for place in doubtful:
            known = next((d for d in self._doubts if _same_place(d.place, place)), None)
            if known is None:
                known = _Doubt(place)
                self._doubts.append(known)
            if known.last != self._frame:
                known.seen += 1
                known.last = self._frame
                due = due or known.due
        return due


def _bends(doubtful: tuple[Code, ...]) -> tuple[Step, ...]:
    """The bends for the largest place where a code was seen."""
    if not doubtful:
        return ()
    place = max(doubtful, key=lambda code: code.reach)
    return bends((place.x, place.y, place.reach))


def _same_place(a: Code, b: Code) -> bool:
    return max(abs(a.x - b.x), abs(a.y - b.y)) <= max(a.reach, 0.02) / 2


class Zbar:
    """pyzbar: selectable, slower, and not exact for bytes that are not ASCII.

    Raises ImportError when pyzbar or the system's libzbar is missing.
    """

    def __init__(self) -> None:
        from pyzbar import pyzbar

        self._decode: Any = pyzbar.decode
        self._symbols = [pyzbar.ZBarSymbol.QRCODE]

    def look(self, grey: Grey) -> Sight:
        """Read one frame."""
        height, width = grey.shape
        codes = [
            Code(
                bytes(each.data),
                (each.rect.left + each.rect.width / 2) / width,
                (each.rect.top + each.rect.height / 2) / height,
                max(each.rect.width, each.rect.height) / 2 / width,
            )
            for each in self._decode(grey, self._symbols)
        ]
        return Sight(tuple(sorted(codes, key=lambda c: (c.y, c.x))))


def decoder(name: str) -> Decoder:
    """The decoder of that name: "zxing" or "zbar"."""
    return Zbar() if name == "zbar" else Zxing()
