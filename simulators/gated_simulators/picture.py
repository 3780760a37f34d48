"""The building as a picture for a terminal: lanes with people, lamps, devices, alarm, last decisions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gated_simulators.building.expectations import device_state
from gated_simulators.building.observe import moment
from gated_simulators.building.turnstile import FAR_BEAM_M, FLAP_M, LENGTH_M, NEAR_BEAM_M

CELLS = 35
LANE_WIDTH = CELLS + 4
"""Columns of a lane in its frame: two of them beside each other fit a terminal of 80."""
LANE_ROWS = 6
DECISIONS = 8
"""How many records of the journal are shown."""
BEFORE_M = 0.6  # how much of the floor before and behind the lane is shown


def _cell(metres: float) -> int:
    """The column of a place, metres from the entry end."""
    return round((metres + BEFORE_M) / (LENGTH_M + 2 * BEFORE_M) * (CELLS - 1))


def floor(lane: dict[str, Any]) -> Text:
    """The lane from above: outside on the left, beams, flap, and everybody in it."""
    cells = [("·", "dim")] * CELLS
    for end, mark in (("entry", NEAR_BEAM_M), ("exit", FAR_BEAM_M)):
        cells[_cell(mark)] = ("┃", "bold yellow") if end in lane["beams"] else ("┊", "cyan")
    shut = lane["flap"] < 0.5
    cells[_cell(FLAP_M)] = ("█", "bold red") if shut else ("╎", "bold green")
    for person in lane["people"]:
        along = person["at_m"] if person["way"] == "entry" else LENGTH_M - person["at_m"]
        place = _cell(along)
        if 0 <= place < CELLS:
            facing = ("▶" if person["way"] == "entry" else "◀") if not person["leaving"] else "○"
            cells[place] = (facing, "bold white")
    return Text.assemble(*cells)


def _lamps(lane: dict[str, Any]) -> Text:
    lit = {"grant": "bold green", "deny": "bold red"}
    return Text("  ").join(
        Text(f"● {lamp}", style=style if lamp in lane["lamps"] else "dim") for lamp, style in lit.items()
    )


def _lane(name: str, lane: dict[str, Any], gated: dict[str, Any]) -> Panel:
    flap = "open" if lane["flap"] >= 1 else "shut" if lane["flap"] <= 0 else "moving"
    passed = lane["passed"]
    lines = [
        floor(lane),
        Text.assemble(_lamps(lane), f"   in {passed['entry']}, out {passed['exit']}"),
        Text.assemble(
            f"flap {flap}",
            ("" if lane["may_shut"] else ", emergency", "bold red"),
            (f", held {lane['hold']}" if lane["hold"] else "", "bold magenta"),
        ),
        Text(f"gated: {_lane_state(gated, name)}"),
    ]
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    border = "red" if not lane["may_shut"] else "green" if lane["flap"] >= 1 else "blue"
    title = Text(f"{name} {lane['title']}", no_wrap=True, overflow="ellipsis")
    return Panel(Group(*lines), title=title, border_style=border, width=LANE_WIDTH, height=LANE_ROWS)


def _lane_state(gated: dict[str, Any], name: str) -> str:
    lane = gated.get("lanes", {}).get(name)
    if lane is None:
        return "not answering"
    return " ".join(str(lane[key]) for key in ("state", "mode") if lane.get(key))


def _devices(sim: dict[str, Any], gated: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("device", "wire", "gated"):
        table.add_column(column, header_style="dim", no_wrap=True)
    for name, wire in sim["devices"].items():
        state = device_state(gated.get("devices", {}).get(name)) or ""
        colour = {"ok": "green", "fault": "bold red"}.get(state, "dim")
        table.add_row(name, Text(wire, "dim" if wire == "joined" else "bold yellow"), Text(state, colour))
    return table


def _alarms(sim: dict[str, Any], release: dict[str, Any]) -> Text:
    phase = str(release.get("phase", "not answering"))
    style = "bold white on red" if phase == "alarm" else "bold yellow" if phase != "normal" else "green"
    text = Text.assemble("release: ", (phase, style), no_wrap=True, overflow="ellipsis")
    if release.get("drill"):
        text.append("  DRILL", "bold black on yellow")
    for inspection in release.get("inspections", ()):
        text.append(f"  {inspection['input']} INSPECTED", "bold black on yellow")
    for name, on in sim["signals"].items():
        text.append(f"  ● {name}", "bold red" if on else "dim")
    for name, how in sim["outputs"].items():
        if how != "good":
            text.append(f"  output {name} {how}", "bold magenta")
    # Those in alarm first: a narrow terminal cuts the end off.
    states = {name: ("ALARM" if active else "at rest") for name, active in sim["alarms"].items()}
    states |= {name: "TROUBLE" for name, active in sim["troubles"].items() if active}
    states |= {name: state for name, state in sim["lines"].items() if state != "whole"}
    for name, state in sorted(states.items(), key=lambda entry: entry[1] == "at rest"):
        text.append(f"  {name} {state}", "dim" if state == "at rest" else "bold red")
    return text


def _decisions(journal: Sequence[dict[str, Any]], timezone: tzinfo) -> Text:
    lines = []
    for record in journal:
        text = Text()
        code = str(record.get("code", ""))
        colour = "green" if code.startswith("granted") else "red" if code.startswith("denied") else "yellow"
        text.append(f"{moment(record).astimezone(timezone):%H:%M:%S} ", "dim")
        text.append(f"{record.get('lane') or '':<7} {code:<27}"[:-1], colour)
        text.append(f" {record.get('access_point') or ''}")
        lines.append(text)
    return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)


def rows_around(lanes: int, devices: int, width: int) -> int:
    """The rows of the picture on a terminal so wide, without the lines that are told."""
    beside = max(1, (width + 1) // (LANE_WIDTH + 1))
    return 1 + LANE_ROWS * -(-lanes // beside) + 1 + max(1 + devices, 2 + DECISIONS)


def picture(
    sim: dict[str, Any],
    gated: dict[str, Any],
    release: dict[str, Any],
    journal: Sequence[dict[str, Any]],
    lines: Sequence[tuple[str, str]],
    typed: str | None,
    timezone: tzinfo,
) -> RenderableType:
    """All of it, with the last of the journal by the clock of the site.

    `lines` are (text, style); `typed` is the line being typed, None where nobody types.
    """
    parts: list[RenderableType] = [
        _alarms(sim, release),
        Columns([_lane(name, lane, gated) for name, lane in sim["lanes"].items()]),
        *(Text(text, style, no_wrap=True, overflow="ellipsis") for text, style in lines),
    ]
    if typed is not None:
        parts.append(Text.assemble(("> ", "bold"), typed, ("▏", "blink"), ("   help lists the words", "dim")))
    # What may be cut off on a low terminal comes last.
    below = Table.grid(padding=(0, 1, 0, 0), expand=True)
    below.add_column()
    below.add_column(ratio=1)
    decisions = Panel(_decisions(journal[-DECISIONS:], timezone), title="journal", border_style="dim")
    below.add_row(_devices(sim, gated), decisions)
    return Group(*parts, below)
