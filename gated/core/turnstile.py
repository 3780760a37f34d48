"""One lane at work: its contacts, timers and grant drive the table of gated.core.lane.

Nothing here decides who may pass, and nothing but `apply` changes the state.
"""

# Over 300 lines: the state of one lane and what reads it belong together.

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from gated.core.actions import perform
from gated.core.effects import Record, RecordKind, SignalUser
from gated.core.grant import FAR_BEAM, FIRST_BEAM, OPPOSITE, Grant, Inputs
from gated.core.lane import TRANSITIONS, LaneInput, LaneState
from gated.core.model import Direction, Lane, LaneContact, LaneMode, Signal
from gated.core.moment import Moment
from gated.core.reasons import Reason

_PASSED = {LaneInput.PASSED, LaneInput.PASSED_AHEAD}
_CLOCKED = (LaneState.PASSING, LaneState.FORCED)  # from here the held time runs
_BLOCKED = (LaneState.FORCED, LaneState.HELD, LaneState.OBSTRUCTED)


class LaneView(NamedTuple):
    """What a lane shows: `reason` says for people why it is in an unusual state, or is empty."""

    id: str
    state: LaneState
    mode: LaneMode
    direction: Direction | None
    reason: str


def _at_rest() -> dict[LaneContact, bool | None]:
    # Not reported yet is taken for clear, so that a lane can start; a driver reports the first state at once.
    return {contact: None if contact is LaneContact.FLAP_OPEN else False for contact in LaneContact}


@dataclass(slots=True)
class Turnstile:
    """The state of one lane. Times are monotonic seconds."""

    plan: Lane
    mode: LaneMode
    mode_by_hand: LaneMode | None = None
    state: LaneState = LaneState.SECURED
    since: float = 0.0  # in this state; for HELD and OBSTRUCTED since somebody stands there
    contacts: dict[LaneContact, bool | None] = field(default_factory=_at_rest)
    flap_since: float = 0.0
    grant: Grant | None = None
    reserved: Grant | None = None  # a pass is being redeemed for it
    released: bool = False  # commanded, not observed
    opened: bool = field(init=False, default=False)  # both ways, as the second path of an emergency
    troubles: dict[str, str] = field(default_factory=dict)  # what is lost -> in words
    causes: tuple[str, ...] = ()
    signal_until: float | None = None
    last_direction: Direction | None = None
    last_passage: float = -inf
    suspects: dict[Direction, float] = field(default_factory=dict)  # see suspect(); until when

    @property
    def view(self) -> LaneView:
        """The lane as shown to people."""
        reason = "; ".join([*self.causes, *self.troubles.values()])
        direction = self.grant.direction if self.grant else None
        return LaneView(self.plan.id, self.state, self.mode, direction, reason)

    def busy(self, with_person: bool = True) -> bool:
        """Whether a grant is pending, or (`with_person`) somebody is in the lane without one."""
        if self.grant is not None or self.reserved is not None:
            return True
        return with_person and self.state in _BLOCKED

    @property
    def due(self) -> float:
        """When the next timer runs out; infinite if none runs."""
        due = inf if self.signal_until is None else self.signal_until
        times, state, grant = self.plan.times, self.state, self.grant
        if grant is not None:
            if grant.pulse_until is not None:
                due = min(due, grant.pulse_until)
            if state in (LaneState.RELEASED, LaneState.OUT_OF_SERVICE):
                due = min(due, grant.deadline)
        if state in _CLOCKED:
            due = min(due, self.since + times.held_s)
        elif state is LaneState.HELD:
            due = min(due, self.since + times.obstructed_s)
        elif state is LaneState.SECURED and self.contacts[LaneContact.FLAP_OPEN]:
            due = min(due, max(self.since, self.flap_since) + times.flap_s)
        return due

    def start(self, grant: Grant, m: Moment) -> None:
        """Release the lane for `grant`; the caller has recorded why."""
        times = self.plan.times
        assumed = not self.plan.has_beams and times.pulse_s is not None
        grant.deadline = m.time + (times.pulse_s or 0.0 if assumed else times.passage_s)
        grant.inherited = int(self._suspects(grant.direction, m))
        self.reserved, self.grant = None, grant
        self.apply(LaneInput.GRANTED, m)
        self.show(Signal.GRANT, m)
        if self.contacts[FIRST_BEAM[grant.direction]]:
            grant.steps_in = max(0, grant.steps_in - 1)  # a step taken while the lane was reserved
            self._apply_all(grant.step_into_first(), m)
        elif grant.reason is Reason.GRANTED_ASSIST and self.contacts[FAR_BEAM[grant.direction]]:
            grant.steps_in = 1  # the guard sees the person standing there
            self._apply_all(grant.step_into_far(True), m)

    def contact(self, contact: LaneContact, active: bool | None, m: Moment) -> None:
        """An input changed."""
        before = self.contacts[contact]
        if before is active:
            return
        self.contacts[contact] = active
        if contact is LaneContact.FLAP_OPEN:
            self.flap_since = m.time
            self.settle(m)
            return
        if contact is LaneContact.NOT_READY:
            words = {None: "not_ready unknown", True: "turnstile not ready"}
            self.trouble("not_ready", words.get(active), m)
            return
        self.trouble(contact.value, f"{contact.value} unknown" if active is None else None, m)
        if active is not None and before is not None:
            self._beam(contact, active, m)

    def trouble(self, key: str, words: str | None, m: Moment) -> None:
        """Something essential is lost (in `words`), or works again (None)."""
        before = bool(self.troubles)
        if words is None:
            self.troubles.pop(key, None)
        else:
            self.troubles[key] = words
        if bool(self.troubles) is before:
            return
        if not before:
            self.apply(LaneInput.FAULTED, m)
        elif self.state is LaneState.OUT_OF_SERVICE and self.grant is not None and self._occupied():
            self.grant.entered = True
            self.grant.far = self.grant.far or bool(self.contacts[FAR_BEAM[self.grant.direction]])
            self.apply(LaneInput.RESUMED, m)
        else:
            self.apply(LaneInput.RESTORED, m)
            self.settle(m)

    def emergency(self, held_open: bool, causes: tuple[str, ...], seen_open: bool, m: Moment) -> None:
        """The emergency release holds the lane open for `causes`, or no longer does."""
        was = self.state is LaneState.EMERGENCY
        self.causes = causes if held_open else ()
        if held_open and not was:
            self.apply(LaneInput.ALARMED, m)
        if held_open and not seen_open and not self.opened:
            self.apply(LaneInput.NOT_SEEN_OPEN, m)
        if was and not held_open:
            self.apply(LaneInput.ALL_CLEAR_FAULTED if self.troubles else LaneInput.ALL_CLEAR, m)
            self.settle(m)

    def reserve(self, grant: Grant, m: Moment) -> None:
        """Keep the lane for `grant` while its pass is being redeemed."""
        self.reserved = grant
        self.show(Signal.WAIT, m)

    def refuse(self, m: Moment) -> None:
        """Tell the person no; the lamp of a person who is passing is left alone."""
        if self.grant is None and self.reserved is None:
            self.show(Signal.DENY, m)

    def give_up_reservation(self, m: Moment) -> None:
        """The pass was not redeemed; the caller has recorded why."""
        self.reserved = None
        self.show(Signal.DENY, m)
        self.settle(m)

    def advance(self, m: Moment) -> None:
        """Run every timer that is due."""
        while self.due <= m.time:
            self._run_timer(m)

    def _run_timer(self, m: Moment) -> None:
        grant, state = self.grant, self.state
        if self.signal_until is not None and self.signal_until <= m.time:
            self.signal_until = None
            m.emit(SignalUser(self.plan.id, Signal.OFF))
        elif grant is not None and grant.pulse_until is not None and grant.pulse_until <= m.time:
            grant.pulse_until = None
            self.apply(LaneInput.PULSE_OVER, m)
        elif grant is not None and state is LaneState.OUT_OF_SERVICE:
            self.apply(LaneInput.GRACE_OVER, m)
        elif state is LaneState.RELEASED:
            self.apply(LaneInput.PASSAGE_TIME_OVER if self.plan.has_beams else LaneInput.PASSED, m)
            if grant is not None and grant.doubtful:  # nobody left: whoever it was went in
                self.apply(LaneInput.FOLLOWED, m)
            self.settle(m)
        elif state in _CLOCKED:
            self.apply(LaneInput.HELD_TIME_OVER, m)
        elif state is LaneState.HELD:
            self.apply(LaneInput.OBSTRUCTED_TIME_OVER, m)
        else:
            self.apply(LaneInput.FLAP_STAYED_OPEN, m)

    def show(self, signal: Signal, m: Moment) -> None:
        """Signal the person; in an emergency nothing but the emergency is shown."""
        if self.state is LaneState.EMERGENCY and signal is not Signal.EMERGENCY:
            return
        timed = signal in (Signal.GRANT, Signal.DENY)
        self.signal_until = m.time + self.plan.times.signal_s if timed else None
        m.emit(SignalUser(self.plan.id, signal))

    def _beam(self, contact: LaneContact, active: bool, m: Moment) -> None:
        grant = self.grant
        if self.state in (LaneState.EMERGENCY, LaneState.OUT_OF_SERVICE):
            return
        if grant is None:
            if self.reserved is not None and active and contact is FIRST_BEAM[self.reserved.direction]:
                self.reserved.steps_in += 1
            self.settle(m)
            return
        far_before = grant.far
        if contact is FIRST_BEAM[grant.direction]:
            far_active = bool(self.contacts[FAR_BEAM[grant.direction]])
            inputs = grant.step_into_first() if active else grant.leave_first(far_active)
        elif active:
            inputs = grant.step_into_far(opposed=self._may_leave_freely(grant.direction))
        else:
            inputs = grant.leave_far(bool(self.contacts[FIRST_BEAM[grant.direction]]))
        if LaneInput.BACKED_OUT in inputs:
            if self._suspects(OPPOSITE[grant.direction], m):
                # It looks like a step back, but may be the unseen person of an earlier grant walking out.
                self.suspects.clear()
                if grant.reason is Reason.GRANTED_FREE_EXIT:
                    grant.doubtful = True  # or the next one who leaves, between the beams: the end will tell
                else:
                    inputs = (LaneInput.FOLLOWED, *inputs)
            if far_before:
                self.suspect_intruder(grant, m)
        elif grant.doubtful and grant.steps_in > 1 and _PASSED & set(inputs):
            inputs = (LaneInput.FOLLOWED, *(i for i in inputs if i is not LaneInput.FOLLOWED))
        self._apply_all(inputs, m)
        self.advance(m)

    def settle(self, m: Moment) -> None:
        """Without a grant: what do the beams and the flap mean as they stand?"""
        if self.grant is not None:
            return
        if self.state is LaneState.SECURED:
            if self._occupied():
                self._explain(m)
        elif self.state in _BLOCKED and not self._occupied() and not self.contacts[LaneContact.FLAP_OPEN]:
            self.apply(LaneInput.CLEARED, m)

    def _explain(self, m: Moment) -> None:
        reserved = self.reserved
        if reserved is not None:
            # The person may wait in the first beam for the answer, and one who wants out may wait opposite.
            if not self.contacts[FAR_BEAM[reserved.direction]] or self._may_leave_freely(reserved.direction):
                return
        elif self.mode is LaneMode.FREE_EXIT and not self.contacts[LaneContact.BEAM_ENTRY]:
            grant = Grant(Direction.EXIT, Reason.GRANTED_FREE_EXIT, self.plan.outer)
            m.emit(Record(RecordKind.DECISION, grant.reason, self.plan.id, "", grant.direction))
            self.start(grant, m)
            return
        self.apply(LaneInput.FOLLOWED if self._follows(m) else LaneInput.INTRUDED, m)

    def _follows(self, m: Moment) -> bool:
        """Whether the person in the secured lane came on the heels of the last one who passed."""
        last = self.last_direction
        if any(self.contacts[FAR_BEAM[way]] and self._suspects(way, m) for way in Direction):
            self.suspects.clear()
            return True
        if last is None or m.time >= self.last_passage + self.plan.times.flap_s:
            return False
        return bool(self.contacts[FIRST_BEAM[last]])

    def suspect(self, way: Direction, m: Moment) -> None:
        """Somebody unseen may stand between the beams, heading that way (for obstructed_s at most)."""
        self.suspects[way] = m.time + self.plan.times.obstructed_s

    def suspect_intruder(self, grant: Grant, m: Moment) -> None:
        """Somebody may have come in by the far beam of a free exit, where the other one asks nobody."""
        if grant.direction is Direction.EXIT and self.mode is LaneMode.FREE_EXIT:
            self.suspect(Direction.ENTRY, m)

    def _suspects(self, way: Direction, m: Moment) -> bool:
        return m.time < self.suspects.get(way, -inf)

    def _may_leave_freely(self, granted: Direction) -> bool:
        return self.mode is LaneMode.FREE_EXIT and granted is Direction.ENTRY

    def _occupied(self) -> bool:
        return bool(self.contacts[LaneContact.BEAM_ENTRY] or self.contacts[LaneContact.BEAM_EXIT])

    def _apply_all(self, inputs: Inputs, m: Moment) -> None:
        for happening in inputs:
            self.apply(happening, m)

    def apply(self, happening: LaneInput, m: Moment) -> None:
        """Take one step in the table; an input that is illegal now changes nothing and is recorded."""
        transition = TRANSITIONS.get((self.state, happening))
        if transition is None:
            detail = {"state": self.state.value, "input": happening.value}
            m.emit(Record(RecordKind.AUDIT, "illegal_transition", self.plan.id, detail=detail))
            return
        if transition.state is not self.state:
            self.state = transition.state
            if self.state not in (LaneState.HELD, LaneState.OBSTRUCTED):
                self.since = m.time
        for action in transition.actions:
            perform(action, self, m)
