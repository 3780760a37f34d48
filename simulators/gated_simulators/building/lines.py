"""An input's line from its contact to the board, and what damage does to it. Pure.

A dry contact shows the board two states, so a cut or shorted line looks like one of them. A supervised line
carries two resistors at its far end, one in series with the contact and one across it; the board measures
the loop and tells cut and short from open and closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gated.wiring import Input


class Condition(StrEnum):
    """How the line is."""

    WHOLE = "whole"
    CUT = "cut"
    SHORT = "short"
    MISTERMINATED = "misterminated"  # across the contact is the same resistor as in series with it


@dataclass
class Line:
    """The line of one input. `active`: its contact is in alarm, or tells of trouble."""

    name: str
    where: Input
    supervised: bool
    active: bool = False
    condition: Condition = Condition.WHOLE
    apart: bool = False  # the contact bounces, and is not where it will come to rest

    @property
    def contact_closed(self) -> bool:
        """Where the contact itself is."""
        return (self.active != self.apart) == self.where.when

    @property
    def closed(self) -> bool:
        """The loop as a board without supervision sees it."""
        if self.condition is Condition.CUT:
            return False
        return self.condition is Condition.SHORT or self.contact_closed

    def seen(self) -> str:
        """What the damage looks like at the board, for the technician who did it; empty for a whole line."""
        if self.condition is Condition.WHOLE:
            return ""
        if self.supervised:
            return f"{self.name} is supervised: {self.condition} is told from alarm and from rest"
        looks = "in alarm" if self.closed == self.where.when else "at rest: nobody can see the damage"
        return f"{self.name} is a dry contact: {self.condition}, it reads {looks}"
