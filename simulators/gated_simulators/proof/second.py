"""A second board of the release, on a pty, that gives trouble: a process of its own.

    python -m gated_simulators.proof.second PORT flood|replug

`flood` fills the line with random bytes as fast as the fastest line carries them; `replug` pulls the adapter
and puts it back all the time. It begins at the first line on standard input; each further one is answered
by how much there was, bytes or pulls.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
from types import SimpleNamespace

from gated_simulators.rigs._modbus_board import ModbusBoardRig

BYTES_S = 100_000  # bytes of garbage a second: 1,000,000 baud, the most a driver can be set to
PIECE, BURST = 64, 8192  # bytes at a time, and when they are late
OUT_S, IN_S = (
    (0.01, 0.3),
    (0.3, 1.2),
)  # how long the adapter is out, and in: less and more than it takes to open


async def flood(rig: ModbusBoardRig, count: list[int]) -> None:
    """Random bytes for ever."""
    loop = asyncio.get_running_loop()
    ends = rig._cable._ends
    assert ends is not None
    garbage = os.urandom(1 << 16)
    due = loop.time()
    while True:
        start = random.randrange(len(garbage) - PIECE)
        with contextlib.suppress(BlockingIOError):  # nobody reads, or not so fast
            count[0] += os.write(ends[0], garbage[start : start + PIECE])
        due = max(due + PIECE / BYTES_S, loop.time() - BURST / BYTES_S)
        await asyncio.sleep(due - loop.time())


async def replug(rig: ModbusBoardRig, count: list[int]) -> None:
    """Out and in for ever."""
    while True:
        await asyncio.sleep(random.uniform(*IN_S))
        rig.cut()
        count[0] += 1
        await asyncio.sleep(random.uniform(*OUT_S))
        rig.mend()


async def main(port: str, trouble: str) -> None:
    """Until standard input ends."""
    rig = ModbusBoardRig(SimpleNamespace(port=port, unit=1))
    count = [0]
    print("plugged in", flush=True)
    loop = asyncio.get_running_loop()
    work: asyncio.Task[None] | None = None
    while await loop.run_in_executor(None, sys.stdin.readline):
        if work is None:
            work = asyncio.create_task((flood if trouble == "flood" else replug)(rig, count))
        else:
            print(count[0], flush=True)
    rig.cut()
    if work is not None:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
