"""What persons ask of the release: every reason to refuse it, and how it stands in the records.

Opening asks for a name and a reason and for no right: whoever reaches the socket may open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from gated.release.words import (
    Audit,
    Cause,
    DrillRequested,
    InspectEnded,
    InspectRequested,
    OpenRequested,
    Request,
    ResetRequested,
)

if TYPE_CHECKING:
    from gated.release.machine import Machine


# The code of each request's records, and what it is called.
REQUESTS: dict[type[Request], tuple[str, str]] = {
    ResetRequested: ("reset", "reset"),
    OpenRequested: ("open", "opening"),
    DrillRequested: ("drill", "drill"),
    InspectRequested: ("inspection", "inspection"),
    InspectEnded: ("inspection_end", "end of an inspection"),
}


def refusals(machine: Machine, asked: Request) -> list[str]:
    """Every reason for which this request is refused now; empty when it is allowed."""
    match asked:
        case ResetRequested(by, why):
            person = _person(machine, by, "reset")
            return [*_reset_state(machine), *person, *_why("a reset", why), *_unclear(machine)]
        case OpenRequested(by, why, lanes):
            nobody = [] if by.strip() else ["opening needs the name of who opens"]
            return [*nobody, *_why("opening", why), *_lanes(machine, lanes)]
        case DrillRequested(by, why, lanes):
            person = _person(machine, by, "have a drill")
            return [*_drill_state(machine), *person, *_why("a drill", why), *_lanes(machine, lanes)]
        case InspectRequested(name, by, why):
            person = _person(machine, by, "have an input inspected")
            reason = _why("an inspection", why)
            return [*_inspection(machine, name), *person, *reason, *_time(machine, asked.for_s)]
        case InspectEnded(name, by):
            over = [] if name in machine.inspections else [f"{name} is not being inspected"]
            return [*over, *_person(machine, by, "end an inspection")]


def _person(machine: Machine, by: str, may: str) -> Iterator[str]:
    allowed = machine.plan.reset_by
    if by not in allowed:
        yield f"{by or 'nobody'} is not one of those who may {may} ({', '.join(allowed)})"


def _why(what: str, why: str) -> Iterator[str]:
    if not why.strip():
        yield f"{what} needs its reason"


def _lanes(machine: Machine, lanes: Iterable[str]) -> Iterator[str]:
    for lane in sorted(set(lanes) - machine.plan.lanes.keys()):
        yield f"there is no lane called {lane!r}; there are: {', '.join(machine.plan.lanes)}"


def _relocking(machine: Machine) -> Iterator[str]:
    if machine.reset:
        yield f"{machine.reset.by} reset already, the lanes are being relocked"


def _reset_state(machine: Machine) -> Iterator[str]:
    if not machine.latched:
        yield "nothing is latched"
    yield from _relocking(machine)


def _unclear(machine: Machine) -> Iterator[str]:
    for name, state in machine.inputs.items():
        if state.active:
            yield f"{name} ({machine.plan.inputs[name].cause}) is still active"
        elif state.active is None:
            yield f"{name} cannot be read, so it is not known to be clear"


def _drill_state(machine: Machine) -> Iterator[str]:
    yield from _relocking(machine)
    if machine.latched and not machine.drill:
        real = ", ".join(f"{s.cause} of {s.input}" for s in machine.latched if s.cause is not Cause.DRILL)
        yield f"this is an alarm and no drill: {real}"


def _inspection(machine: Machine, name: str) -> Iterator[str]:
    plan = machine.plan.inputs.get(name)
    if plan is None:
        yield f"there is no input called {name!r}; there are: {', '.join(machine.plan.inputs)}"
        return
    if plan.cause is Cause.MANUAL:
        yield f"{name}: a manual release cannot be inhibited"
    if name in machine.inspections:
        yield f"{name} is being inspected already, by {machine.inspections[name].by}"
    if any(source.input == name for source in machine.latched):
        yield f"{name} is latched; reset first"
    state = machine.inputs[name]
    if state.active:
        yield f"{name} is active now; an inspection is asked for before its input is tried"
    elif state.active is None and plan.open_on_fault:
        yield f"{name} cannot be read, and its loss opens"


def _time(machine: Machine, for_s: float) -> Iterator[str]:
    longest = machine.plan.times.inspect_max_s
    if not 0 < for_s <= longest:  # also true of what is no number
        yield f"an inspection lasts more than 0 and at most {longest / 3600:g} hours, not {for_s / 3600:g}"


def refused(asked: Request, reasons: Iterable[str]) -> Audit:
    """The record of a refusal."""
    code, what = REQUESTS[type(asked)]
    text = f"{what} by {asked.by or 'nobody'} refused: " + "; ".join(reasons)
    return Audit(f"{code}_refused", text, 4, detail(asked))


def detail(asked: Request) -> dict[str, str]:
    """Who asked for what, why and through whom, as plain details of a record."""
    told = {"by": asked.by, "via": asked.via}
    if not isinstance(asked, InspectEnded):
        told["why"] = asked.why
    if isinstance(asked, InspectRequested | InspectEnded):
        told["input"] = asked.input
    if isinstance(asked, OpenRequested | DrillRequested):
        told["lane"] = ",".join(sorted(asked.lanes))
    return told
