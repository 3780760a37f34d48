"""What a relay driver leaves behind: the one home of when `rest` is commanded and when it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from gated.ports import DriverFault, RelayBoard


@asynccontextmanager
async def at_rest(board: RelayBoard, rest: Mapping[int, bool]) -> AsyncIterator[None]:
    """Command `rest` at the end, except after a fault: the board is opened again soon and must not move."""
    faulted = False
    try:
        yield
    except DriverFault:
        faulted = True
        raise
    finally:
        if not faulted:
            with suppress(DriverFault):  # it is being closed: nobody is left to tell
                await board.switch(rest)
