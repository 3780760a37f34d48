"""Visitor and day passes: issue, encode, verify, redeem."""

from gated.passes.desk import Desk
from gated.passes.store import Store
from gated.passes.verify import Verifier

__all__ = ["Desk", "Store", "Verifier"]
