"""A site on the bench: a plan to vary, a clock to move, and every effect kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from gated.core.effects import Effect, Record, RecordKind, RedeemPass, ReleaseLane, SecureLane, SignalUser
from gated.core.events import (
    AssistCommanded,
    ContactChanged,
    CredentialPresented,
    DeadlinePassed,
    EmergencyReported,
    Event,
    LaneModeCommanded,
    RedemptionAnswered,
)
from gated.core.lane import LaneState
from gated.core.model import (
    AccessPoint,
    AccessRights,
    Area,
    Credential,
    CredentialKind,
    Direction,
    Lane,
    LaneContact,
    LaneMode,
    LaneTimes,
    Now,
    Plan,
)
from gated.core.reasons import Reason
from gated.core.site import Site

ENTRY, EXIT = Direction.ENTRY, Direction.EXIT
FIRST, FAR = LaneContact.BEAM_ENTRY, LaneContact.BEAM_EXIT  # for a person who enters
EVERYWHERE = AccessRights(zones=frozenset({"*"}))
NOON = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)  # a Tuesday, 12:00 in Tokyo

E = TypeVar("E")


def plan(lane: dict[str, Any] | None = None, area: dict[str, Any] | None = None, **over: Any) -> Plan:
    """Two lanes into one area with a reader each way; `lane` and `area` vary lane-1 and the area."""
    times = LaneTimes(**(lane or {}).pop("times", {}))
    lanes = {
        "lane-1": Lane("lane-1", "joined", times=times, essential=frozenset({"board-1"}), **(lane or {})),
        "lane-2": Lane("lane-2", "joined", essential=frozenset({"board-2"})),
    }
    points = {
        f"{way}-{number}": AccessPoint(f"{way}-{number}", f"lane-{number}", way)
        for number in (1, 2)
        for way in Direction
    }
    areas = {"joined": Area("joined", frozenset({"main", "new", "west"}), **(area or {}))}
    return Plan(areas=areas, lanes=lanes, access_points=points, **over)


def card(name: bytes = b"card", rights: AccessRights = EVERYWHERE, **over: Any) -> Credential:
    return Credential(name, rights=rights, **over)


def visitor(name: bytes = b"pass", rights: AccessRights = EVERYWHERE, **over: Any) -> Credential:
    over = {"single_use": True, **over}
    return Credential(name, CredentialKind.VISITOR_PASS, rights, **over)


class Bench:
    """A site whose clock stands still until `wait`, which honours every deadline on the way."""

    def __init__(self, the_plan: Plan | None = None, utc: datetime = NOON) -> None:
        self.site = Site(the_plan or plan())
        self.time = 1000.0
        self.utc = utc
        self.trusted = True
        self.log: list[Effect] = []
        if self.site.next_deadline is not None:
            self.do(DeadlinePassed())

    @property
    def now(self) -> Now:
        return Now(self.time, self.utc, self.trusted)

    def do(self, event: Event) -> list[Effect]:
        effects = self.site.handle(event, self.now)
        self.log += effects
        due = self.site.next_deadline
        assert due is None or due > self.time
        return effects

    def wait(self, seconds: float) -> list[Effect]:
        end, effects = self.time + seconds, list[Effect]()
        while (due := self.site.next_deadline) is not None and due <= end:
            self._to(due)
            effects += self.do(DeadlinePassed())
        self._to(end)
        return effects

    def _to(self, time: float) -> None:
        self.utc += timedelta(seconds=time - self.time)
        self.time = time

    def at(self, utc: datetime) -> Bench:
        self.wait((utc - self.utc).total_seconds())
        return self

    def present(self, credential: Credential | None, point: str = "entry-1", **over: Any) -> list[Effect]:
        identifier = credential.id if credential else b"stranger"
        return self.do(CredentialPresented(point, identifier, credential, **over))

    def answer(self, outcome: str, claim: int | None = None) -> list[Effect]:
        if claim is None:
            claim = of(self.log, RedeemPass)[-1].claim
        return self.do(RedemptionAnswered(claim, outcome))

    def beams(self, steps: str, lane: str = "lane-1") -> list[Effect]:
        """`steps` such as "F+ X+ F- X-": F the entry beam, X the exit beam, 0 unknown."""
        effects = list[Effect]()
        for step in steps.split():
            contact = {"F": FIRST, "X": FAR, "O": LaneContact.FLAP_OPEN, "N": LaneContact.NOT_READY}[step[0]]
            effects += self.do(ContactChanged(lane, contact, {"+": True, "-": False, "0": None}[step[1]]))
        return effects

    def emergency(
        self, *lanes: str, causes: tuple[str, ...] = ("fire",), unseen: tuple[str, ...] = ()
    ) -> list[Effect]:
        return self.do(EmergencyReported(frozenset(lanes), causes if lanes else (), frozenset(unseen)))

    def mode(self, mode: LaneMode | None, lane: str = "lane-1") -> list[Effect]:
        return self.do(LaneModeCommanded(lane, mode, "guard", "test"))

    def assist(self, direction: Direction = ENTRY, lane: str = "lane-1") -> list[Effect]:
        return self.do(AssistCommanded(lane, direction, "guard", "wheelchair"))

    def state(self, lane: str = "lane-1") -> LaneState:
        return self.site.lanes[lane].state

    def enter(self, credential: Credential | None = None, lane: int = 1) -> list[Effect]:
        """A person enters with `credential`: the whole walk."""
        effects = self.present(credential or card(), f"entry-{lane}")
        return effects + self.beams("F+ X+ F- X-", f"lane-{lane}")

    def leave(self, credential: Credential | None = None, lane: int = 1) -> list[Effect]:
        effects = self.present(credential or card(), f"exit-{lane}")
        return effects + self.beams("X+ F+ X- F-", f"lane-{lane}")


def of(effects: list[Effect], kind: type[E]) -> list[E]:
    return [effect for effect in effects if isinstance(effect, kind)]


def records(effects: list[Effect], kind: RecordKind | None = None) -> list[str]:
    """The codes of the records among `effects`."""
    return [r.code for r in of(effects, Record) if kind is None or r.kind is kind]


def reason(effects: list[Effect]) -> Reason:
    """The one decision among `effects`."""
    (record,) = [r for r in of(effects, Record) if r.kind is RecordKind.DECISION]
    return Reason(record.code)


def relays(effects: list[Effect]) -> list[ReleaseLane | SecureLane]:
    return [effect for effect in effects if isinstance(effect, ReleaseLane | SecureLane)]


def signals(effects: list[Effect]) -> list[str]:
    return [signal.signal.value for signal in of(effects, SignalUser)]


def with_lane(the_plan: Plan, name: str, **over: Any) -> Plan:
    return replace(the_plan, lanes={**the_plan.lanes, name: replace(the_plan.lanes[name], **over)})


def without_lane(the_plan: Plan, name: str) -> Plan:
    return replace(the_plan, lanes={key: lane for key, lane in the_plan.lanes.items() if key != name})
