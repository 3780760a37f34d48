"""The proof in words: the table on the terminal, and the page that a fire officer reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gated_simulators.bench.figures import spread
from gated_simulators.proof.verdict import (
    ALL_MS,
    HUNG_MS,
    P99_MS,
    P999_MS,
    TIMES_FLOOR,
    Result,
)

HEAD = ("trials", "p50", "p99", "p99.9", "max", "missed", "floor p99", "times", "verdict")
NAME, COLUMN = 58, 10

# Of a line at `baud`: 8N1 sends 10 bits a byte, and a frame ends with 3.5 bytes of silence.
BITS, SILENCE = 10, 3.5
POLL_REQUEST, POLL_ANSWER = 8, 6
LOOK_REQUEST, LOOK_ANSWER = 8, 6
WRITE_REQUEST = 10

HOW = f"""\
A trial is one alarm. A simulated relay and contact board, a process of its own with a higher real-time
priority than everything else, closes the alarm contact at a random moment (0.5 to 4.5 ms after the lanes
were relocked, so at any phase of the polling). It takes the time when it hands over the answer that carries
the alarm bit, and again when the last coil of all lanes has been commanded open. Then the contact opens, a
named person resets at the release's socket, and the lanes are held again: each trial goes through the whole
machine, its latch and its records on disk.

- **Around every row** each core is kept busy by a process that only computes, and a real `gated` runs,
  follows the release at its socket and decodes two cameras (640 x 480, 15 frames a second).
- **Floor**: a bare blocking loop on a line of its own of the same board: no latch, no records, no
  supervision. The two take turns in the same run, 500 alarms and 100 of the floor's, so that whatever else
  the machine does falls on both. `times` is our 99th percentile over the floor's.
- **Wire**: Modbus RTU over a TCP connection of the same machine, as a serial device server offers it. A
  pseudo-terminal would be nearer to a serial port, but the kernel hands its bytes over by a worker of
  ordinary priority, which waits milliseconds for a busy processor whatever our priority is; a UART's
  interrupt does not.
- **A missed alarm** is one that led to no opening within 2 s. It makes the row red, whatever its
  percentiles.
- **Marks** for rows with real-time priority: p99 {P99_MS:g} ms, p99.9 {P999_MS:g} ms, all within {ALL_MS:g}
  ms, p99 at most {TIMES_FLOOR:g} times the floor's, none missed. Without priority: none missed. Killed: the
  outputs are open within {ALL_MS:g} ms. Hung: within {HUNG_MS / 1000:g} s.
- **That the condition held** is seen in each row, and told below; a row whose condition did not hold is
  red.
- **The clock** is stepped for the release's process alone, by a small library loaded into it (`clock.c`): to
  step the clock of the machine that measures would harm whatever else runs on it. The monotonic clock is left
  alone, as a real step leaves it. The floor runs under the same library. A kernel's own clock is stepped in
  the virtual machine (`.ci/vm`), where an alarm must open but no time is measured.
- **Disk full** is a small memory file system that is filled; **read-only** is an ext4 file system that the
  kernel shuts down under the open files (`remount,abort`), as it does when a disk dies.
- **An update** is `pip install --force-reinstall` of a wheel of this very version, again and again, into
  the environment from which the release runs.
- **Killed and hung** are timed from the signal to the last coil at the board, by a clock that both share.
"""

ON_TOP = """\
## What comes on top

The table tells what the software takes. Before it comes the wait for the next poll, and around it the time
on the wire. The longest way from the contact to the coil of a Modbus board is

    polling + look + answer + software + write

- polling: the contact closes just after it was read, and is read again one interval later: `poll_s`, or the
  time of a whole poll where that is longer (request {poll_request} and answer {poll_answer} bytes);
- look: a read-back of the coils may go first (request {look_request} and answer {look_answer} bytes), twice
  a second;
- answer: {poll_answer} bytes; write: {write_request} bytes for up to eight neighbouring coils;
- a byte is {bits} bits, and each frame is followed by {silence:g} bytes of silence.

At {baud} baud and `poll_s` = {poll_s:g} that is {polling:.1f} + {look:.1f} + {answer:.1f} + {software:.1f}
+ {write:.1f} = **{whole:.0f} ms**, with the software's longest allowed p99.9; at 115200 baud {fast:.0f} ms.
The board's own delay before an answer (a few milliseconds on cheap ones), debouncing where it is configured
(`bounce_s`), the relay (5 to 10 ms) and the gate's own movement come on top of that.
"""


def on_the_wire(baud: int, poll_s: float) -> dict[str, float]:
    """Milliseconds of each part of the longest way from a contact to a coil at `baud` bits a second."""

    def ms(*frames: int) -> float:
        return sum(1e3 * BITS * (size + SILENCE) / baud for size in frames)

    parts = {
        "polling": max(1e3 * poll_s, ms(POLL_REQUEST, POLL_ANSWER)),
        "look": ms(LOOK_REQUEST, LOOK_ANSWER),
        "answer": ms(POLL_ANSWER),
        "software": P999_MS,
        "write": ms(WRITE_REQUEST),
    }
    return parts | {"whole": sum(parts.values())}


def on_top(baud: int = 9600, poll_s: float = 0.02) -> str:
    """What the table leaves out, with its figures."""
    return ON_TOP.format(
        poll_request=POLL_REQUEST,
        poll_answer=POLL_ANSWER,
        look_request=LOOK_REQUEST,
        look_answer=LOOK_ANSWER,
        write_request=WRITE_REQUEST,
        bits=BITS,
        silence=SILENCE,
        baud=baud,
        poll_s=poll_s,
        fast=on_the_wire(115200, poll_s)["whole"],
        **on_the_wire(baud, poll_s),
    )


def cells_of(result: Result) -> list[str]:
    """A row's figures as words, in the order of HEAD."""
    figures, floor = result.figures, spread(result.floor.ms)
    numbers = [_ms(figures.get(key)) for key in ("p50", "p99", "p999", "max")]
    times = "" if result.times_floor is None else f"{result.times_floor:.2f}"
    trials = str(len(result.trials.ms) + result.trials.missed)
    return [trials, *numbers, str(result.trials.missed), _ms(floor.get("p99")), times, result.verdict]


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.3f}"


def line(result: Result) -> str:
    """One row of the terminal's table, and below it why it is red."""
    told = _line(result.title, cells_of(result))
    return "\n".join([told, *(f"    {fault}" for fault in result.faults())])


def head() -> str:
    """The heading of the terminal's table; milliseconds."""
    text = _line("ms from the alarm bit to the last output", HEAD)
    return f"{text}\n{'-' * len(text)}"


def _line(name: str, cells: Sequence[str]) -> str:
    return f"{name:<{NAME}}" + "".join(f"{cell:>{COLUMN}}" for cell in cells)


def page(results: Sequence[Result], explored: Sequence[str], machine: Mapping[str, Any]) -> str:
    """The page of docs/."""
    red = [result.title for result in results if result.faults()]
    rows = ["| " + " | ".join(["condition", *HEAD]) + " |", "|---" * (len(HEAD) + 1) + "|"]
    rows += ["| " + " | ".join([result.title, *cells_of(result)]) + " |" for result in results]
    few = [result.title for result in results if result.verdict == "few"]
    verdict = f"Red: {', '.join(red)}." if red else "Too few trials." if few else "Every row is green."
    parts = [
        "# Proof of the emergency release",
        "`./dev prove-release --markdown docs/release-proof.md` measured this and wrote this page. "
        "Milliseconds from the alarm on the wire to the last output commanded open.",
        "\n".join(f"- {name}: {value}" for name, value in machine.items()),
        "\n".join(rows),
        f"**{verdict}**",
        "## Why rows are red\n\n" + "\n".join(_red(results)) if red else "",
        "## How it is measured\n\n" + HOW.rstrip(),
        "## That the conditions held\n\n" + "\n".join(f"- {r.title}: {r.evidence or 'no'}" for r in results),
        on_top().rstrip(),
        "## Every state of the machine\n\n" + "\n".join(f"    {said}" for said in explored),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _red(results: Sequence[Result]) -> list[str]:
    return [f"- {result.title}: {'; '.join(result.faults())}" for result in results if result.faults()]
