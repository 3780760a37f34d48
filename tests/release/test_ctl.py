"""What people do with the emergency release: gatectl as it is typed, against a running service."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gated.ctl import ask
from gated.ctl.cli import main
from gated.errors import ConfigError, RequestRefused
from gated.release import client
from tests.release.harness import CONFIG, DEADLINE_S, FIRE, HELD, OPEN, Site, site

BROKEN = "[site\nthis is not TOML"

# Both lanes have an open contact on the bus.
SEEN = (
    CONFIG.replace("channels = [0, 1, 2]", "channels = [0, 1, 2, 8, 9]")
    .replace(
        "[outputs.lane-1]\n",
        '[outputs.lane-1]\nopen_feedback = { device = "inputs", channel = 8, closed = "open" }\n',
    )
    .replace(
        "[outputs.lane-2]\n",
        '[outputs.lane-2]\nopen_feedback = { device = "inputs", channel = 9, closed = "open" }\n',
    )
)


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


async def gatectl(here: Site, *words: str, by: str = "sato") -> Ran:
    """The command as it is typed; in this process, because starting one takes a second of a busy box."""
    out, err = io.StringIO(), io.StringIO()

    def run() -> int:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                return main(["--config", str(here.path / "gated.toml"), "--by", by, *words])
            except SystemExit as end:  # wrong usage
                return int(end.code or 0)

    async with asyncio.timeout(3 * DEADLINE_S):
        code = await asyncio.to_thread(run)
    return Ran(code, out.getvalue(), err.getvalue())


def flaps(here: Site) -> None:
    """Let each lane's open contact follow its coil, as a gate does."""
    inputs = here.rig.board.inputs

    def follow(channel: int, energised: bool) -> None:
        inputs[8 + channel] = not energised

    here.rig.on_command.append(follow)


async def test_status_then_reset_by_command(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.armed()
        here.pulse(FIRE, 0.1)
        await here.coils(OPEN)
        await here.state(lambda s: s.phase == "alarm" and s.inputs["panel"].state == "clear")
        ran = await gatectl(here, "release", "status")
        assert ran.code == 0
        assert ran.out.startswith("ALARM: fire (panel) holds open lane-1, lane-2\n")
        assert "ALARM  armed" in ran.out
        assert "lane-1      commanded open, observed unknown  (fire)" in ran.out
        ran = await gatectl(here, "reset", "--why", "x", "--by", "mallory")
        assert ran.code == 1 and "mallory is not one of those who may reset (sato)" in ran.err
        ran = await gatectl(here, "reset", "--why", "false alarm")
        assert ran.code == 0 and ran.out.startswith("reset by sato; lane-1, lane-2 will be shut")
        await here.coils(HELD)
        await here.state(lambda s: s.phase == "normal")
        assert (await gatectl(here, "--json", "release", "status")).json()["phase"] == "normal"


async def test_nobody_there_is_one_sentence(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        ran = await gatectl(here, "release", "status")
        assert ran.code == 1 and "nobody answers there; is the service running" in ran.err
        assert ran.err.count("\n") == 1


async def test_anybody_opens_with_a_broken_gated_toml_and_it_latches(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        (tmp_path / "gated.toml").write_text(BROKEN)
        await here.armed()
        ran = await gatectl(here, "open", "lane-1", "--why", "smoke in the hall", by="a.visitor")
        assert ran.code == 0 and ran.out.startswith("lane-1: commanded open by a.visitor\n")
        await here.coils({0: False, 1: True})
        ran = await gatectl(here, "open", "--why", "everywhere", "--json", by="a.visitor")
        assert ran.code == 0 and ran.json()["recorded"] is True
        assert ran.json()["state"]["phase"] == "alarm"
        await here.coils(OPEN)
        ran = await gatectl(here, "release", "status")
        assert ran.out.startswith("ALARM: manual (gatectl) holds open lane-1, lane-2\n")
        assert (await gatectl(here, "reset", "--why", "over")).code == 0
        await here.coils(HELD)
        told = [record for record in here.trail if record.get("code") == "open_ordered"]
        assert [(r["by"], r["why"]) for r in told] == [
            ("a.visitor", "smoke in the hall"),
            ("a.visitor", "everywhere"),
        ]
        assert all(str(os.getuid()) in record["via"] for record in told)


async def test_a_broken_release_toml_does_not_keep_the_usual_socket_from_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service runs on with what it read at its start; people must reach it."""
    async with site(tmp_path) as here:
        await here.armed()
        (tmp_path / "release.toml").write_text(BROKEN)
        args = argparse.Namespace(release_config=tmp_path / "release.toml")
        monkeypatch.setattr(ask, "DEFAULT_SOCKET", here.socket)
        state, recorded = await asyncio.to_thread(ask.ask_release, args, "open", by="x", why="y")
        assert state.phase == "alarm" and recorded
        assert "is not TOML" in capsys.readouterr().err
        monkeypatch.setattr(ask, "DEFAULT_SOCKET", tmp_path / "nothing")
        with pytest.raises(ConfigError):
            await asyncio.to_thread(ask.ask_release, args, "open", by="x", why="y")


async def test_status_shows_the_release_while_gated_is_down_or_broken(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.armed()
        (tmp_path / "gated.toml").write_text(BROKEN)
        await gatectl(here, "drill", "lane-2", "--why", "yearly")
        ran = await gatectl(here, "status")
        assert ran.code == 1
        assert ran.out.startswith("DRILL, no emergency: drill (drill) holds open lane-2\n")
        assert "emergency release: alarm, armed" in ran.out
        assert "gated.toml" in ran.err and "is not TOML" in ran.err
        ran = await gatectl(here, "status", "--json")
        assert ran.code == 1 and ran.json()["emergency"]["drill"] is True and "TOML" in ran.json()["error"]


async def test_a_drill_opens_and_a_real_alarm_makes_it_one(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.armed()
        ran = await gatectl(here, "drill", "--why", "yearly", by="mallory")
        assert ran.code == 1 and "drill refused" in ran.err and "mallory" in ran.err
        ran = await gatectl(here, "drill", "lane-1", "--why", "yearly")
        assert ran.code == 0 and ran.out.startswith("DRILL: lane-1 commanded open by sato\n")
        await here.coils({0: False, 1: True})
        here.pulse(FIRE, 0.1)
        await here.coils(OPEN)
        ran = await gatectl(here, "release", "status")
        assert ran.out.startswith("ALARM: ") and "fire (panel)" in ran.out.splitlines()[0]
        ran = await gatectl(here, "drill", "lane-1", "--why", "again")
        assert ran.code == 1 and "fire of panel" in ran.err


async def test_an_inspection_inhibits_one_input_and_ends(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.armed()
        for words, refusal in (
            (("inspect", "panel", "--hours", "5", "--why", "test"), "at most 4 hours"),
            (("inspect", "panel", "--hours", "0", "--why", "test"), "at most 4 hours"),
            (("inspect", "panel", "--hours", "nan", "--why", "test"), "for how long"),
            (("inspect", "button", "--hours", "1", "--why", "test"), "manual"),
            (("inspect", "pannel", "--hours", "1", "--why", "test"), "there is no input"),
            (("inspect", "panel", "--end"), "not being inspected"),
        ):
            ran = await gatectl(here, *words)
            assert ran.code == 1 and refusal in ran.err, ran
        assert (await gatectl(here, "inspect", "panel", "--hours", "1")).code == 2
        assert (await gatectl(here, "inspect", "panel", "--hours", "1", "--end", "--why", "x")).code == 2
        ran = await gatectl(here, "inspect", "panel", "--hours", "0.5", "--why", "yearly test")
        assert ran.code == 0 and ran.out.startswith("INSPECTION: panel opens nothing until 2")
        here.rig.board.inputs[FIRE] = True
        await here.state(lambda s: s.inputs["panel"].state == "active")
        state = await client.status(here.socket)
        assert state.phase == "normal" and not state.open_lanes
        ran = await gatectl(here, "release", "status")
        assert ran.out.startswith("INSPECTION: panel opens nothing until 2")
        assert "(by sato: yearly test)" in ran.out.splitlines()[0]
        assert (await gatectl(here, "inspect", "panel", "--end")).code == 0  # it is active: it opens
        await here.coils(OPEN)


async def test_every_reason_of_a_refusal_at_once(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.armed()
        for do, words, reasons in (
            ("open", {}, ["who asks (by)", "the reason (why)"]),
            ("open", {"by": "x", "why": "y", "lanes": "lane-1"}, ["lanes is a list of names"]),
            ("open", {"by": " ", "why": "", "lanes": ["nope"]}, ["the name", "reason", "'nope'"]),
            ("drill", {"by": "x", "why": "", "lanes": ["nope"]}, ["x is not", "reason", "'nope'"]),
            ("inspect", {"by": "x"}, ["which input (input)", "the reason (why)", "how long (hours"]),
            ("inspect", {"input": "no", "by": "x", "why": "", "hours": 9}, ["'no'", "x is", "reason", "4"]),
            ("inspect", {"input": "panel", "by": "sato", "why": "y", "hours": True}, ["how long"]),
            ("inspect_end", {}, ["which input", "who asks"]),
            ("reset", {"by": "x", "why": ""}, ["nothing is latched", "x is not", "reason"]),
            ("opne", {}, ["watch, open, drill, inspect, inspect_end, reset"]),
        ):  # fmt: skip
            with pytest.raises(RequestRefused) as refused:
                await client.request(here.socket, do, **words)
            assert [reason for reason in reasons if reason not in str(refused.value)] == [], refused.value
        state = await client.status(here.socket)
        assert state.phase == "normal" and not state.causes and not state.inspections
        await here.coils(HELD)


async def test_an_output_is_tested_measured_and_relocked(tmp_path: Path) -> None:
    async with site(tmp_path, SEEN) as here:
        flaps(here)
        await here.armed()
        ran = await gatectl(here, "test-output", "lane-2", "--why", "monthly")
        assert ran.code == 0, ran
        told = ran.out.splitlines()
        assert told[0].startswith("lane-2: open after ") and told[0].endswith(" ms, seen by its contact")
        assert told[1] == "lane-2: relocked by sato"
        await here.coils(HELD)
        ran = await gatectl(here, "test-output", "lane-1", "--why", "monthly", "--json", "--keep-open")
        assert ran.code == 0, ran
        assert ran.json()["opened_ms"] > 0 and ran.json()["relocked"] is False
        await here.coils({0: False, 1: True})
        ran = await gatectl(here, "test-output", "lane-2", "--why", "monthly")
        assert ran.code == 1 and "a drill is under way" in ran.err


async def test_an_output_that_does_not_open_is_told_and_left_open(tmp_path: Path) -> None:
    async with site(tmp_path, SEEN) as here:  # no flap follows: the contact stays shut
        await here.armed()
        ran = await gatectl(here, "test-output", "lane-1", "--why", "monthly")
        assert ran.code == 1 and "OPEN BY HAND: lane-1" in ran.err
        await here.coils({0: False, 1: True})
        state = await client.status(here.socket)
        assert state.lanes["lane-1"].commanded == "open" and not state.reset_by
        ran = await gatectl(here, "release", "status")
        assert ran.out.startswith("OPEN BY HAND: lane-1\nDRILL, no emergency:")


async def test_no_output_is_tested_during_an_alarm(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.armed()
        here.pulse(FIRE, 0.1)
        await here.coils(OPEN)
        ran = await gatectl(here, "test-output", "lane-9", "--why", "monthly")
        assert ran.code == 1 and "an alarm is latched: fire of panel" in ran.err
        assert "there is no lane 'lane-9'" in ran.err
        assert (await client.status(here.socket)).open_lanes == {"lane-1", "lane-2"}


async def test_an_alarm_during_the_test_of_an_output_leaves_everything_open(tmp_path: Path) -> None:
    slow = SEEN.replace("relock_warning_s = 0.3", "relock_warning_s = 30")
    async with site(tmp_path, slow) as here:
        flaps(here)
        await here.armed()
        tested = asyncio.create_task(gatectl(here, "test-output", "lane-1", "--why", "monthly"))
        await here.state(lambda s: s.reset_by == "sato")  # it was open, and is being relocked
        here.pulse(FIRE, 0.1)
        ran = await tested
        assert ran.code == 1 and "ALARM while lane-1 was being relocked" in ran.err
        await here.coils(OPEN)


async def test_a_lane_that_seems_open_already_is_not_tested(tmp_path: Path) -> None:
    """Its contact is stuck, or it was never shut: the test would praise it after 0 ms."""
    async with site(tmp_path, SEEN) as here:
        here.rig.board.inputs[8] = True
        await here.armed()
        ran = await gatectl(here, "test-output", "lane-1", "--why", "monthly")
        assert ran.code == 1 and "lane-1 is seen open already" in ran.err
        assert (await client.status(here.socket)).phase == "normal"
