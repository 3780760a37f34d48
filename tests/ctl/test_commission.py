"""gatectl commission on a terminal, with a technician, boards, and the release at work."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gated.ctl import commission_report
from gated.ctl.cli import main
from gated.errors import StoreError
from tests.ctl.terminal import Habit, Terminal, gatectl
from tests.release.harness import Site, site

CONFIG = """\
[release]
state_dir = "state"
socket = "release.sock"
reset_by = ["sato"]
relock_warning_s = 0.1
relock_interval_s = 0.1
confirm_s = 3
fault_after_s = 0.2

[devices.contacts]
driver = "contact_modbus"
port = "bus"
channels = [0, 1, 8, 9]
timeout_s = 0.2

[devices.relays]
driver = "relay_modbus"
port = "far"
timeout_s = 0.2
rest = { 0 = false, 1 = false }

[inputs.panel]
cause = "fire"
device = "contacts"
channel = 0
alarm_when = "closed"

[inputs.quake]
cause = "earthquake"
device = "contacts"
channel = 1
alarm_when = "open"

[outputs.lane-1]
device = "relays"
channel = 0
energised = "may_shut"
open_feedback = { device = "contacts", channel = 8, closed = "open" }

[outputs.lane-2]
device = "relays"
channel = 1
energised = "may_shut"
open_feedback = { device = "contacts", channel = 9, closed = "open" }
"""
CHANNEL = {"panel": 0, "quake": 1}
SKIPPED = ("cut panel", "box")
SEEN = "input heard of to every lane confirmed, by the clock of gatectl"


def types(line: str) -> Habit:
    async def habit(terminal: Terminal, _: re.Match[str]) -> None:
        terminal.types(line)

    return habit


def does(action: Callable[[str], Awaitable[None] | None], first: str | None = None) -> Habit:
    """An action on what the sentence names, after a line typed."""

    async def habit(terminal: Terminal, match: re.Match[str]) -> None:
        if first is not None:
            terminal.types(first)
        if (done := action(match[1])) is not None:
            await done

    return habit


class Technician:
    """Does at the site what the program asks for."""

    def __init__(self, here: Site) -> None:
        self.here = here

    async def installs(self) -> None:
        """The second board, its gates, and the panels at rest."""
        far = await self.here.plug("far")
        contacts = self.here.rig.board.inputs
        contacts[CHANNEL["quake"]] = True  # a normally closed loop

        def flap(channel: int, energised: bool) -> None:
            contacts[8 + channel] = not energised

        far.on_command.append(flap)

    def trips(self, name: str, active: bool = True) -> None:
        self.here.rig.board.inputs[CHANNEL[name]] = active is (name == "panel")

    def clears(self, name: str) -> None:
        self.trips(name, False)

    def pulses(self, name: str) -> None:
        self.trips(name)
        asyncio.get_running_loop().call_later(0.3, self.clears, name)

    def pulls(self, device: str) -> None:
        self.here.rigs["bus" if device == "contacts" else "far"].cut()

    def plugs(self, device: str) -> None:
        self.here.rigs["bus" if device == "contacts" else "far"].mend()

    def powers_off(self, _: str) -> None:
        self.here.rigs["far"].silent = True

    def powers_on(self, _: str) -> None:
        self.here.rigs["far"].silent = False

    async def kills(self, pid: str) -> None:
        await self.ends(int(pid), signal.SIGKILL)

    async def stops(self, pid: str) -> None:
        await self.ends(int(pid), signal.SIGSTOP)  # its survivor kills it

    async def ends(self, pid: int, by: signal.Signals) -> None:
        [process] = [process for process in self.here.processes if process.pid == pid]
        os.kill(pid, by)
        await process.wait()
        await self.here.start()  # the service manager of this site

    def habits(self) -> dict[str, Habit]:
        async def begins(terminal: Terminal, match: re.Match[str]) -> None:
            skips = any(words in match[1] for words in ("panel: its line", "the box"))
            terminal.types("s" if skips else "")

        return {
            r"Name of the technician:": types("Aoki"),
            r"Name of the witness:": types("森"),
            r"\[\d+/\d+\] (.*)\nEnter: do it; s: not today; q: leave >": begins,
            r"Why is it not done\?": types("no ladder"),
            r"Trip (\w+) now": does(self.trips),
            r"Trip (\w+) for a moment": does(self.pulses),
            r"Clear (\w+) now": does(self.clears),
            r"Press Enter, then cut the line of (\w+)": does(self.trips, ""),
            r"Join the line of (\w+) again": does(self.clears),
            r"then pull the data cable of (\w+)": does(self.pulls, ""),
            r"Bridge the release's contact in the loop of ([\w-]+), at its terminals": types(""),
            r"TAKE THE BRIDGE of ([\w-]+) OUT": types(""),
            r"Plug (\w+) in again": does(self.plugs),
            r"Switch off the power of (\w+) alone, wait 5 s, then press Enter": does(self.powers_off, ""),
            r"Switch the power of (\w+) on again": does(self.powers_on),
            r"As root, now: kill -KILL (\d+)": does(self.kills),
            r"As root, now: kill -STOP (\d+)": does(self.stops),
            r"Witness: .*\[y/n\]": types("y"),
            r"Latched: .*\[y/n\]": types("y"),
            r"Do it again\? \[y/n\]": types("n"),
            r"Remark \(Enter: none\):": types("fine"),
        }


def words(here: Site, *more: str) -> tuple[str, ...]:
    return ("--config", str(here.path / "gated.toml"), "--by", "sato", "commission", "--out", "out", *more)


@pytest.mark.timeout(120)
async def test_a_whole_commissioning_ends_in_a_report_that_can_be_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with site(tmp_path, CONFIG) as here:
        technician = Technician(here)
        await technician.installs()
        await here.armed()
        async with gatectl(tmp_path, *words(here)) as (terminal, process):
            await terminal.reacts(technician.habits(), r"and signed: ")
            assert await process.wait() == 3  # some steps are not done
    [signed] = (tmp_path / "out").glob("*.json")
    report, text, key = commission_report.verify(signed.read_bytes())
    assert (report["technician"], report["witness"]) == ("Aoki", "森")
    assert signed.with_suffix(".txt").read_text() == text and f"key  {key}" in text
    steps = {step["step"]: step for step in report["steps"]}
    assert list(steps) == [
        *("trip panel", "pulse panel", "cut panel", "trip quake", "pulse quake", "cut quake"),
        *("wire panel lane-1", "wire panel lane-2"),
        *("open lane-1", "open lane-2", "cable relays", "cable contacts", "power relays"),
        *("kill", "hang", "box"),
    ]
    assert {name: (s["outcome"], s["remark"]) for name, s in steps.items()} == {
        name: ("not done", "no ladder") if name in SKIPPED else ("passed", "fine") for name in steps
    }, text
    for name in ("trip panel", "trip quake"):
        measured = steps[name]["measured_ms"]
        assert 0 <= measured[SEEN] < 3000
        assert 0 < measured["lane-1 command to open seen"] < 3000
        assert (
            100 <= measured["lane-1 relocked after the reset"] < measured["lane-2 relocked after the reset"]
        )
    assert "latched: the lanes stayed open with the input clear" in steps["pulse panel"]["seen"]
    assert steps["cut quake"]["seen"][:2] == ["seen as an alarm", "its lanes opened"]
    assert steps["wire panel lane-2"]["seen"] == [
        "the gates opened by panel alone, the release's contact bridged",
        "the bridge is out: the release alone holds lane-2 open",
    ]
    assert steps["open lane-2"]["measured_ms"]["lane-2 command to open"] > 0
    assert steps["cable relays"]["measured_ms"]["Enter to the fault being shown, with the hand"] > 0
    assert "with the cable out the gates opened" in steps["cable relays"]["seen"]
    assert report["doctor"]["outputs"]["relays.0"]["lane"] == "lane-1"
    assert not list((tmp_path / "home/gated").glob("*.json"))  # the next one begins anew
    assert main(["commission", "verify", str(signed)]) == 0
    assert f"signed with the key {key}" in capsys.readouterr().out
    signed.write_text(signed.read_text().replace("Aoki", "Baba"))
    assert main(["commission", "verify", str(signed)]) == 1
    assert "it was changed, or signed by another key" in capsys.readouterr().err


@pytest.mark.timeout(120)
async def test_it_goes_on_where_it_was_left_and_tells_what_failed(tmp_path: Path) -> None:
    async with site(tmp_path, CONFIG) as here:
        technician = Technician(here)
        await technician.installs()
        await here.armed()
        habits = technician.habits()
        left = r"\[2/16\]"
        async with gatectl(tmp_path, *words(here)) as (terminal, process):
            await terminal.reacts(
                {
                    r"Witness: open, .*\[y/n\]": types("n"),
                    **habits,
                },  # the gates did not open, says the witness
                left,
            )
            terminal.types("q")
            assert await process.wait() == 1
            assert "left; what was done is kept" in terminal.shown
        await here.state(lambda s: s.phase == "alarm")  # a failed step leaves the lanes open
        async with gatectl(tmp_path, *words(here, "--finish")) as (terminal, process):
            await terminal.reacts({}, "and signed: ")
            assert await process.wait() == 3
    [signed] = (tmp_path / "out").glob("*.json")
    report, _, _ = commission_report.verify(signed.read_bytes())
    first, *rest = report["steps"]
    assert first["outcome"] == "failed" and "the witness did not see every gate" in first["seen"][-1]
    assert {(step["outcome"], step["remark"]) for step in rest} == {("not done", "not reached")}


async def test_a_bridge_that_was_left_in_fails_its_step(tmp_path: Path) -> None:
    async def begins(terminal: Terminal, match: re.Match[str]) -> None:
        terminal.types("" if "in the loop of lane-1" in match[1] else "s")

    async with site(tmp_path, CONFIG) as here:
        technician = Technician(here)
        await technician.installs()
        await here.armed()
        habits = technician.habits()
        habits[next(pattern for pattern in habits if "Enter: do it" in pattern)] = begins
        async with gatectl(tmp_path, *words(here)) as (terminal, process):
            shut = {r"Witness: is lane-1 open now, by the release alone\? \[y/n\]": types("n")}
            await terminal.reacts({**shut, **habits}, r"and signed: ")
            assert await process.wait() == 3
    [signed] = (tmp_path / "out").glob("*.json")
    report, _, _ = commission_report.verify(signed.read_bytes())
    [step] = [step for step in report["steps"] if step["outcome"] != "not done"]
    assert (step["step"], step["outcome"]) == ("wire panel lane-1", "failed")
    assert step["seen"][-1] == "lane-1 is shut though the release holds it open: is the bridge still in?"


def test_what_was_done_for_another_configuration_is_not_taken_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    (tmp_path / "release.toml").write_text(CONFIG)
    (tmp_path / "p").write_text(json.dumps({"config": "0", "people": {}, "began": "", "results": {}}))
    given = ["--config", str(tmp_path / "gated.toml"), "commission", "--progress", str(tmp_path / "p")]
    given += ["--technician", "a", "--witness", "b", "--finish", "--out", str(tmp_path)]
    assert main(given) == 1
    assert "release.toml has changed since" in capsys.readouterr().err
    assert main([*given, "--new"]) == 3
    assert "0 passed, 0 failed, 16 not done of 16" in capsys.readouterr().out
    assert (tmp_path / "home/gated/commission.key").stat().st_mode & 0o777 == 0o600


def test_a_report_changed_anywhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte of it, one at a time: refused, or (blanks between words) read as it was signed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    (tmp_path / "release.toml").write_text(CONFIG)
    given = ["--config", str(tmp_path / "gated.toml"), "commission", "--technician", "a", "--witness", "b"]
    assert main([*given, "--finish", "--out", str(tmp_path)]) == 3
    [signed] = tmp_path.glob("commission-*.json")
    good = signed.read_bytes()
    report, text, _ = commission_report.verify(good)
    refused = 0
    for place in range(len(good)):
        for bit in (0x01, 0x20):
            changed = bytearray(good)
            changed[place] ^= bit
            try:
                read = commission_report.verify(bytes(changed))
            except StoreError:
                refused += 1
            else:
                assert read[:2] == (report, text)
    assert refused > 1.5 * len(good)
    for bad in (b"", b"[]", b"null", b"1", b"[" * 100_000, b"{}", good[:-100], b"\xff", good * 2):
        with pytest.raises(StoreError):
            commission_report.verify(bad)
