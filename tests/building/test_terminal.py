from __future__ import annotations

import asyncio
import os
import pty
import termios
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from rich.cells import cell_len
from rich.console import Console

from gated_simulators import client
from gated_simulators.picture import floor, picture, rows_around
from gated_simulators.processes import entry_point

TOKYO = ZoneInfo("Asia/Tokyo")


def lane(**changes: object) -> dict[str, object]:
    usual: dict[str, object] = {
        "title": "Main",
        "flap": 0.0,
        "hold": None,
        "lamps": [],
        "people": [],
        "passed": {"entry": 0, "exit": 0},
        "beams": [],
        "may_shut": True,
    }
    return {**usual, **changes}


def drawn(**changes: object) -> str:
    sim = {
        "lanes": {"lane-1": lane(**changes)},
        "devices": {"board-1": "cut"},
        "alarms": {"fire-panel": True},
        "troubles": {"panel-transfer": True},
        "lines": {"fire-panel": "whole", "guard-button": "cut"},
        "outputs": {"lane-1": "stuck", "lane-2": "good"},
        "signals": {"buzzer": True},
    }
    gated = {
        "lanes": {"lane-1": {"state": "secured", "mode": "both"}},
        "devices": {"board-1": {"ok": False, "fault": "gone"}},
    }
    journal = [{"at": "2026-04-01T01:02:03Z", "kind": "decision", "code": "denied_area", "lane": "lane-1"}]
    console = Console(width=160, height=50)
    with console.capture() as drawing:
        console.print(
            picture(sim, gated, {"phase": "alarm", "drill": True}, journal, [("a line", "")], "walk", TOKYO)
        )
    return drawing.get()


def test_the_picture_tells_flap_people_faults_alarm_and_decisions() -> None:
    text = drawn(people=[{"way": "entry", "at_m": 0.3, "leaving": False}], hold="shut", may_shut=False)
    for piece in (
        "█", "▶", "held shut", ", emergency", "secured both", "cut", "fault", "fire-panel ALARM",
        "release: alarm", "DRILL", "panel-transfer TROUBLE", "guard-button cut", "lane-1 stuck", "● buzzer",
        "denied_area", "10:02:03", "a line", "> walk",
    ):  # fmt: skip
        assert piece in text
    assert "█" not in drawn(flap=1.0)


@pytest.mark.parametrize(("width", "height", "told"), [(80, 24, 6), (120, 40, 22)])
def test_two_lanes_fit_an_ordinary_terminal(width: int, height: int, told: int) -> None:
    """Every row is used, nothing is cut off below, and no row is wider than the terminal."""
    lanes = {name: lane(may_shut=False, flap=0.5, hold="open", title="East") for name in ("lane-1", "lane-2")}
    alarms = dict.fromkeys(("fire-panel", "earthquake-receiver", "guard-button"), False)
    sim = {
        "lanes": lanes,
        "devices": {f"release-inputs-{n}": "stalled" for n in range(9)},
        "alarms": alarms,
        **{key: {} for key in ("troubles", "lines", "outputs", "signals")},
    }
    record = {"at": "2026-04-01T01:02:03Z", "code": "denied_lane_out_of_service", "lane": "lane-1"}
    room = height - rows_around(2, 9, width)
    lines = [(f"told {n} " + "x" * width, "") for n in range(room)]
    console = Console(width=width, height=height)
    with console.capture() as drawing:
        console.print(picture(sim, {}, {"phase": "alarm"}, [record] * 20, lines, "walk lane-1", TOKYO))
    rows = drawing.get().rstrip("\n").split("\n")
    assert room == told
    assert len(rows) == height
    assert all(cell_len(row.rstrip()) <= width for row in rows)
    for piece in ("denied_lane_out_of_serv", "release-inputs-8", "> walk lane-1", f"told {room - 1}"):
        assert piece in drawing.get()


def test_people_are_drawn_from_their_own_end() -> None:
    entering = floor(lane(people=[{"way": "entry", "at_m": 0.0, "leaving": False}])).plain
    leaving = floor(lane(people=[{"way": "exit", "at_m": 0.0, "leaving": False}])).plain
    assert entering.index("▶") < entering.index("█") < leaving.index("◀")


async def test_somebody_types_at_the_terminal_and_quits(site: Path) -> None:
    ours, its = pty.openpty()
    before = termios.tcgetattr(its)
    process = await asyncio.create_subprocess_exec(
        entry_point("gatesim"), "run", "--site", str(site),
        stdin=its, stdout=its, stderr=its,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "50"},
    )  # fmt: skip
    screen = bytearray()
    asyncio.get_running_loop().add_reader(ours, lambda: screen.extend(os.read(ours, 65536)))
    try:
        async with asyncio.timeout(30.0):
            await _until(lambda: b"help lists" in screen)
            os.write(ours, b"fly\rhold lane-1 shuu\x7ft\r")
            while (await client.ask(site, "status"))["lanes"]["lane-1"]["hold"] != "shut":
                await asyncio.sleep(0.02)
            await _until(lambda: b"is no act" in screen)
            os.write(ours, b"quit\r")
            assert await process.wait() == 0
        assert termios.tcgetattr(its) == before
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)
        os.close(its)


async def _until(holds: object) -> None:
    assert callable(holds)
    while not holds():
        await asyncio.sleep(0.02)
