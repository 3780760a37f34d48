"""How soon the services serve and how much memory they take, beside the floor of the language."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time

from gated_simulators.bench import release
from gated_simulators.bench.figures import Figures, spread
from gated_simulators.bench.site import Shared, Site, rss_mib
from gated_simulators.processes import serving_pid

SERVING_S = 3.0
LIBRARIES = "import asyncio, sqlite3, structlog, pydantic"
INTERPRETER = "import asyncio"
_RSS = "; print(open('/proc/self/status').read().partition('VmRSS:')[2].split()[0])"


async def measure(shared: Shared, times: int) -> dict[str, Figures]:
    """startup_s, rss_mib (both with the whole list and no camera) and release_armed_s."""
    started: list[float] = []
    resident: list[float] = []
    for turn in range(times):
        site = Site(shared, f"start-{turn}")
        async with site.far_end(), site.gated() as took:
            started.append(took)
            if turn < 2:
                await site.devices_work()
                await asyncio.sleep(SERVING_S)
                resident.append(rss_mib(serving_pid(site.path / "gated.sock")))
    floor, floor_rss = _bare(LIBRARIES, times)
    armed = await release.armed(times)
    bare, _ = _bare(INTERPRETER, times)
    return {
        "startup_s": spread(started) | {"rival": {"name": f"python -c '{LIBRARIES}'", **spread(floor)}},
        "rss_mib": {
            "value": max(resident),
            "n": len(resident),
            "rival": {"name": f"python -c '{LIBRARIES}'", "value": statistics.median(floor_rss)},
        },
        "release_armed_s": spread(armed) | {"rival": {"name": f"python -c '{INTERPRETER}'", **spread(bare)}},
    }


def _bare(code: str, times: int) -> tuple[list[float], list[float]]:
    """Seconds and MiB of an interpreter that only imports."""
    seconds, sizes = [], []
    for _ in range(times):
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", code + _RSS], check=True, capture_output=True, env=dict(os.environ)
        )
        seconds.append(time.monotonic() - began)
        sizes.append(round(int(done.stdout) / 1024, 1))
    return seconds, sizes
