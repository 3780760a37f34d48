"""Following the emergency release until something is seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar, cast

from gated.errors import GatedError
from gated.release import client
from gated.release.state import ReleaseState

T = TypeVar("T")


class NotSeen(GatedError):
    """It was waited for, and not seen in time."""


async def until(
    path: Path,
    seen: Callable[[ReleaseState], T | None],
    within_s: float,
    otherwise: Callable[[ReleaseState | None], str],
    first: Callable[[], Awaitable[object]] | None = None,
) -> T:
    """The first thing but None that `seen` finds in a state; `first` is done once the states are followed.

    Raises NotSeen with the words of `otherwise` (given the last state) after `within_s` seconds, GatedError
    when nobody answers, and what `first` and `seen` raise.
    """
    last: ReleaseState | None = None
    states = cast(AsyncGenerator[ReleaseState, None], client.watch(path))
    try:
        async with asyncio.timeout(within_s), aclosing(states):
            async for last in states:
                if first is not None:
                    begin, first = first, None
                    await begin()
                elif (found := seen(last)) is not None:
                    return found
    except TimeoutError:
        raise NotSeen(otherwise(last)) from None
    raise GatedError(f"{path}: the emergency release ended the conversation")
