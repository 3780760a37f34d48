"""The building as a picture for a terminal: lanes with people, lamps, devices, alarm, last decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gated_simulators.building.expectations import device_state
from gated_simulators.building.turnstile import FAR_BEAM_M, FLAP_M, LENGTH_M, NEAR_BEAM_M

CELLS = 37
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
    jam = f" [bold magenta]jammed {lane['jam']}[/]" if lane["jam"] else ""
    held = "" if lane["may_shut"] else " [bold red]held open by the emergency release[/]"
    passed = lane["passed"]
    lines: list[RenderableType] = [
        floor(lane),
        _lamps(lane),
        Text.from_markup(f"flap {flap}{jam}{held}"),
        Text.from_markup(f"gated says {escape(_lane_state(gated, name))}"),
        Text.from_markup(f"passed {passed['entry']} in, {passed['exit']} out"),
    ]
    border = "red" if not lane["may_shut"] else "green" if lane["flap"] >= 1 else "blue"
    return Panel(Group(*lines), title=f"{name} {lane['title']}", border_style=border, width=CELLS + 6)


def _lane_state(gated: dict[str, Any], name: str) -> str:
    lane = gated.get("lanes", {}).get(name)
    if lane is None:
        return "nothing: not answering"
    return " ".join(str(lane[key]) for key in ("state", "mode") if lane.get(key))


def _devices(sim: dict[str, Any], gated: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), title="devices", title_justify="left", title_style="bold")
    for column in ("", "wire", "gated"):
        table.add_column(column, header_style="dim")
    for name, wire in sim["devices"].items():
        state = device_state(gated.get("devices", {}).get(name)) or ""
        colour = {"ok": "green", "fault": "bold red"}.get(state, "dim")
        table.add_row(
            name, f"[{'dim' if wire == 'joined' else 'bold yellow'}]{wire}[/]", f"[{colour}]{state}[/]"
        )
    return table


def _alarms(sim: dict[str, Any], release: dict[str, Any]) -> Text:
    phase = str(release.get("phase", "not answering"))
    style = "bold white on red" if phase == "alarm" else "bold yellow" if phase != "normal" else "green"
    text = Text.assemble("emergency release: ", (phase, style))
    for name, active in sim["alarms"].items():
        text.append("   ")
        text.append(f"{name} {'ALARM' if active else 'at rest'}", "bold red" if active else "dim")
    return text


def _decisions(journal: Sequence[dict[str, Any]]) -> Text:
    text = Text()
    for record in journal:
        code = str(record.get("code", ""))
        colour = "green" if code.startswith("granted") else "red" if code.startswith("denied") else "yellow"
        where = " ".join(str(record[k]) for k in ("lane", "access_point") if record.get(k))
        text.append(f"{str(record.get('at', ''))[11:19]} ", "dim")
        text.append(f"{record.get('kind', '')!s:<9} ")
        text.append(f"{code:<28}", colour)
        text.append(f" {where}\n")
    return text


def picture(
    sim: dict[str, Any],
    gated: dict[str, Any],
    release: dict[str, Any],
    journal: Sequence[dict[str, Any]],
    lines: Sequence[tuple[str, str]],
    typed: str | None,
) -> RenderableType:
    """All of it. `lines` are (text, style); `typed` is the line being typed, None where nobody types."""
    parts: list[RenderableType] = [
        _alarms(sim, release),
        Columns([_lane(name, lane, gated) for name, lane in sim["lanes"].items()]),
        *(Text(text, style, no_wrap=True, overflow="ellipsis") for text, style in lines),
    ]
    if typed is not None:
        parts.append(Text.assemble(("> ", "bold"), typed, ("▏", "blink"), ("   help lists the words", "dim")))
    # What may be cut off on a low terminal comes last.
    parts.append(
        Columns([_devices(sim, gated), Panel(_decisions(journal), title="journal", border_style="dim")])
    )
    return Group(*parts)
