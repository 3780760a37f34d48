"""A supervised line: what its voltage means, by the resistors at its end, and which changes of it count.

Pure: ratios of full scale and times in, words out.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gated.ports import Settings

Word = Literal["short", "closed", "open", "cut", "undefined"]
Ratio = Annotated[float, Field(ge=0, le=1)]
ROUNDING = 0.002  # of full scale: two steps of a 10-bit converter
LEAK_OHM = 200_000.0  # a cut wire in a damp duct still conducts so well
UNREST_S = 1.0  # a line that rests in no state for so long is "undefined"


class Bands(Settings):
    """Which ratios of full scale mean what: lower and upper limit of each, both of them included."""

    short: tuple[Ratio, Ratio] = Field(description="the wires touch")
    closed: tuple[Ratio, Ratio] = Field(description="the contact is closed")
    open: tuple[Ratio, Ratio] = Field(description="the contact is open")
    cut: tuple[Ratio, Ratio] = Field(description="a wire is broken")

    @model_validator(mode="after")
    def _ascending(self) -> Bands:
        for word, (lower, upper) in self.each():
            if lower > upper:
                raise ValueError(f"the band {word} begins at {lower:.3f} and ends before, at {upper:.3f}")
        for (one, (_, upper)), (other, (lower, _)) in itertools.pairwise(self.each()):
            if upper >= lower:
                raise ValueError(
                    f"the bands {one} (up to {upper:.3f} of full scale) and {other} (from {lower:.3f}) "
                    "overlap: these states of the line could not be told apart; use other resistors or a "
                    "closer tolerance"
                )
        return self

    def each(self) -> list[tuple[Word, tuple[float, float]]]:
        """The bands from the lowest voltage to the highest."""
        return [("short", self.short), ("closed", self.closed), ("open", self.open), ("cut", self.cut)]

    def word(self, ratio: float) -> Word:
        """What this ratio of full scale means; "undefined" between two bands."""
        for word, (lower, upper) in self.each():
            if lower <= ratio <= upper:
                return word
        return "undefined"


def bands_of(
    *, series: float, parallel: float, pull_up: float, tolerance: float, drift: float, line: float
) -> Bands:
    """The bands that these resistors give, in ohms, each off by up to `tolerance`.

    `line`: what both wires have at most. `drift`: how far the pull-up's supply may be off the converter's
    full scale. Raises ValueError where two bands overlap.
    """

    def ratio(end: float, sign: int) -> float:
        divided = end / (end + pull_up * (1 - sign * tolerance))
        return min(1.0, max(0.0, divided * (1 + sign * drift) + sign * ROUNDING))

    less, more = 1 - tolerance, 1 + tolerance
    return Bands(
        short=(0.0, ratio(line, 1)),
        closed=(ratio(series * less, -1), ratio(series * more + line, 1)),
        open=(ratio((series + parallel) * less, -1), ratio((series + parallel) * more + line, 1)),
        cut=(ratio(LEAK_OHM, -1), 1.0),
    )


class Settling:
    """Tells sightings of one line from changes: a word counts once the line has rested in it for `bounce_s`.

    The first one counts at once. A line that rests in none for UNREST_S is "undefined": one that chatters
    for ever must not look as it looked before.
    """

    def __init__(self, bounce_s: float) -> None:
        self._bounce_s = bounce_s
        self._told: Word | None = None
        self._seen: Word | None = None
        self._since = 0.0
        self._restless: float | None = None  # since when; None while it rests

    def seen(self, word: Word, at: float) -> Word | None:
        """The line was seen in this state at `at` (monotonic seconds); the word when that is news."""
        if word != self._seen:
            self._seen, self._since = word, at
        if self._told is None or at - self._since >= self._bounce_s:
            self._restless = None
        elif self._restless is None:
            self._restless = at
            return None
        elif at - self._restless >= UNREST_S:
            word = "undefined"
        else:
            return None
        if word == self._told:
            return None
        self._told = word
        return word
