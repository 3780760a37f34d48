"""The bench's table: each figure with its mark, and below it what was measured beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gated_simulators.bench.figures import Figures, ratio

NAME, COLUMN = 62, 9
COLUMNS = ("p50", "p99", "p999", "max", "n")


@dataclass(frozen=True)
class Mark:
    """What is to be reached: the figure at `key` (a.b is b within a) is at most, or at least, `limit`."""

    key: str
    limit: float
    at_least: bool = False
    only_for: str = ""  # a mark on one source of the data only

    def met(self, figures: Figures) -> bool | None:
        """None where the mark says nothing of these figures."""
        if self.only_for and figures.get("source") != self.only_for:
            return None
        value: Any = figures
        for part in self.key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None:
            return None
        return bool(value >= self.limit if self.at_least else value <= self.limit)

    def __str__(self) -> str:
        words = {"value": "", "over_plain.p99": "p99 / plain "}.get(self.key, f"{self.key} ")
        return f"{words}{'>=' if self.at_least else '<='} {self.limit:g}"


@dataclass(frozen=True)
class Row:
    """One figure: its key in the JSON, what people call it, and its mark."""

    key: str
    title: str
    mark: Mark | None = None


def render(rows: Sequence[Row], found: Mapping[str, Figures]) -> str:
    """The table as plain text; a figure that was not measured says so."""
    head = _line("", ["p50", "p99", "p99.9", "max", "n"], "mark", "met", "ours/rival")
    lines = [head, "-" * len(head)]
    for row in rows:
        figures = found.get(row.key)
        if figures is None:
            lines.append(_line(row.title, ["not measured"]))
            continue
        met = row.mark.met(figures) if row.mark else None
        verdict = {True: "yes", False: "NO", None: ""}[met]
        mark = str(row.mark) if row.mark else ""
        source = f" ({figures['source']})" if "source" in figures else ""
        lines.append(_line(row.title + source, _cells(figures), mark, verdict))
        if told := figures.get("as_gated_tells"):
            lines.append(_line("    of it, as gated tells: read -> written", _cells(told)))
        for rival in [figures.get("rival"), *figures.get("also", [])]:
            if rival:
                name, times = f"    beside: {rival['name']}", _times(figures, rival)
                lines.append(_line(name, _cells(rival), times=times))
    return "\n".join(lines)


def missed(rows: Sequence[Row], found: Mapping[str, Figures]) -> list[str]:
    """The marks that were not met, in words."""
    return [
        f"{row.title}: {row.mark} is not met"
        for row in rows
        if row.mark and row.key in found and row.mark.met(found[row.key]) is False
    ]


def _times(figures: Figures, rival: Figures) -> str:
    """Ours over the rival's, at the median and the 99th percentile."""
    found = [ratio(figures, rival, key) for key in (("value",) if "value" in figures else ("p50", "p99"))]
    return "".join(" " * 6 if times is None else f"{times:6.2f}" for times in found)


def _cells(figures: Figures) -> list[str]:
    if "value" in figures:
        return [_number(figures["value"]), "", "", "", str(figures.get("n", ""))]
    return [_number(figures[c]) if c in figures and c != "n" else str(figures.get(c, "")) for c in COLUMNS]


def _number(value: float) -> str:
    """Three digits that tell, never an exponent."""
    size = abs(value)
    return f"{value:.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"


def _line(name: str, cells: Sequence[str], mark: str = "", met: str = "", times: str = "") -> str:
    if len(name) > NAME:
        name = name[: NAME - 1] + "…"
    told = "".join(f"{cell:>{COLUMN}}" for cell in cells)
    return f"{name:<{NAME}}{told:<{COLUMN * len(COLUMNS)}}  {mark:<20}{met:<5}{times:>12}".rstrip()
