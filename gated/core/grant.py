"""One grant and the person on it: what the two beams of a lane say about who passed.

The first beam is the one the person meets first, the far beam the other. Two beams cannot see a person
who stands between them, so a first beam that clears may mean that somebody stepped back or went in;
the grant therefore counts every step into the first beam, and once the person has reached the far beam
any further step in is a second person.
"""

from __future__ import annotations

from dataclasses import dataclass

from gated.core.lane import LaneInput
from gated.core.model import Direction, LaneContact
from gated.core.reasons import Reason

Inputs = tuple[LaneInput, ...]

FIRST_BEAM = {Direction.ENTRY: LaneContact.BEAM_ENTRY, Direction.EXIT: LaneContact.BEAM_EXIT}
OPPOSITE = {Direction.ENTRY: Direction.EXIT, Direction.EXIT: Direction.ENTRY}
FAR_BEAM = {Direction.ENTRY: LaneContact.BEAM_EXIT, Direction.EXIT: LaneContact.BEAM_ENTRY}


@dataclass(slots=True)
class Grant:
    """Leave for one person to pass in one direction. Times are monotonic seconds."""

    direction: Direction
    reason: Reason
    area: str  # the area it leads into
    access_point: str = ""
    identifier: bytes = b""
    single_use: bool = False
    deadline: float = 0.0
    pulse_until: float | None = None
    steps_in: int = 0
    inherited: int = 0  # 1 when somebody unseen may stand between the beams from an earlier grant
    entered: bool = False
    far: bool = False
    unseen: bool = False  # came to the far beam from between the beams
    followed: bool = False  # the person now in the first beam has been reported
    doubtful: bool = False  # a free exit whose step back may have been an intruder walking in

    def step_into_first(self) -> Inputs:
        """The first beam was interrupted."""
        self.steps_in += 1
        if not self.entered:
            self.entered, self.far, self.followed, self.unseen = True, False, False, False
            return (LaneInput.ENTERED,)
        if self.far:
            self.followed = True
            return (LaneInput.FOLLOWED,)
        return ()

    def leave_first(self, far_active: bool) -> Inputs:
        """The first beam cleared."""
        return () if far_active or not self.entered else self._back_out()

    def step_into_far(self, opposed: bool) -> Inputs:
        """The far beam was interrupted; `opposed`: people may come up there on their own (free exit)."""
        if self.entered:
            self.far = True
            return ()
        if self.steps_in:  # the person was between the beams
            self.entered = self.far = self.unseen = True
            return (LaneInput.ENTERED,)
        return () if opposed and not self.inherited else (LaneInput.INTRUDED,)

    def leave_far(self, first_active: bool) -> Inputs:
        """The far beam cleared."""
        if not self.entered:
            return ()
        if not first_active:
            return (LaneInput.PASSED,) if self.far else self._back_out()
        if self.far and self.steps_in + self.inherited > 1:
            ahead = (LaneInput.PASSED_AHEAD,)
            return ahead if self.followed else (LaneInput.FOLLOWED, *ahead)
        return ()

    def _back_out(self) -> Inputs:
        self.entered = self.far = False
        return (LaneInput.BACKED_OUT,)
