"""Being served first: real-time priority, memory that stays in place, a garbage collector that stays away."""

from __future__ import annotations

import gc
import os
import resource

MCL_CURRENT, MCL_FUTURE = 1, 2  # mman.h
CAP_IPC_LOCK = 14  # capabilities(7)


def take_priority(priority: int) -> str | None:
    """Ask for SCHED_FIFO at `priority` (1 to 99; 0: do not ask). None when granted, else why not.

    Threads made afterwards inherit it: the disk thread must, or it would hold the interpreter while it
    waits for a processor.
    """
    if not priority:
        return "no real-time priority: the configuration asks for none"
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        return f"no real-time priority: {error.strerror} (LimitRTPRIO= or CAP_SYS_NICE grants it)"
    return None


def lock_memory() -> str | None:
    """Keep every page in memory. None when granted, else why not.

    Only without a limit: under a limit, a later allocation would fail instead of being swapped.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if hard != resource.RLIM_INFINITY and not _capable(CAP_IPC_LOCK):
        return "memory is not locked: it is limited (LimitMEMLOCK=infinity or CAP_IPC_LOCK grants it)"
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
    import ctypes  # here, because most of arming does not need it

    if ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT | MCL_FUTURE):
        return f"memory is not locked: {os.strerror(ctypes.get_errno())}"
    return None


def settle_garbage() -> None:
    """Leave all that exists now out of every later collection, and make full collections rare."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(10_000, 20, 100)


def _capable(capability: int) -> bool:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123
            line = next(line for line in status if line.startswith("CapEff:"))
        return bool(int(line.split()[1], 16) >> capability & 1)
    except (OSError, StopIteration, ValueError):
        return False
