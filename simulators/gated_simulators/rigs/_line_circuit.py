"""A supervised line as a circuit: two resistors, a contact, two wires, a pull-up, and what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass
class LineCircuit:
    """One line, in ohms; `supply` is the pull-up's, as a part of the converter's full scale."""

    series: float = 2200.0
    parallel: float = 8200.0
    pull_up: float = 10_000.0
    wires: float = 5.0
    contact: float = 0.1  # of the closed contact
    supply: float = 1.0
    fault: Literal["", "cut", "short"] = ""
    cut_leaks: float = 5e6  # what a cut wire still conducts by
    short_at: float = 0.0  # how far along the wires they touch, 0 to 1

    def ratio(self, closed: bool) -> float:
        """The voltage at the converter's input as a part of full scale; above 1 it clips."""
        if self.fault == "cut":
            end = self.cut_leaks
        elif self.fault == "short":
            end = self.wires * self.short_at
        else:
            shunted = self.parallel * self.contact / (self.parallel + self.contact)
            across = shunted if closed else self.parallel
            end = self.wires + self.series + across
        return min(1.0, self.supply * end / (end + self.pull_up))
