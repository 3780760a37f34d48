"""Prove that the emergency release opens fast and always: print the table, one row for each condition.

    python -m gated_simulators.proof [--cell NAME ...] [--trials N] [--quick] [--json FILE] [--markdown FILE]

Exit code: 0 nothing is red, in the rows and in the exploration of the machine; 1 something is. Percentiles
count from 1000 (p99) and 10,000 trials (p99.9) on; a row that had fewer and is not red says "few".
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from gated.errors import GatedError
from gated_simulators.bench.site import load_average
from gated_simulators.proof import report
from gated_simulators.proof.cells import CELLS, Cell, Sizes, measure
from gated_simulators.proof.stage import surroundings
from gated_simulators.proof.verdict import Result

QUICK = Sizes(main=1000, others=200, killed=5, hung=2)
CHECKOUT = Path(__file__).resolve().parents[3]
EXPLORATION = "tests.release.exploration"
EXPLORATION_S = 1800


async def prove(cells: Sequence[Cell], sizes: Sizes) -> list[Result]:
    """Measure the rows, and print each when it is done."""
    results = []
    async with surroundings() as around:
        print(report.head(), flush=True)
        for cell in cells:
            result = await measure(cell, around, sizes.of(cell))
            if sys.stderr.isatty():
                print("\r\033[K", end="", file=sys.stderr)
            print(report.line(result), flush=True)
            results.append(result)
    return results


def explore() -> tuple[bool, list[str]]:
    """The exhaustive exploration of the machine, which is a test: whether it is content, and its figures."""
    if not (CHECKOUT / "tests" / "release").is_dir():
        return False, ["not explored: this is not a checkout"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", EXPLORATION],
            cwd=CHECKOUT,
            check=False,
            capture_output=True,
            text=True,
            timeout=EXPLORATION_S,
        )
    except subprocess.TimeoutExpired:
        return False, [f"not done within {EXPLORATION_S} s"]
    said = done.stdout.strip().splitlines() or done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
    return done.returncode == 0, [line.rstrip() for line in said]


def machine(load_before: float) -> dict[str, object]:
    """Where and when it was measured."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _commit(),
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "kernel": f"{platform.system()} {platform.release()} {platform.version()}",
        "python": platform.python_version(),
        "load before and after": f"{load_before} and {load_average()}",
    }


def _processor() -> str:
    try:
        info = Path("/proc/cpuinfo").read_text()
    except OSError:
        info = ""
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(CHECKOUT), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return (git("rev-parse", "--short=12", "HEAD") or "unknown") + (", with changes" if changed else "")
    except OSError:
        return "unknown"


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="./dev prove-release", description=__doc__.partition("\n")[0])
    names = [cell.name for cell in CELLS]
    parser.add_argument("--cell", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument(
        "--trials", type=int, metavar="N", help="alarms of each row (strikes: at most as usual)"
    )
    parser.add_argument("--quick", action="store_true", help="few trials: some minutes instead of hours")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the page docs/release-proof.md")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else Sizes()
    if (trials := arguments.trials) is not None:
        if trials < 1:
            parser.error("--trials: at least 1")
        killed, hung = min(trials, sizes.killed), min(trials, sizes.hung)
        sizes = replace(sizes, main=trials, others=trials, killed=killed, hung=hung)
    cells = [cell for cell in CELLS if not arguments.cell or cell.name in arguments.cell]
    load_before = load_average()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left running or mounted
    try:
        results = asyncio.run(prove(cells, sizes))
        content, explored = explore()
    except KeyboardInterrupt:
        return 130
    except GatedError as error:
        print(f"the proof could not begin: {error}", file=sys.stderr)
        return 1
    about = machine(load_before)
    print("\nevery state of the machine:", *explored, sep="\n  ")
    print(
        "\n"
        + "\n".join(
            f"{result.title}: {result.evidence or 'the condition did not hold'}" for result in results
        )
    )
    print("\n" + "\n".join(f"{name}: {value}" for name, value in about.items()))
    red = [result.title for result in results if result.faults()] + ["exploration"] * (not content)
    few = any(result.verdict == "few" for result in results)
    good = "NOTHING RED, but too few trials to be green" if few else "GREEN: every row"
    print("\n" + (f"RED: {', '.join(red)}" if red else good))
    if arguments.json:
        found = {"rows": [result.to_json() for result in results], "explored": explored, "machine": about}
        arguments.json.write_text(json.dumps(found | {"red": red}, indent=2) + "\n", encoding="utf-8")
    if arguments.markdown:
        arguments.markdown.write_text(report.page(results, explored, about), encoding="utf-8")
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main())
