"""gatectl doctor: by the configuration alone, with the release alive, and beside a gated.toml."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gated.ctl import doctor
from gated.ctl.cli import main
from gated.release import latch
from gated.release.config import load
from gated.release.state import ReleaseState
from gated.release.words import Cause, Latched, Source
from tests.ctl.test_commission import CONFIG, Technician
from tests.release.harness import site

GATED = """\
[site]
name = "test"
state_dir = "gated"
control_socket = "gated.sock"

[areas.main]

[devices.board]
driver = "relay_serial"
port = "far"
protocol = "lcus"
channels = 4

[lanes.lane-1]
outer = "outside"
inner = "main"
[lanes.lane-1.relays]
release_entry = { device = "board", channel = 1, energised = "released" }
release_exit = { device = "board", channel = 2, energised = "released" }

[lanes.lane-9]
outer = "outside"
inner = "main"
[lanes.lane-9.relays]
release_entry = { device = "board", channel = 3, energised = "released" }
release_exit = { device = "board", channel = 4, energised = "released" }
"""


def ask(path: Path, capsys: pytest.CaptureFixture[str], code: int = 3) -> Any:
    assert main(["--config", str(path / "gated.toml"), "--json", "doctor"]) == code
    return json.loads(capsys.readouterr().out)


def said(found: Any, text: str) -> bool:
    return any(text in warning for warning in found["warnings"])


def test_by_the_configuration_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "release.toml").write_text(CONFIG)
    found = ask(tmp_path, capsys)
    assert found["live"] is False and found["good"] is False
    assert {q: g["verdict"] for q, g in found["outputs"]["relays.0"].items() if q != "lane"} == {
        "power": "yes",
        "kill": "unknown",  # who knows whether a survivor runs
        "hang": "unknown",
        "cable": "no",
    }
    assert {q: found["inputs"]["panel"][q]["verdict"] for q in ("cut", "short", "stale")} == {
        "cut": "no",
        "short": "yes",
        "stale": "within",
    }
    assert found["inputs"]["quake"]["cut"]["verdict"] == "yes"
    assert found["inputs"]["quake"]["then"] == "opens its lanes"
    assert said(found, "graded by the configuration alone")
    assert said(found, "board relays releases lane-1, lane-2: one failure of it takes them all")
    assert not said(found, "share one line") and not said(found, "open_feedback")


def test_one_line_for_all_and_no_feedback_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line for line in CONFIG.splitlines() if not line.startswith("open_feedback")]
    (tmp_path / "release.toml").write_text("\n".join(lines).replace('"far"', '"bus"'))
    found = ask(tmp_path, capsys)
    assert said(found, "inputs and outputs share one line (contacts, relays on ")
    assert said(found, "lane lane-1 has no open_feedback")


def test_a_board_without_a_will_is_not_praised_for_the_survivor(tmp_path: Path) -> None:
    """It has a watchdog of its own, so the release notes nothing of it; it opens by that and no sooner."""
    (tmp_path / "release.toml").write_text(
        CONFIG.replace(
            'port = "far"', 'port = "far"\nhost_watchdog = { registers = { 5 = 1 }, silence_s = 3.0 }'
        )
    )
    config = load(tmp_path / "release.toml")
    state = ReleaseState("normal", {}, (), (), True, True, memory_locked=True, outlived_by=7)
    (praised, _) = doctor.examine(config, state, 2.0).outputs.values()
    assert str(praised[1].kill) == "yes"
    told = ReleaseState.from_json(replace(state, unbequeathed=("relays",)).to_json())
    (grades, _) = doctor.examine(config, told, 2.0).outputs.values()
    assert (str(grades[1].kill), str(grades[1].hang)) == ("within 3 s", "within 3 s")
    assert not grades[1].hang.good


async def test_the_live_release_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with site(tmp_path, CONFIG) as here:
        await Technician(here).installs()
        await here.armed()
        state = await here.state(lambda s: s.outlived_by != 0)
        found = await asyncio.to_thread(ask, tmp_path, capsys)
        assert found["live"] is True
        grades = found["outputs"]["relays.1"]
        assert grades["kill"]["verdict"] == "yes" and "survivor" in grades["kill"]["why"]
        assert grades["hang"] == {
            "verdict": "within",
            "why": "the survivor kills the process and opens",
            "good": True,
            "within_s": 1.5,
        }
        assert said(found, "no real-time priority") is not state.realtime
        assert said(found, "input panel: never tested") and said(found, "lane lane-1: never tested")
        assert not said(found, "latch")
        assert await asyncio.to_thread(main, ["--config", str(tmp_path / "gated.toml"), "doctor"]) == 3
        text = capsys.readouterr().out
        assert "OUTPUT    LANE    POWER LOST  KILLED  HUNG          CABLE CUT" in text
        assert "WARNING  relays.0, relays.1: cable: no, left alone, the board keeps its last state" in text


def test_latches_that_differ_and_one_that_is_spoilt(tmp_path: Path) -> None:
    (tmp_path / "release.toml").write_text(CONFIG)
    (tmp_path / "state").mkdir()
    config = load(tmp_path / "release.toml")
    here, beside = config.state_dir, config.socket.parent
    fire = {
        Source("panel", Cause.FIRE): Latched("2026-01-01T00:00:00+00:00", frozenset({"lane-1", "lane-2"}))
    }

    def told() -> str:
        return "; ".join(doctor._latches(config))

    assert told() == ""
    latch.write(here, latch.encode(fire))
    assert told() == f"the latch is kept in one place only: there is none in {beside}"
    latch.write(beside, latch.encode({}))
    assert told().startswith("the two copies of the latch differ")
    latch.write(beside, latch.encode(fire))
    assert told() == ""
    latch.spoil(beside)
    assert told().startswith(f"latch in {beside}: it was left empty")


def test_gated_toml_is_held_against_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "release.toml").write_text(CONFIG)
    (tmp_path / "gated.toml").write_text(GATED)
    found = ask(tmp_path, capsys)
    assert said(found, "lane lane-9 of gated.toml has no output in release.toml: no alarm opens it")
    assert not said(found, "lane lane-1 of gated.toml")
    assert said(found, "gated does not listen to this release")
    assert said(found, "board of gated.toml uses a port of the release")
    (tmp_path / "gated.toml").write_text(
        GATED.replace("control_socket", 'release_socket = "release.sock"\ncontrol_socket')
    )
    monkeypatch.chdir(tmp_path)
    found = ask(Path(), capsys)  # by names that are relative
    assert not said(found, "gated does not listen to this release")
    assert said(found, "board of gated.toml uses a port of the release")
    (tmp_path / "gated.toml").write_text("[broken")
    assert said(ask(tmp_path, capsys), "gated.toml cannot be held against it: ")


def test_a_broken_release_toml_is_told_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "release.toml").write_text(CONFIG.replace('"fire"', '"flood"').replace('"far"', "7"))
    assert main(["--config", str(tmp_path / "gated.toml"), "doctor"]) == 1
    told = capsys.readouterr().err
    assert "inputs.panel.cause" in told and "devices.relays.port" in told


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("2s", 2.0),
        ("1min 30s", 90.0),
        ("500ms", 0.5),
        ("0", None),
        ("infinity", None),
        ("", None),
        ("x", None),
    ],
)
def test_the_service_managers_times(words: str, seconds: float | None) -> None:
    assert doctor._seconds(words) == seconds
