"""What the drivers on serial lines share: saying why a port does not open, and never blocking the loop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gated.ports import DriverFault

if TYPE_CHECKING:
    import serial  # drivers without a serial line work without it

T = TypeVar("T")


def why_not_open(port: str) -> str:
    """Why a serial port that did not open did not, as a sentence that says what to do."""
    try:
        Path(port).stat()
    except PermissionError:
        return "no permission to look for it; open its directory to the user of the service"
    except OSError:
        return "there is no such device; check the cable and the port name"
    if not os.access(port, os.R_OK | os.W_OK):
        return "no permission to use it; add the user to the group dialout"
    return "it cannot be opened; another program may be using it, or it is not a serial port"


@contextmanager
def os_errors() -> Iterator[None]:
    """Turn what termios raises, which is no OSError, into one: an adapter pulled out while it is opened."""
    try:
        yield
    except termios.error as error:
        raise OSError(*error.args) from error


def close_line(line: serial.Serial) -> None:
    """Close a line that was opened for this process alone, for every process; may block.

    The lock would stay with whoever inherited the descriptor, and nobody could open the port again.
    """
    with suppress(OSError):
        fcntl.flock(line.fileno(), fcntl.LOCK_UN)
    line.close()


async def in_thread(
    work: Callable[[], T], timeout_s: float, doing: str, undo: Callable[[T], object] = lambda result: None
) -> T:
    """Run a blocking call in a thread of its own and return its result.

    Raises what it raises, or DriverFault after `timeout_s`; the thread is then left to itself. A result
    that nobody waits for any more is given to `undo`, when cancelled before this returns.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            settle = partial(done.set_result, work())
        except Exception as error:
            settle = partial(done.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            loop.call_soon_threadsafe(settle)

    def clear_away(late: asyncio.Future[T]) -> None:
        if late.exception() is None:
            undo(late.result())

    threading.Thread(target=run, name=doing, daemon=True).start()
    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.shield(done)
    except TimeoutError:
        done.add_done_callback(clear_away)
        raise DriverFault(f"{doing} takes over {timeout_s:g} s; unplug the device and plug it in") from None
    except asyncio.CancelledError:
        done.add_done_callback(clear_away)
        await asyncio.wait({done}, timeout=timeout_s)
        raise
