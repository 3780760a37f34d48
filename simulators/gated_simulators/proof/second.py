"""A second board of the release, on a pty, that gives trouble: a process of its own.

    python -m gated_simulators.proof.second PORT flood|replug

`flood` fills the line with random bytes as fast as it takes them; `replug` pulls the adapter and puts it
back all the time. It begins at the first line on standard input; each further one is answered by how
much there was, bytes or pulls.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
from types import SimpleNamespace

from gated_simulators.rigs._modbus_board import ModbusBoardRig

PIECE = 1024  # bytes of garbage at a time
OUT_S, IN_S = (
    (0.01, 0.1),
    (0.05, 0.6),
)  # how long the adapter is out, and in: less and more than it takes to open


async def flood(rig: ModbusBoardRig, count: list[int]) -> None:
    """Random bytes for ever."""
    loop = asyncio.get_running_loop()
    ends = rig._cable._ends
    assert ends is not None
    garbage = os.urandom(1 << 16)
    while True:
        start = random.randrange(len(garbage) - PIECE)
        try:
            count[0] += os.write(ends[0], garbage[start : start + PIECE])
        except BlockingIOError:
            room: asyncio.Future[None] = loop.create_future()
            loop.add_writer(ends[0], _free, room)
            await room
            loop.remove_writer(ends[0])
        await asyncio.sleep(0)


def _free(room: asyncio.Future[None]) -> None:
    if not room.done():
        room.set_result(None)


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
