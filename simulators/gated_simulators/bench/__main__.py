"""Measure everything, print the table.

    python -m gated_simulators.bench [--json FILE] [--quick]

Exit code: 0 measured, whether the marks are met or not (the table says); 1 a measurement failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gated.errors import GatedError
from gated_simulators.bench import gate, qr, release, start, stores
from gated_simulators.bench.figures import Figures
from gated_simulators.bench.site import Shared, load_average
from gated_simulators.bench.table import Mark, Row, missed, render

ROWS = (
    Row("card_to_relay_ms", "card answered -> relay command at the board, ms", Mark("p99", 1.0)),
    Row(
        "card_to_relay_slow_flush_ms", "  the same, each flush takes 10 ms more", Mark("over_plain.p99", 1.1)
    ),
    Row("card_to_relay_cameras_ms", "  the same, two cameras decode", Mark("over_plain.p99", 1.1)),
    Row("pass_to_relay_ms", "pass decoded -> relay command written, ms"),
    Row("lookup_us", "lookup in the allowlist, us", Mark("p99", 50)),
    Row("swap_visible_ms", "swap of a full list visible, ms", Mark("max", 10)),
    Row("lookup_during_swap_us", "lookup during swaps, us", Mark("max", 5000)),
    Row("load_s", "load of a full list from CSV, s"),
    Row("journal_append_us", "journal append, us"),
    Row("journal_durable_us", "journal append -> durable, us"),
    Row("claim_ms", "claim of a pass, durable, ms"),
    Row("alarm_to_release_ms", "alarm contact -> release outputs, cores busy, ms", Mark("p99", 1.0)),
    Row("alarm_to_release_idle_ms", "  the same, cores idle"),
    Row("alarm_to_release_pty_ms", "  the same, cores busy, over a pty (a kernel thread carries bytes)"),
    Row("startup_s", "gated: start -> serving, s", Mark("p50", 0.5)),
    Row("rss_mib", "gated: resident while serving, MiB", Mark("value", 50)),
    Row("release_armed_s", "gated-release: start -> outputs commanded, s", Mark("p50", 0.25)),
    Row("qr_read_rate", "codes read, share of pictures", Mark("value", 0.84, True, "photographs")),
    Row("qr_frame_ms", "CPU for a frame with a code, ms"),
    Row("qr_idle_ms", "CPU for a frame without one, ms"),
)


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    rows: int = 1_000_000
    cards: int = 1500
    rival_cards: int = 450
    passes: int = 300
    alarms: int = 1000
    other_alarms: int = 200
    starts: int = 7
    lookups: int = 50_000
    swaps: int = 20
    journal: int = 20_000
    claims: int = 2_000


QUICK = Sizes(
    rows=100_000,
    cards=200,
    rival_cards=50,
    passes=50,
    alarms=80,
    other_alarms=40,
    starts=3,
    lookups=10_000,
    swaps=5,
    journal=5_000,
    claims=500,
)


def _stores(size: Sizes) -> dict[str, Figures]:
    lookup = stores.measure_lookup(size.rows, size.lookups)
    swap = stores.measure_swap(size.rows, size.swaps)
    load = stores.measure_load(size.rows)
    journal = stores.measure_journal(size.journal)
    passes = stores.measure_passes(size.claims)
    others = lookup["rival"]
    return {
        "lookup_us": lookup["lookup_us"]
        | {
            "rival": {"name": "SQLite, text anew for each question", **others["sqlite_unprepared_us"]},
            "also": [{"name": "a dict in memory", **others["dict_us"]}],
            "rows": size.rows,
        },
        "swap_visible_ms": swap["visible_ms"]
        | {"rival": {"name": "swapped on the loop, nobody served", **swap["rival"]["swap_on_the_loop_ms"]}},
        "lookup_during_swap_us": swap["lookup_us"],
        "load_s": {"value": load["load_s"], "n": 1, "peak_mib": load["peak_mib"], "rows": size.rows},
        "journal_append_us": journal["append_us"],
        "journal_durable_us": journal["durable_us"]
        | {"rival": {"name": "write and flush, one by one", **journal["rival"]["write_and_flush_us"]}},
        "claim_ms": passes["claim_ms"]
        | {"rival": {"name": "committed on the loop", **passes["rival"]["claim_on_the_loop_ms"]}},
    }


def _qr() -> dict[str, Figures]:
    found = qr.measure(qr.photos_from_environment())
    rate, cost, idle = found["qr_read_rate"], found["qr_frame_ms"], found["qr_idle_ms"]
    names = {"zxing": "zxing-cpp, one pass", "zbar": "pyzbar"}
    source, n = found["qr_source"], rate["n"]
    shares = [{"name": names[k], "value": rate[k], "n": n} for k in names if k in rate]
    costs = [{"name": names[k], **cost[k]} for k in names if k in cost]
    return {
        "qr_read_rate": {"value": rate["ours"], "n": n, "source": source}
        | {"rival": shares[0], "also": shares[1:]},
        "qr_frame_ms": cost["ours"] | {"source": source, "rival": costs[0], "also": costs[1:]},
        "qr_idle_ms": idle["ours"] | {"source": source, "rival": {"name": names["zxing"], **idle["zxing"]}},
    }


def _parts(shared: Shared, size: Sizes) -> dict[str, Callable[[], Awaitable[dict[str, Figures]]]]:
    return {
        "card to relay": lambda: gate.measure_cards(shared, size.cards, size.rival_cards),
        "pass to relay": lambda: gate.measure_passes(shared, size.passes),
        "start and memory": lambda: start.measure(shared, size.starts),
        "alarm to release": lambda: release.measure(size.alarms, size.other_alarms),
        "stores": lambda: asyncio.to_thread(_stores, size),
        "codes": lambda: asyncio.to_thread(_qr),
    }


def measure(size: Sizes) -> tuple[dict[str, Figures], list[str]]:
    """Every figure that could be measured, and what failed."""
    found: dict[str, Figures] = {}
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="gated-bench-") as name:
        shared = Shared(Path(name), size.rows)
        _say(f"a list of {size.rows} cards ...")
        shared.make()
        for part, work in _parts(shared, size).items():
            _say(f"{part} ...")
            began = time.monotonic()
            try:
                found |= asyncio.run(_awaited(work))
            except (GatedError, OSError, TimeoutError) as error:
                failed.append(f"{part}: {error or type(error).__name__}")
            _say(f"{part}: {time.monotonic() - began:.0f} s")
    return found, failed


async def _awaited(work: Callable[[], Awaitable[dict[str, Figures]]]) -> dict[str, Figures]:
    return await work()


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--quick", action="store_true", help="fewer trials and a smaller list; 90 s")
    arguments = parser.parse_args()
    machine: dict[str, Any] = {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "processors": len(os.sched_getaffinity(0)),
        "load_before": load_average(),
        "quick": arguments.quick,
    }
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left running or lying about
    began = time.monotonic()
    try:
        found, failed = measure(QUICK if arguments.quick else Sizes())
    except KeyboardInterrupt:
        return 130
    machine |= {"load_after": load_average(), "seconds": round(time.monotonic() - began)}
    print(render(ROWS, found))
    print("\n" + ", ".join(f"{name} {value}" for name, value in machine.items()))
    for line in missed(ROWS, found):
        print(line)
    for line in failed:
        print(f"FAILED {line}")
    if arguments.json:
        met = {row.key: row.mark.met(found[row.key]) for row in ROWS if row.mark and row.key in found}
        text = json.dumps({**found, "met": met, "machine": machine, "failed": failed}, indent=2)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
