"""Single-use passes that are being redeemed: asked for, not yet answered.

A claim that was not answered in time is refused, but its answer may still come: a pass that was won
too late is used up and its holder stands outside, which reception must be able to find in the record.
So an overdue claim is remembered until it is answered, the oldest forgotten beyond LATE_LIMIT.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from gated.core.grant import Grant

LATE_LIMIT = 64


@dataclass(slots=True)
class Claim:
    """One RedeemPass on its way, for a lane; `deadline` monotonic seconds."""

    number: int
    lane: str
    grant: Grant
    deadline: float


@dataclass(slots=True)
class Claims:
    """The claims of a site; numbers are never used twice."""

    last: int = 0
    pending: dict[int, Claim] = field(default_factory=dict)
    late: dict[int, Claim] = field(default_factory=dict)

    @property
    def due(self) -> float:
        """When the first pending claim is overdue; infinite if none is pending."""
        return min((claim.deadline for claim in self.pending.values()), default=inf)

    def ask(self, lane: str, grant: Grant, deadline: float) -> Claim:
        """A new claim."""
        self.last += 1
        claim = self.pending[self.last] = Claim(self.last, lane, grant, deadline)
        return claim

    def answered(self, number: int) -> tuple[Claim | None, bool]:
        """Take the claim `number` out: itself (None if there is none), and whether it was in time."""
        claim = self.pending.pop(number, None)
        return (claim, True) if claim is not None else (self.late.pop(number, None), False)

    def overdue(self, time: float) -> list[Claim]:
        """The claims not answered in time; from now on an answer to them is late."""
        found = [claim for claim in self.pending.values() if claim.deadline <= time]
        for claim in found:
            self.late[claim.number] = self.pending.pop(claim.number)
        while len(self.late) > LATE_LIMIT:
            del self.late[next(iter(self.late))]
        return found
