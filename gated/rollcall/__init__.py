"""The roll call of an emergency: who may have been inside at the moment of alarm, kept until it is closed."""

from gated.rollcall.keeper import RollCalls
from gated.rollcall.sheet import Person, Sheet, read_all

__all__ = ["Person", "RollCalls", "Sheet", "read_all"]
