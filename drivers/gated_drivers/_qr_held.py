"""When a code that is seen again is a new presentation: pure, in frames and their times."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gated_drivers._qr_decode import Code, Sight


class _Held:
    """A code in front of the camera, and since when no frame has shown it."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.absent_since: float | None = None


class HeldCodes:
    """The codes that are being held up.

    The same payload is presented again only after frames have shown its absence for `absent_s` seconds:
    a pause between two frames proves nothing. A place where a code is seen but cannot be read counts
    as the code that was read there, so that one which is hard to read does not flicker.
    """

    def __init__(self, absent_s: float) -> None:
        self._absent_s = absent_s
        self._held: dict[bytes, _Held] = {}

    def new(self, sight: Sight, at: float) -> list[bytes]:
        """The payloads that this frame, taken `at` seconds, presents for the first time, top left first."""
        presented = []
        for code in sight.codes:
            known = self._held.get(code.payload)
            if known is None or self._was_away(known, at):
                presented.append(code.payload)
            self._held[code.payload] = _Held(code)
        visible = {code.payload for code in sight.codes}
        for payload, held in list(self._held.items()):
            if payload in visible or any(held.code.near(place) for place in sight.doubtful):
                held.absent_since = None if not self._was_away(held, at) else held.absent_since
            elif held.absent_since is None:
                held.absent_since = at
            elif self._was_away(held, at):
                del self._held[payload]
        return presented

    def _was_away(self, held: _Held, at: float) -> bool:
        return held.absent_since is not None and at - held.absent_since >= self._absent_s
