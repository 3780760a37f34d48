"""The port behind which several gates agree (DESIGN 8); one box uses the local store in gated.passes.

Domain-shaped on purpose: what a site needs settled, not how messages travel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from gated.core.events import PresenceEntry

Outcome = Literal["won", "used", "unknown"]


class Fleet(Protocol):
    """Settles single use and remembers presence. Awaiting never stalls the event loop."""

    async def claim(self, pass_id: bytes, access_point: str) -> Outcome:
        """Claim a single-use pass. "won" is durable on return; "unknown" when it could not be settled."""
        ...

    async def move(self, entry: PresenceEntry) -> None:
        """Remember a presence entry, durably soon (not before return)."""
        ...

    async def presence(self) -> Sequence[PresenceEntry]:
        """Every remembered entry, read once at start."""
        ...
