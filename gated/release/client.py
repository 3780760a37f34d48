"""Asking the emergency release: its state as a stream, and one request at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from gated import jsonlines
from gated.errors import GatedError
from gated.release.state import CauseReport, InputReport, InspectionReport, LaneReport, ReleaseState

__all__ = [
    "CauseReport",
    "InputReport",
    "InspectionReport",
    "LaneReport",
    "ReleaseState",
    "request",
    "status",
    "watch",
]

SILENCE_S = 3.0  # the release speaks at least once a second


async def watch(path: Path) -> AsyncIterator[ReleaseState]:
    """Yield the state at once, on each change, and at least once a second.

    Raises GatedError when nobody answers, after 3 s of silence, or when the release ends.
    """
    async for item in jsonlines.stream(path, "watch", silence_s=SILENCE_S):
        yield ReleaseState.from_json(item)
    raise GatedError(f"{path}: the emergency release ended the conversation")


async def status(path: Path) -> ReleaseState:
    """The state now. Raises GatedError when nobody answers."""
    return ReleaseState.from_json(await request(path, "status"))


async def request(path: Path, do: str, **args: Any) -> Any:
    """Ask once: `status`, or a verb of gated.release.desk with its words (`reset` with `by` and `why`).

    Raises RequestRefused with every reason of a refusal, GatedError when nobody answers.
    """
    return await jsonlines.request(path, do, **args)
