"""The link to the emergency release: what it says becomes events; its silence is an event too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gated.core.events import EmergencyLinkLost, EmergencyReported
from gated.errors import GatedError
from gated.release import client
from gated.supervisor import FIRST_BACKOFF_S

MAX_BACKOFF_S = 1.0
"""Longest pause between two attempts: an emergency must not go unseen for long."""

DRILL = "drill"  # the cause, as the release says it

NOT_CONFIGURED = "no emergency release is configured (site.release_socket): emergencies go unseen"


class ReleaseLink:
    """Follows the state socket of gated-release for ever; tells only what changes."""

    def __init__(
        self,
        path: Path | None,
        reported: Callable[[EmergencyReported], object],
        lost: Callable[[EmergencyLinkLost], object],
    ) -> None:
        self.path = path
        self.state: client.ReleaseState | None = None
        self.fault: str | None = "gated-release was not heard from yet"
        self.since = datetime.now(UTC)
        self._reported = reported
        self._lost = lost
        self._told: EmergencyReported | EmergencyLinkLost | None = None
        self._known = asyncio.Event()
        self._listening = False

    async def run(self) -> None:
        """Serve until cancelled; without a socket the fault is told once and stays."""
        if self.path is None:
            self._lose(NOT_CONFIGURED)
            return
        backoff = FIRST_BACKOFF_S
        while True:
            try:
                async for state in client.watch(self.path):
                    backoff = FIRST_BACKOFF_S
                    self._hear(state)
            except GatedError as error:
                self._lose(str(error))
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, MAX_BACKOFF_S)

    async def known(self, within_s: float) -> None:
        """Until the release was heard, or found not to answer, or `within_s` seconds are over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._known.wait()

    def status(self) -> dict[str, Any]:
        """For `gatectl status`; the release's last word stands while the link is down."""
        state = self.state
        return {
            "link": "up" if self.fault is None else "down",
            "fault": self.fault or "",
            "since": self.since.isoformat(timespec="seconds"),
            "phase": state.phase if state else "unknown",
            "causes": [{"input": c.input, "cause": c.cause} for c in state.causes] if state else [],
            "faults": list(state.faults) if state else [],
        }

    def _hear(self, state: client.ReleaseState) -> None:
        self.state = state
        self._known.set()
        event = EmergencyReported(
            state.open_lanes,
            tuple(dict.fromkeys(cause.cause for cause in state.causes)),
            state.unconfirmed_lanes,
            state.drill,
            _since(state),
            None if state.open_lanes else self._last_open(state),
        )
        self._listening = True
        if self.fault is not None:
            self.since = datetime.now(UTC)
            self.fault = None
        if event != self._told:
            self._told = event
            self._reported(event)

    def _last_open(self, state: client.ReleaseState) -> datetime | None:
        """When a lane was last held open; after a silence, also when an alarm input was last active."""
        told = [state.last_open_at]
        if not self._listening:
            told += [one.last_active for one in state.inputs.values()]
        return max(filter(None, map(_instant, told)), default=None)

    def _lose(self, why: str) -> None:
        self.fault = why
        self._listening = False
        self._known.set()
        if not isinstance(self._told, EmergencyLinkLost):
            self.since = datetime.now(UTC)
            self._told = EmergencyLinkLost(why)
            self._lost(self._told)


def _since(state: client.ReleaseState) -> datetime | None:
    """When the oldest latched cause was; of those that are no drill, if it is none."""
    causes = [cause for cause in state.causes if state.drill or cause.cause != DRILL]
    return min(filter(None, (_instant(cause.latched_at) for cause in causes)), default=None)


def _instant(text: str) -> datetime | None:
    """An aware instant, or None for anything else."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None
