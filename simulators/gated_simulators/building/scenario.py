"""A scenario: what is done, and what must then be seen. A TOML file, checked whole before anything is done.

    title = "One card"

    [[step]]
    part = "1 Staff card"
    do = "card lane-1 sato"
    expect = [
      { journal = "granted", lane = "lane-1" },
      { flap = "lane-1", is = "open", within_s = 2.0 },
    ]

`do` is one act or a list of them, in the words of `gatesim` (see commands), or `gatectl ...` as an operator
types it, or `start gated`. `keep = "name"` keeps what a gatectl call printed as JSON; `{name.0.key}` in a
later act is replaced by a value from it. The expectations of a step are met in order, each within its time.
"""

from __future__ import annotations

import difflib
import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from gated.core.reasons import Reason
from gated.errors import ConfigError, InputError
from gated.settings_file import check, read_toml
from gated_simulators.building import commands

OWN = re.compile(r"^(gatectl( |$)|(start|stop) (gated|gated-release)$)")
KEPT = re.compile(r"\{([a-z][a-z0-9_]*(?:\.[A-Za-z0-9_-]+)*)\}")

STATES: dict[str, tuple[str, ...]] = {
    "coil": ("energised", "at rest"),
    "lamp": ("on", "off"),
    "flap": ("open", "shut", "moving"),
    "beam": ("dark", "clear"),
    "contact": ("alarm", "trouble", "rest"),
    "signal": ("on", "off"),
    "device": ("ok", "fault"),
    "held": ("open", "may_shut"),
    "observed": ("open", "shut", "unknown"),
    "by_hand": ("yes", "no"),
    "input": ("clear", "active", "cut", "short", "undefined", "unknown"),
    "inspected": ("yes", "no"),
    "latched": ("yes", "no"),
    "drill": ("yes", "no"),
    "phase": ("starting", "normal", "alarm", "relock_pending"),
}
"""Subjects that have a state, and the states `is` may name."""
EVENTS = ("passed", "turned_back", "forced")
"""Subjects that happen to people at a lane; `count` says how often."""
OTHERS = ("journal", "exit", "says", "fault", "warning", "opened", "relocked", "unmoved", "same_process")


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _are_acts(acts: list[str]) -> list[str]:
    """Each is an act of ours or of an operator. Raises ValueError with every one that is not."""
    problems = []
    for act in acts:
        try:
            if not OWN.match(act):
                commands.parse(act)
            else:
                shlex.split(act)
        except (InputError, ValueError) as error:
            problems.append(f"{act!r}: {error}")
    if problems:
        raise ValueError("; ".join(problems))
    return acts


Acts = Annotated[list[str], BeforeValidator(_as_list), AfterValidator(_are_acts)]


class Expect(BaseModel):
    """One thing that must be seen: exactly one subject, and for those with a state, `is`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # at the far end of the wires
    coil: str | None = None  # "lane-1.release_entry", "lane-1.may_shut"
    lamp: str | None = None  # "lane-1.grant"
    flap: str | None = None
    beam: str | None = None  # "lane-1.entry"
    contact: str | None = None  # "fire-panel"
    signal: str | None = None  # a lamp or buzzer of the release, by its name in release.toml
    passed: str | None = None  # a person walked through the lane
    turned_back: str | None = None
    forced: str | None = None
    relocked: list[str] | None = None  # the emergency coils, in this order, `apart_s` from each other
    unmoved: list[str] | None = None  # lanes or coils: none changed since the step began
    # in the operator's view
    journal: Annotated[list[str] | None, BeforeValidator(_as_list)] = None  # one of these codes
    device: str | None = None
    held: str | None = None  # what the release process commands for a lane
    observed: str | None = None  # how the release process sees a lane
    by_hand: str | None = None  # whether it asks for a lane to be opened by hand
    opened: str | None = None  # it saw a lane open, and says how long that took
    input: str | None = None  # how it reads an input or monitor
    inspected: str | None = None  # whether an input is under inspection
    latched: str | None = None  # whether an input, "gatectl", "drill" or "latch-file" holds lanes open
    fault: str | None = None  # one of its faults holds these words
    warning: str | None = None  # one of its warnings holds these words
    drill: Literal["release"] | None = None  # whether all that is latched is a drill
    phase: Literal["release"] | None = None  # the phase of the release process
    same_process: Literal["gated", "gated-release"] | None = None  # has the process id it began with
    exit: int | None = None  # of the gatectl call of this step
    says: str | None = None  # the gatectl call's answer holds these words
    # how
    is_: str | None = Field(default=None, alias="is")
    lane: str | None = None
    way: Literal["entry", "exit"] | None = None
    access_point: str | None = None
    device_named: str | None = None
    count: int = Field(default=1, ge=1, le=100)
    within_s: float = Field(default=4.0, gt=0.0, le=120.0)
    apart_s: float = Field(default=0.0, ge=0.0, le=60.0)
    never: bool = False  # must not be seen, from the step's beginning until `within_s` after
    say: str | None = None  # what the table calls it

    @property
    def subject(self) -> str:
        """Which of the subjects this expectation is about."""
        return next(name for name in (*STATES, *EVENTS, *OTHERS) if getattr(self, name) is not None)

    @property
    def waits(self) -> bool:
        """Whether it is met by waiting for something, so that the time it took is worth telling."""
        timeless = ("exit", "says", "same_process", "unmoved", "relocked")
        return not self.never and self.subject not in timeless

    @field_validator("journal")
    @classmethod
    def _are_reasons(cls, codes: list[str] | None) -> list[str] | None:
        """A misspelt reason is never recorded, and so could never be missed."""
        for code in codes or []:
            if code.startswith(("denied_", "granted")) and code not in set(Reason):
                near = difflib.get_close_matches(code, set(Reason), 1)
                raise ValueError(f"no reason is called {code}{f'; did you mean {near[0]}?' if near else ''}")
        return codes

    @model_validator(mode="after")
    def _one_subject(self) -> Expect:
        names = [name for name in (*STATES, *EVENTS, *OTHERS) if getattr(self, name) is not None]
        if len(names) != 1:
            allowed = ", ".join((*STATES, *EVENTS, *OTHERS))
            raise ValueError(
                f"names {' and '.join(names) or 'no subject'}; it needs exactly one of {allowed}"
            )
        states = STATES.get(names[0])
        if states and self.is_ not in states:
            raise ValueError(f"{names[0]} needs is = one of {', '.join(states)}")
        if not states and self.is_ is not None:
            raise ValueError(f"{names[0]} has no state: remove is")
        return self

    def sentence(self) -> str:
        """The expectation in words, for the table."""
        if self.say:
            return self.say
        subject, value = self.subject, getattr(self, self.subject)
        text = " or ".join(value) if isinstance(value, list) else str(value)
        times = f" x{self.count}" if self.count > 1 else ""
        where = " ".join(w for w in (self.lane, self.access_point, self.device_named, self.way) if w)
        state = f" {self.is_}" if self.is_ else ""
        return (
            f"{'never ' if self.never else ''}{subject} {text}{state}{times}{' at ' + where if where else ''}"
        )


class Step(BaseModel):
    """Acts, then what must be seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: str = ""  # the heading under which the table shows it; empty: as the step before
    do: Acts = []
    keep: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    expect: list[Expect] = []

    @model_validator(mode="after")
    def _whole(self) -> Step:
        problems = []
        if (self.keep or any(e.exit is not None or e.says for e in self.expect)) and not any(
            act.startswith("gatectl") for act in self.do
        ):
            problems.append("keep, exit and says need a gatectl act in the same step")
        if not self.do and not self.expect:
            problems.append("does nothing and expects nothing")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class Scenario(BaseModel):
    """A titled list of steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    covers: list[Annotated[str, Field(pattern=r"^E([1-9]|10)$")]] = []
    """The rows of the emergency release's requirements that it plays."""
    step: list[Step] = Field(min_length=1)


def load(path: Path) -> Scenario:
    """Read and check a scenario. Raises ConfigError with one sentence for each problem."""
    found = read_toml(path)
    scenario, problems = check(Scenario, found)
    problems += _kept_by_nobody(found)
    if scenario is None or problems:
        raise ConfigError(str(path), problems)
    return scenario


def _kept_by_nobody(found: dict[str, Any]) -> list[str]:
    """Each {name} that no step before has kept; of a file that may have other errors."""
    problems: list[str] = []
    kept: set[str] = set()
    steps = found.get("step")
    for number, step in enumerate(steps if isinstance(steps, list) else []):
        acts = _as_list(step.get("do", [])) if isinstance(step, dict) else []
        problems += [
            f"step.{number}.do: {{{name}}} is kept by no earlier step"
            for act in (acts if isinstance(acts, list) else [])
            for name in KEPT.findall(str(act))
            if name.partition(".")[0] not in kept
        ]
        kept |= {str(step["keep"])} if isinstance(step, dict) and "keep" in step else set()
    return problems


def fill(act: str, kept: dict[str, Any]) -> str:
    """Replace each {name.key} by the value kept. Raises InputError when there is none."""

    def value(match: re.Match[str]) -> str:
        found: Any = kept
        for key in match[1].split("."):
            try:
                found = found[int(key)] if isinstance(found, list) else found[key]
            except (KeyError, IndexError, ValueError, TypeError) as error:
                raise InputError([f"{match[0]}: nothing of that name was printed"]) from error
        return str(found)

    return KEPT.sub(value, act)
