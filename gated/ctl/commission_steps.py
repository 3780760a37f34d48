"""The steps of a commissioning, in their order, from the configuration; and what came of each. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from gated.release.config import ReleaseConfig
from gated.release.words import Cause

PASSED, FAILED, NOT_DONE = "passed", "failed", "not done"


class Step(NamedTuple):
    """One thing to do: its kind, what it is done to (an input, lane, device or wire), a line for people."""

    kind: str
    subject: str
    title: str

    @property
    def id(self) -> str:
        """The step's name in the progress file and the report."""
        return f"{self.kind} {self.subject}".strip()


@dataclass(frozen=True)
class Result:
    """What came of a step: `outcome`, when (UTC, ISO 8601), what was measured (ms), seen and said."""

    outcome: str
    at: str = ""
    measured_ms: dict[str, float] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    remark: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "seen": list(self.seen)}

    @classmethod
    def from_json(cls, data: Any) -> Result:
        """From plain data. Raises KeyError, TypeError, ValueError or AttributeError on anything else."""
        measured = {str(name): float(value) for name, value in data["measured_ms"].items()}
        seen = tuple(str(line) for line in data["seen"])
        return cls(str(data["outcome"]), str(data["at"]), measured, seen, str(data["remark"]))


def wired(config: ReleaseConfig) -> dict[str, tuple[str, str]]:
    """Input and lane of each contact that shall open a lane by its own wire, by what the step is done to."""
    return {
        f"{name} {lane}": (name, lane)
        for name, plan in config.plan.inputs.items()
        for lane in config.plan.lanes
        if plan.cause in (Cause.FIRE, Cause.MANUAL) and lane in plan.lanes
    }


def steps(config: ReleaseConfig) -> list[Step]:
    """Every step that this release asks for."""
    return list(_steps(config))


def _steps(config: ReleaseConfig) -> Iterator[Step]:
    for name, plan in config.plan.inputs.items():
        lanes = ", ".join(sorted(plan.lanes))
        yield Step("trip", name, f"input {name} ({plan.cause}) opens {lanes}, stays latched, is reset")
        yield Step("pulse", name, f"input {name}: a pulse of a second or less latches")
        yield Step("cut", name, f"input {name}: its line is cut")
    for subject, (name, lane) in wired(config).items():
        yield Step("wire", subject, f"input {name}: its contact in the loop of {lane} opens it alone")
    for lane in config.plan.lanes:
        yield Step("open", lane, f"lane {lane}: opens, measured, and is relocked")
    boards = dict.fromkeys(name for name, _ in config.coils)
    for name in dict.fromkeys([*boards, *(name for name, _ in config.wires)]):
        what = "outputs" if name in boards else "inputs"
        yield Step("cable", name, f"device {name} ({what}): its data cable is pulled")
    for name in boards:
        yield Step("power", name, f"board {name}: loses its power")
    yield Step("kill", "", "gated-release is killed")
    yield Step("hang", "", "gated-release hangs")
    yield Step("box", "", "the box loses its power")
