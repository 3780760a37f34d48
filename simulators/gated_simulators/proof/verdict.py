"""What a row of the proof must show, and whether it does."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from gated_simulators.bench.figures import Figures, ratio, spread
from gated_simulators.bench.release import Trials

P99_MS, P999_MS, ALL_MS, TIMES_FLOOR = 0.5, 2.0, 50.0, 2.0
HUNG_MS = 2000.0
ENOUGH = {"p99": 1000, "p999": 10_000}  # trials below which that percentile is the luck of a few
LATENCY, NO_PRIORITY, KILLED, HUNG = "latency", "no priority", "killed", "hung"
"""Kinds of rows, by their marks: the whole of them; seen to open; all within ALL_MS; all within HUNG_MS."""


@dataclass
class Result:
    """One row: what was measured, beside which floor, and under which condition as it was seen to hold."""

    cell: str
    title: str
    kind: str
    asked: int
    trials: Trials = field(default_factory=Trials)
    floor: Trials = field(default_factory=Trials)
    evidence: str = ""  # that the condition held; empty: it did not
    realtime: bool = False  # granted to the release
    failure: str = ""  # why it could not be measured at all
    skipped: str = ""  # why it was not tried
    seconds: float = 0.0

    @property
    def figures(self) -> Figures:
        """Milliseconds."""
        return spread(self.trials.ms)

    @property
    def times_floor(self) -> float | None:
        """Our 99th percentile over the floor's."""
        return ratio(self.figures, spread(self.floor.ms))

    def faults(self, marks: bool = True) -> list[str]:
        """Why the row is red; empty: it is green. Without `marks` only what must hold on any machine."""
        if self.skipped:
            return [f"not measured: {self.skipped}"]
        if self.failure:
            return [f"failed: {self.failure}"]
        found = []
        if self.trials.missed:
            found.append(f"{self.trials.missed} alarms missed")
        if self.trials.stuck:
            found.append(self.trials.stuck)
        elif len(self.trials.ms) + self.trials.missed < self.asked:
            found.append(f"only {len(self.trials.ms)} of {self.asked} trials")
        if not self.evidence:
            found.append("the condition did not hold")
        if self.kind == LATENCY and not self.realtime and marks:
            found.append("real-time priority was not granted")
        if self.kind != NO_PRIORITY and (self.realtime or marks):
            found += self._late(marks)
        return found

    @property
    def judged(self) -> bool:
        """There were enough trials for every mark of the row."""
        return self.kind != LATENCY or len(self.trials.ms) >= max(ENOUGH.values())

    @property
    def verdict(self) -> str:
        """In one word; "few": it opened each time in time, too seldom for a percentile."""
        return "red" if self.faults() else "green" if self.judged else "few"

    def _late(self, marks: bool) -> list[str]:
        limits = {"max": HUNG_MS if self.kind == HUNG else ALL_MS}
        if self.kind == LATENCY and marks:
            limits = {"p99": P99_MS, "p999": P999_MS} | limits
        limits = {key: limit for key, limit in limits.items() if len(self.trials.ms) >= ENOUGH.get(key, 0)}
        figures, names = self.figures, {"p999": "p99.9", "max": "the longest"}
        found = [
            f"{names.get(key, key)} is {figures[key]:.2f} ms, the mark is {limit:g}"
            for key, limit in limits.items()
            if figures.get(key, 0.0) > limit
        ]
        times = self.times_floor
        if "p99" in limits and times is not None and times > TIMES_FLOOR:
            found.append(f"p99 is {times:.2f} times the floor's, the mark is {TIMES_FLOOR:g}")
        return found

    def to_json(self) -> dict[str, Any]:
        """Everything but the single trials."""
        whole = asdict(self)
        for key in ("trials", "floor"):
            whole[key] = spread(getattr(self, key).ms) | {"missed": getattr(self, key).missed}
        return whole | {"times_floor": self.times_floor, "verdict": self.verdict, "faults": self.faults()}
