"""The mechanics of one turnstile lane, and the people who walk through it. Pure: time is data.

Seen from above, an entering person meets the entry beam at 0.2 m, the flap at 0.6 m and the exit beam at
1.0 m; a leaving person meets them in mirror image. The flap is held shut by a magnet that the emergency
coil feeds, so the lane is open while that coil rests. Figures are of an ordinary flap gate: 0.3 to 0.8 s
to open, people at walking pace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Way = Literal["entry", "exit"]
Hold = Literal["shut", "open"]

FLAP_S = 0.4
"""Seconds from shut to open."""
NEAR_BEAM_M, FLAP_M, FAR_BEAM_M, LENGTH_M = 0.2, 0.6, 1.0, 1.2
BODY_M = 0.4
"""Depth of a person as the beams see it, metres."""
CLEAR_M = 0.05
"""How close a person stands to a shut flap, metres."""
PASSABLE = 0.8
"""The share of its travel from which a flap can be walked through."""
PUSH_S = 0.6
"""How long somebody pushes before a shut flap gives way, seconds."""
STEP_S = 0.01
"""The mechanics move in steps of this many seconds, however they are called."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something a bystander sees: `what` is opened, shut, passed, turned_back, forced or waiting."""

    at: float
    what: str
    way: Way | None = None


@dataclass(eq=False)
class Person:
    """One person on the way through. `front` is metres from their own end of the lane."""

    way: Way
    speed: float = 1.2  # m/s
    front: float = -0.1
    approach: bool = False  # steps into the first beam and waits there, instead of before the lane
    force: bool = False  # pushes a shut flap open
    back_out: bool = False  # enters the first beam, then thinks better of it
    patience_s: float = 8.0  # waits this long for a shut flap, then leaves
    leaving: bool = False
    waited_s: float = 0.0
    through: bool = False  # has crossed the line of the flap

    def span(self) -> tuple[float, float]:
        """Where the body is, metres from the entry end, near edge first."""
        back, front = self.front - BODY_M, self.front
        return (back, front) if self.way == "entry" else (LENGTH_M - front, LENGTH_M - back)

    def covers(self, low: float, high: float) -> bool:
        """Whether any part of the body is between two marks."""
        near, far = self.span()
        return near < high and far > low


@dataclass
class Turnstile:
    """A lane's flap and the people at it; call `advance` with the time, then look.

    `released` holds the directions commanded by the lane's own coils; `may_shut` is the emergency coil:
    True while it is energised. A lane that has none is always allowed to shut.
    """

    may_shut: bool = False
    released: frozenset[Way] = frozenset()
    hold: Hold | None = None  # somebody holds the flap there, whatever the coils say
    flap: float = 1.0  # 0 shut .. 1 open
    people: list[Person] = field(default_factory=list)
    passed: dict[Way, int] = field(default_factory=lambda: {"entry": 0, "exit": 0})
    at: float | None = None

    @property
    def shall_open(self) -> bool:
        """Where the mechanism drives the flap."""
        if self.hold is not None:
            return self.hold == "open"
        return bool(self.released) or not self.may_shut

    @property
    def flap_open(self) -> bool:
        """The end switch of the flap: fully open."""
        return self.flap >= 1.0

    @property
    def flap_shut(self) -> bool:
        """Nobody gets through without force."""
        return self.flap <= 0.0

    def beam(self, way: Way) -> bool:
        """Whether the beam at the entry or exit end is interrupted."""
        mark = NEAR_BEAM_M if way == "entry" else FAR_BEAM_M
        return any(p.covers(mark, mark) for p in self.people)

    @property
    def moving(self) -> bool:
        """Whether time changes anything; False lets the caller sleep until the next command."""
        return bool(self.people) or self.flap != (1.0 if self.shall_open else 0.0)

    def command(self, now: float, released: frozenset[Way], may_shut: bool) -> list[Happening]:
        """The coils changed: what happened until now happened under the old command."""
        seen = self.advance(now)
        self.released, self.may_shut = released, may_shut
        return seen

    def add(self, person: Person) -> None:
        """Somebody comes up to the lane, behind whoever stands there already."""
        behind = [p.front for p in self.people if p.way == person.way and not p.leaving]
        person.front = min([person.front, *(f - BODY_M - 0.3 for f in behind)])
        self.people.append(person)

    def advance(self, now: float) -> list[Happening]:
        """Move everything to `now` (monotonic seconds) and tell what happened meanwhile.

        A clock that stands still or goes back moves nothing.
        """
        if self.at is None:
            self.at = now
        if not self.moving:
            self.at = max(self.at, now)
        seen: list[Happening] = []
        while self.at + STEP_S <= now:
            self.at += STEP_S
            seen += self._move_flap(self.at)
            for person in list(self.people):
                seen += self._move(person, self.at)
        return seen

    def _move_flap(self, at: float) -> Iterator[Happening]:
        before = self.flap
        if self.shall_open:
            self.flap = min(1.0, before + STEP_S / FLAP_S)
        elif not any(p.covers(FLAP_M - 0.15, FLAP_M + 0.15) and (p.through or p.force) for p in self.people):
            # The safety field: a flap never closes on somebody who stands in it.
            self.flap = max(0.0, before - STEP_S / FLAP_S)
        if before < 1.0 <= self.flap:
            yield Happening(at, "opened")
        if before > 0.0 >= self.flap:
            yield Happening(at, "shut")

    def _move(self, person: Person, at: float) -> Iterator[Happening]:
        if person.leaving:
            person.front -= person.speed * STEP_S
            if person.front <= 0.0:
                self.people.remove(person)
                yield Happening(at, "turned_back", person.way)
            return
        goal = person.front + person.speed * STEP_S
        if person.back_out and goal >= NEAR_BEAM_M + 0.1:
            person.leaving = True
            return
        stop = self._stop_for(person)
        if goal <= stop:
            person.front, person.waited_s = goal, 0.0
        else:
            person.front = max(person.front, min(goal, stop))
            yield from self._wait(person, at)
        if not person.through and person.front > FLAP_M:
            person.through = True
        if person.front - BODY_M > LENGTH_M:
            self.people.remove(person)
            self.passed[person.way] += 1
            yield Happening(at, "passed", person.way)

    def _stop_for(self, person: Person) -> float:
        """How far this person can go now, metres from their own end."""
        limits = [float("inf")]
        if not person.through and self.flap < PASSABLE:
            limits.append(FLAP_M - CLEAR_M)
            if not (person.approach or person.force) and person.front <= 0.0:
                limits.append(0.0)
        if person.front <= 0.0 and any(p.way != person.way and p.front > 0.0 for p in self.people):
            limits.append(0.0)  # somebody is coming the other way
        index = self.people.index(person)
        ahead = [p for p in self.people[:index] if p.way == person.way]
        limits += [p.front - BODY_M - 0.05 for p in ahead]
        return min(limits)

    def _wait(self, person: Person, at: float) -> Iterator[Happening]:
        if person.waited_s == 0.0:
            yield Happening(at, "waiting", person.way)
        person.waited_s += STEP_S
        at_flap = not person.through and person.front >= FLAP_M - CLEAR_M - 1e-6
        if person.force and at_flap and person.waited_s >= PUSH_S and self.flap < PASSABLE:
            self.flap = 1.0
            yield Happening(at, "forced", person.way)
            yield Happening(at, "opened")
        elif person.waited_s >= person.patience_s and not person.through:
            person.leaving = True
