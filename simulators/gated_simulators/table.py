"""The table of expected and observed, in plain text."""

from __future__ import annotations

from collections.abc import Sequence

from gated_simulators.building.play import Row

WIDTHS = (58, 42)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def line(row: Row) -> str:
    """One row as it is settled."""
    return f"  {'ok  ' if row.held else 'FAIL'}  {row.expected}: {row.observed}"


def table(rows: Sequence[Row]) -> str:
    """All rows under their parts, then what did not hold, in full."""
    wide, narrow = WIDTHS
    lines = [f"      {'expected':<{wide}} observed", f"      {'-' * wide} {'-' * narrow}"]
    part = None
    for row in rows:
        if row.part != part:
            part = row.part
            lines.append(part)
        mark = "ok  " if row.held else "FAIL"
        lines.append(f"{mark}  {_cut(row.expected, wide):<{wide}} {_cut(row.observed, narrow)}".rstrip())
    failed = [row for row in rows if not row.held]
    for row in failed:
        lines.append(f"\nFAIL in: {row.part}\n  done:     {row.doing}\n  expected: {row.expected}")
        lines.append(f"  observed: {row.observed}")
    return "\n".join(lines)


def verdict(rows: Sequence[Row], faults: Sequence[str], took_s: float) -> str:
    """The last line: all held, or how many did not."""
    failed = sum(not row.held for row in rows)
    if not failed and not faults:
        return f"All {len(rows)} expectations held ({took_s:.0f} s)."
    more = f", {len(faults)} fault(s) of processes" if faults else ""
    return f"{failed} of {len(rows)} expectations did not hold{more} ({took_s:.0f} s)."
