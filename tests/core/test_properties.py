"""A site under any sequence of events, with an arbiter that gives each pass away once."""

from __future__ import annotations

import copy
from collections.abc import Set as AbstractSet
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gated.core.effects import (
    Effect,
    FreezeRollCall,
    Record,
    RecordKind,
    RedeemPass,
    ReleaseLane,
    SecureLane,
    StoreMove,
)
from gated.core.events import (
    AssistCommanded,
    ContactChanged,
    CredentialPresented,
    DeadlinePassed,
    DeviceFaulted,
    DeviceRestored,
    EmergencyLinkLost,
    EmergencyReported,
    Event,
    LaneModeCommanded,
    PlanChanged,
    RedemptionAnswered,
)
from gated.core.lane import LaneState
from gated.core.model import (
    AntiPassback,
    Credential,
    CredentialKind,
    Direction,
    LaneContact,
    LaneMode,
    Now,
)
from gated.core.reasons import Reason
from gated.core.site import Site
from tests.core.sites import NOON, card, plan, visitor, with_lane, without_lane

LANES = ["lane-1", "lane-2"]
WITH_GRANT = {LaneState.RELEASED, LaneState.PASSING}
WITHOUT_GRANT = {LaneState.SECURED, LaneState.FORCED, LaneState.EMERGENCY}
BASE = plan(
    lane={"times": {"pulse_s": 0.7}},
    area={"anti_passback": AntiPassback.HARD, "anti_passback_timeout_s": 60.0, "occupancy_limit": 3},
)
PLANS = [
    BASE,
    without_lane(BASE, "lane-2"),
    with_lane(BASE, "lane-1", mode=LaneMode.FREE_EXIT),
    with_lane(BASE, "lane-2", has_beams=False),
    with_lane(BASE, "lane-2", essential=frozenset({"board-1", "board-3"})),
]
CREDENTIALS: list[Credential | None] = [
    None,
    card(b"a"),
    card(b"b"),
    card(b"denied", denied=True),
    visitor(b"pass-1"),
    visitor(b"pass-2"),
    visitor(b"used", used=True),
    Credential(b"group", CredentialKind.VISITOR_PASS, card().rights, activated=False, single_use=True),
]
ILLEGAL: list[Event] = [
    CredentialPresented("entry-9", b"a", card(b"a")),
    CredentialPresented("entry-1", b"a", card(b"a"), Reason.GRANTED),
    CredentialPresented("entry-1", b"a", card(b"a"), Reason.DENIED_LANE_BUSY),
    RedemptionAnswered(10**6, "won"),
    RedemptionAnswered(10**6, "perhaps"),
    ContactChanged("lane-9", LaneContact.BEAM_ENTRY, True),
    LaneModeCommanded("lane-9", LaneMode.CLOSED, "guard", "test"),
    AssistCommanded("lane-9", Direction.ENTRY, "guard", "test"),
]
points = st.sampled_from(["entry-1", "exit-1", "entry-2", "exit-2"])
beams = st.sampled_from([LaneContact.BEAM_ENTRY, LaneContact.BEAM_EXIT])
elapsed = st.sampled_from([0.0, 0.0, 0.05, 0.5, 1.9, 3.0, 5.0, 11.0, 31.0])


class AnySite(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.site = Site(BASE)
        self.twin = Site(BASE)
        self.time = 0.0
        self.open: frozenset[str] = frozenset()
        self.unseen: frozenset[str] = frozenset()  # of those, once not seen to open since the alarm
        self.opened: dict[str, frozenset[Direction]] = {}  # what the relays were last told
        self.claims: list[RedeemPass] = []
        self.taken: set[bytes] = set()
        self.granted: list[bytes] = []  # passes, per grant
        self.completed = self.moves = self.grants = 0
        self.inside: set[bytes] = set()  # who was seen to go in, or perhaps, and not seen to leave
        self.frozen: bool | None = None  # the last roll call of this emergency: for a drill?
        self.calls = 0

    def do(self, event: Event, later: float = 0.0) -> list[Effect]:
        self.time += later
        now = Now(self.time, NOON + timedelta(seconds=self.time))
        effects = self.site.handle(event, now)
        assert effects == self.twin.handle(copy.deepcopy(event), now)
        due = self.site.next_deadline
        assert due is None or due > self.time
        self._check(effects)
        return effects

    def _check(self, effects: list[Effect]) -> None:
        for number, effect in enumerate(effects):
            if isinstance(effect, SecureLane):
                assert effect.lane not in self.open
                self.opened.pop(effect.lane, None)
            elif isinstance(effect, ReleaseLane):
                before = effects[:number]
                assert any(isinstance(e, Record) and e.lane == effect.lane for e in before)
                self.opened[effect.lane] = effect.directions
            elif isinstance(effect, RedeemPass):
                self.claims.append(effect)
            elif isinstance(effect, StoreMove):
                self.moves += effect.entry.identifier != b"" and effect.entry.certain
            elif isinstance(effect, FreezeRollCall):
                self.calls += 1
                assert {entry.identifier for entry in effect.entries} == self.inside
            elif isinstance(effect, Record):
                self._check_record(effect)

    def _check_record(self, record: Record) -> None:
        assert record.code != "illegal_transition"
        if record.kind is RecordKind.DECISION and Reason(record.code).granted:
            self.grants += 1
            if record.direction is Direction.ENTRY:
                self.granted.append(record.identifier)
        self.completed += record.code == "completed"
        if record.identifier and record.code in ("completed", "unconfirmed"):
            left = record.code == "completed" and record.direction is Direction.EXIT
            (self.inside.discard if left else self.inside.add)(record.identifier)

    @rule(point=points, credential=st.sampled_from(CREDENTIALS), later=elapsed)
    def present(self, point: str, credential: Credential | None, later: float) -> None:
        self.do(CredentialPresented(point, credential.id if credential else b"?", credential), later)

    @rule(point=points, credential=st.sampled_from([card(b"a"), card(b"b")]))
    def walk_through(self, point: str, credential: Credential) -> None:
        self.do(CredentialPresented(point, credential.id, credential), 3.0)
        way, lane = point.split("-")
        order = [LaneContact.BEAM_ENTRY, LaneContact.BEAM_EXIT]
        first, far = order if way == "entry" else order[::-1]
        for contact, active in ((first, True), (far, True), (first, False), (far, False)):
            self.do(ContactChanged(f"lane-{lane}", contact, active), 0.3)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), known=st.booleans(), later=elapsed)
    def answer(self, data: st.DataObject, known: bool, later: float) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        self.claims.remove(claim)
        outcome = "unknown" if not known else "used" if claim.identifier in self.taken else "won"
        if outcome == "won":
            self.taken.add(claim.identifier)
        self.do(RedemptionAnswered(claim.claim, outcome), later)

    @rule(lane=st.sampled_from(LANES), contact=beams, active=st.booleans(), later=elapsed)
    def beam(self, lane: str, contact: LaneContact, active: bool, later: float) -> None:
        self.do(ContactChanged(lane, contact, active), later)

    @rule(
        lane=st.sampled_from(LANES),
        contact=st.sampled_from(LaneContact),
        active=st.sampled_from([True, False, False, None]),
    )
    def contact(self, lane: str, contact: LaneContact, active: bool | None) -> None:
        self.do(ContactChanged(lane, contact, active), 0.1)

    @rule(device=st.sampled_from(["board-1", "board-2", "board-3"]), lost=st.booleans(), later=elapsed)
    def device(self, device: str, lost: bool, later: float) -> None:
        self.do(DeviceFaulted(device, "cable") if lost else DeviceRestored(device), later)

    @rule(
        lanes=st.sets(st.sampled_from(LANES)),
        unseen=st.sets(st.sampled_from(LANES)),
        drill=st.booleans(),
        later=elapsed,
    )
    def emergency(self, lanes: set[str], unseen: set[str], drill: bool, later: float) -> None:
        self._expire(later)
        calls, expected = self.calls, self.frozen is None or (self.frozen and not drill)
        self.open = frozenset(lanes)
        self.unseen &= self.open
        self.do(EmergencyReported(self.open, ("fire",) if lanes else (), self.open & unseen, drill=drill))
        self._look(unseen)
        assert self.calls - calls == (bool(lanes) and expected)
        self.frozen = None if not lanes else drill if expected else self.frozen

    @rule()
    def link_lost(self) -> None:
        self.do(EmergencyLinkLost("silent"))

    @rule(lane=st.sampled_from(LANES), mode=st.sampled_from([None, *LaneMode]), later=elapsed)
    def mode(self, lane: str, mode: LaneMode | None, later: float) -> None:
        self.do(LaneModeCommanded(lane, mode, "guard", "test"), later)

    @rule(lane=st.sampled_from(LANES), direction=st.sampled_from(Direction), later=elapsed)
    def assist(self, lane: str, direction: Direction, later: float) -> None:
        self.do(AssistCommanded(lane, direction, "guard", "test"), later)

    @rule(the_plan=st.sampled_from(PLANS), later=elapsed)
    def replan(self, the_plan: object, later: float) -> None:
        self._expire(later)
        assert isinstance(the_plan, type(BASE))
        self.do(PlanChanged(the_plan))
        self._look(self.site.unconfirmed)

    def _look(self, unseen: AbstractSet[str]) -> None:
        """A lane that is not in the plan is not looked at; one that leaves it stays as it was left."""
        self.unseen |= unseen & self.open & self.site.lanes.keys()

    @rule(event=st.sampled_from(ILLEGAL), later=elapsed)
    def illegal(self, event: Event, later: float) -> None:
        self._expire(later)
        before = copy.deepcopy(self.site)
        (record,) = self.do(event)
        assert isinstance(record, Record)
        assert record.kind is RecordKind.AUDIT
        assert self.site == before

    @precondition(lambda self: self.site.next_deadline is not None)
    @rule()
    def deadline(self) -> None:
        due = self.site.next_deadline
        assert due is not None
        self.time = due
        self.do(DeadlinePassed())
        assert self.site.next_deadline != due

    def _expire(self, later: float) -> None:
        """Let the timers run first, so that what follows is the doing of the event alone."""
        self.do(DeadlinePassed(), later)

    @invariant()
    def a_lane_in_an_emergency_is_open(self) -> None:
        for name, lane in self.site.lanes.items():
            assert (lane.state is LaneState.EMERGENCY) is (name in self.open)
            if name in self.open:
                assert name not in self.unseen or self.opened[name] == frozenset(Direction)

    @invariant()
    def a_lane_is_commanded_as_it_says(self) -> None:
        for name, lane in self.site.turnstiles.items():
            assert lane.released is (name in self.opened)

    @invariant()
    def a_released_lane_has_somebody_to_release_it_for(self) -> None:
        for lane in self.site.turnstiles.values():
            assert not (lane.state in WITH_GRANT and lane.grant is None)
            assert not (lane.state in WITHOUT_GRANT and lane.grant is not None)
            if lane.released:
                assert lane.grant is not None or lane.state is LaneState.EMERGENCY
            assert (lane.state is LaneState.OUT_OF_SERVICE) <= bool(lane.troubles)

    @invariant()
    def a_used_pass_never_grants_again(self) -> None:
        for name in (b"pass-1", b"pass-2"):
            assert self.granted.count(name) <= 1
        assert not {b"used", b"denied", b"group"} & set(self.granted)

    @invariant()
    def nobody_passes_without_a_grant_of_their_own(self) -> None:
        assert self.moves <= self.completed <= self.grants

    @invariant()
    def nobody_is_off_the_roll_call_who_was_not_seen_to_leave(self) -> None:
        assert {entry.identifier for entry in self.site.roll_call()} == self.inside

    @invariant()
    def occupancy_agrees_with_the_roll_call(self) -> None:
        known = [entry for entry in self.site.roll_call("joined") if entry.certain]
        assert self.site.occupancy()["joined"] == len(known)


AnySite.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestAnySite = AnySite.TestCase
