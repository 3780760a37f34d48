"""What the drivers on serial lines share: saying why a port does not open, and never blocking the loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gated.ports import DriverFault

T = TypeVar("T")


def why_not_open(port: str) -> str:
    """Why a serial port that did not open did not, as a sentence that says what to do."""
    if not Path(port).exists():
        return "there is no such device; check the cable and the port name"
    if not os.access(port, os.R_OK | os.W_OK):
        return "no permission to use it; add the user to the group dialout"
    return "it cannot be opened; another program may be using it, or it is not a serial port"


async def in_thread(work: Callable[[], T], timeout_s: float, doing: str) -> T:
    """Run a blocking call in a thread of its own and return its result.

    Raises what it raises, or DriverFault after `timeout_s`; the thread is then left to itself.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as raised:
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    thread = threading.Thread(target=run, name=doing, daemon=True)
    thread.start()
    try:
        async with asyncio.timeout(timeout_s):
            return await done
    except TimeoutError:
        raise DriverFault(
            f"{doing} takes more than {timeout_s:g} s; unplug the device and plug it in"
        ) from None
