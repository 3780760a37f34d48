"""gated.toml checked whole: what a good file means, and everything that is wrong with a bad one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import date, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gated import config, registry, schema
from gated.config_file import LaneTimesTable
from gated.core.model import AccessPoint, AntiPassback, Direction, LaneContact, LaneMode, LaneTimes
from gated.daemon import main
from gated.errors import ConfigError
from gated.wiring import Coil, Input, Lamp

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "config" / "demo" / "gated.toml"
BAD = Path(__file__).parent / "files" / "bad.toml"

PROBLEMS = """\
area: there is no such table; did you mean areas?
site.timezone: is not a time zone of the tz database; did you mean Asia/Tokyo? (found 'Asia/Tokio')
site.holidays.0: input should be a valid date or datetime, month value is outside expected range of 1-12 \
(found '2026-13-01')
site.clok: there is no such setting; did you mean clock?
passes.activation: input should be 'required' or 'off' (found 'of'); did you mean off?
areas.joined.anti_passback: input should be 'hard', 'soft' or 'off' (found 'hrad'); did you mean hard?
areas.east.occupancy_limit: input should be greater than or equal to 0 (found -1)
schedules.office.weekly.0: 'mon-fry' is not a day or a range of days (mon, tue, wed, thu, fri, sat, sun); \
write days and hours like "mon-fri 07:00-20:00" or "sat,sun 09:00-12:00" (found 'mon-fry 07:00-20:00')
schedules.office.weekly.1: hours must not end when they start; a whole day is 00:00-24:00 \
(found 'sat 20:00-20:00')
lanes.lane-1.relays.release_exit.energised: input should be 'released' or 'secured' (found 'relesed'); \
did you mean released?
lanes.lane-1.contacts.flap: there is no such setting; did you mean flap_open?
lanes.lane-1.times.passage_s: input should be greater than 0 (found 0)
devices.reader-1.driver: no driver is called 'reader_nfcpi'; did you mean reader_nfcpy?
devices.board-1.channels: is required and missing
devices.board-1.chanels: there is no such setting; did you mean channels?
devices.board-2.timeout_s: input should be a valid number, unable to parse string as a number (found 'soon')
areas.east.zones: zone 'new' already belongs to area joined
lanes.lane-1.inner: there is no area 'main'; 'main' is a zone of area joined: write joined
lanes.lane-1.mode_schedule.0.schedule: there is no schedule 'offices'; did you mean office?
lanes.lane-1.entry_readers: device 'board-1' is a relay, but a reader is needed here
lanes.lane-1.exit_readers: reader 'reader-1' is already used in lanes.lane-1.entry_readers
lanes.lane-2.entry_readers: reader 'reader-1' is already used in lanes.lane-1.entry_readers
lanes.lane-2.relays: a lane needs release_entry, release_exit or both
lanes.lane-1.relays.release_exit: there is no device 'bord-1'; did you mean board-1?
lanes.lane-1.relays.signal_grant: channel 1 of board-2 is already used by lanes.lane-1.relays.release_entry
lanes.lane-1.contacts.beam_exit: channel 7 is not one that sensors-1 states (0, 1)
""".splitlines()

Write = Callable[..., Path]


@pytest.fixture
def demo(tmp_path: Path) -> Write:
    """The demo's file with some text replaced."""

    def write(*changes: tuple[str, str]) -> Path:
        text = DEMO.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "gated.toml"
        path.write_text(text)
        return path

    return write


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as found:
        config.load(path)
    assert found.value.source == str(path)
    return found.value.problems


def test_every_error_of_a_bad_file_is_told_at_once() -> None:
    assert problems(BAD) == PROBLEMS


def test_check_prints_them_all_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(BAD)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        f"gated: {BAD}: {len(PROBLEMS)} error(s)",
        *(f"  {line}" for line in PROBLEMS),
    ]


def test_check_of_a_good_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(DEMO)]) == 0
    assert capsys.readouterr().out == f"{DEMO}: ok: site demo: 2 lanes, 2 areas, 2 schedules, 8 devices\n"


def test_the_demo_as_a_plan() -> None:
    found = config.load(DEMO)
    plan = found.plan
    assert plan.timezone == ZoneInfo("Asia/Tokyo")
    assert date(2026, 11, 23) in plan.holidays
    assert plan.activation_required
    assert plan.areas["joined"].zones == {"joined", "main", "new", "west"}
    assert plan.areas["joined"].anti_passback is AntiPassback.HARD
    assert plan.schedules["office"].weekly[4] == ((time(7), time(21)),)
    assert plan.schedules["office"].holidays == ()
    assert plan.lanes["lane-1"].essential == {"board-1", "sensors-1"}
    assert plan.lanes["lane-1"].has_beams
    assert plan.lanes["lane-2"].mode is LaneMode.FREE_EXIT
    assert plan.access_points["camera-2"] == AccessPoint("camera-2", "lane-2", Direction.ENTRY)


def test_the_demo_as_wires() -> None:
    lane = config.load(DEMO).lanes["lane-1"]
    assert lane.release == {
        Direction.ENTRY: Coil("board-1", 1, True),
        Direction.EXIT: Coil("board-1", 2, True),
    }
    assert lane.lamps[Lamp.DENY] == Coil("board-1", 4, True)
    assert lane.contacts[LaneContact.FLAP_OPEN] == Input("sensors-1", 2, True)


def test_polarity_is_read_where_it_is_written(demo: Write) -> None:
    path = demo(
        ('channel = 1, energised = "released"', 'channel = 1, energised = "secured"'),
        ('channel = 0, closed = "active"', 'channel = 0, closed = "inactive"'),
    )
    lane = config.load(path).lanes["lane-1"]
    assert not lane.release[Direction.ENTRY].when
    assert not lane.contacts[LaneContact.BEAM_ENTRY].when


def test_paths_are_relative_to_the_file(demo: Write) -> None:
    path = demo()
    found = config.load(path)
    base = path.parent
    assert found.state_dir == base / "state"
    assert found.control_socket == base / "run" / "gated.sock"
    assert found.release_socket == base / "run" / "release.sock"
    settings = {name: device.settings.model_dump() for name, device in found.devices.items()}
    assert settings["board-1"]["port"] == str(base / "wires" / "board-1")
    assert settings["reader-1"]["path"] == "udp:127.0.0.1:54331"
    assert settings["camera-1"]["source"] == "http://127.0.0.1:54341/stream"
    assert config.load_site(path) == found.site


def test_every_time_of_a_lane_can_be_set() -> None:
    """What the core knows of times, the file knows too, with the same defaults."""
    known = {field.name: field.default for field in dataclasses.fields(LaneTimes)}
    assert {name: field.default for name, field in LaneTimesTable.model_fields.items()} == known


def test_a_file_without_contacts_has_a_lane_without_beams(demo: Write) -> None:
    text = DEMO.read_text()
    start, end = text.index("[lanes.lane-1.contacts]"), text.index("[lanes.lane-1.times]")
    lane = config.load(demo((text[start:end], ""))).plan.lanes["lane-1"]
    assert not lane.has_beams
    assert lane.essential == {"board-1"}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            'beam_exit = { device = "sensors-1", channel = 1, closed = "active" }\n',
            "",
            "lanes.lane-1.contacts: a lane has both beams or none; beam_exit is missing",
        ),
        (
            'release_exit = { device = "board-1", channel = 2, energised = "released" }\n',
            "",
            "lanes.lane-1.relays.release_exit: "
            "is missing, but the lane lets people out (mode or exit_readers)",
        ),
        (
            'outer = "outside"\ninner = "joined"',
            'outer = "joined"\ninner = "joined"',
            "lanes.lane-1: inner and outer are both 'joined'; a lane leads from one area into another",
        ),
        (
            'zones = ["main", "new", "west"]',
            'zones = ["main", "east"]',
            "areas.joined.zones: 'east' is the name of another area",
        ),
        (
            'device = "board-1", channel = 4',
            'device = "board-1", channel = 5',
            "lanes.lane-1.relays.signal_deny: channel 5 is not one that board-1 states (1, 2, 3, 4)",
        ),
        (
            'device = "board-1", channel = 4',
            'device = "board-1", channel = 0',
            "lanes.lane-1.relays.signal_deny: channel 0 is not one that board-1 states (1, 2, 3, 4)",
        ),
        (
            'device = "board-1", channel = 4',
            'device = "sensors-1", channel = 4',
            "lanes.lane-1.relays.signal_deny: device 'sensors-1' is a contact, but a relay is needed here",
        ),
        ('state_dir = "state"\n', "", "site.state_dir: is required and missing"),
        ('"state"', '"a\\u0000b"', "site.state_dir: must be a path on one line (found 'a\\x00b')"),
        (
            "run/release.sock",
            "run/gated.sock",
            "site.release_socket: is site.control_socket; gated-release answers at a socket of its own",
        ),
        (
            'device = "board-1", channel = 1',
            'device = "board-1", channel = true',
            "lanes.lane-1.relays.release_entry.channel: input should be a valid integer (found true)",
        ),
        (
            "passage_s = 5.0",
            'passage_s = "5"',
            "lanes.lane-1.times.passage_s: input should be a valid number (found '5')",
        ),
        ("[areas.east]", '[areas." "]\n[areas.east]', "areas.' ': a name is one line of text"),
        ("[passes]", "[[passes]]", "passes: must be a table"),
        (
            '"reader_nfcpy"\npath = "udp:127.0.0.1:54331"',
            '"..os.path"',
            "devices.reader-1.driver: no driver is called '..os.path'; installed: "
            + ", ".join(registry.names()),
        ),
        (
            'driver = "relay_modbus"',
            'driver = "_modbus_bus"',
            "devices.board-2.driver: no driver is called '_modbus_bus'; did you mean relay_modbus?",
        ),
    ],
)
def test_one_error_is_one_sentence(demo: Write, old: str, new: str, sentence: str) -> None:
    assert problems(demo((old, new))) == [sentence]


def test_a_wrong_word_in_a_list_hides_no_other_error(demo: Write) -> None:
    lines = '[{ schedule = "offce", mode = "both" }, { schedule = "office", mode = "exitt" }]'
    path = demo(('exit_readers = ["reader-1-out"]', f"mode_schedule = {lines}"))
    assert problems(path) == [
        "lanes.lane-1.mode_schedule.1.mode: input should be 'entry', 'exit', 'both', 'free_exit' or 'closed' "
        "(found 'exitt'); did you mean exit?",
        "lanes.lane-1.mode_schedule.0.schedule: there is no schedule 'offce'; did you mean office?",
    ]


def test_a_socket_path_that_the_kernel_would_not_take_is_an_error(demo: Write) -> None:
    (problem,) = problems(demo(('"run/gated.sock"', f'"/tmp/{"s" * 103}"')))
    assert problem.startswith("site.control_socket: ") and "107 bytes" in problem
    config.load(demo(('"run/gated.sock"', f'"/tmp/{"s" * 102}"')))


def test_doubts_about_a_good_file_are_warnings(demo: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = demo(
        ("rest = { 1 = false, 2 = false, 3", "rest = { 1 = false, 3"),
        ('["reader-2", "camera-2"]', '["reader-2"]'),
    )
    assert main(["check", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[:-1] == [
        "warning: lanes.lane-1.relays.release_exit: devices.board-1.rest does not name channel 2: "
        "when gated stops, it stays as it was last commanded",
        "warning: devices.camera-2: no lane uses it",
    ]


def test_what_is_no_configuration_at_all(tmp_path: Path) -> None:
    path = tmp_path / "gated.toml"
    assert problems(path) == ["cannot be read: No such file or directory"]
    path.write_bytes(b"\xff")
    assert problems(path) == ["is not UTF-8 text: byte 0"]
    path.write_text("[site\n")
    assert problems(path)[0].startswith("is not TOML: ")
    path.write_text('devices = 3\nlanes = "x"\nareas = []\n')
    assert problems(path) == [
        "site: is required and missing",
        "areas: must be a table of tables, like [areas.NAME]",
        "devices: must be a table of tables, like [devices.NAME]",
        "lanes: must be a table of tables, like [lanes.NAME]",
    ]


def test_the_schema_for_editors_is_current() -> None:
    """Write it again with: gated schema > config/gated.schema.json"""
    kept = json.loads((ROOT / "config" / "gated.schema.json").read_text())
    assert kept == schema.schema()
    drivers = {
        entry["$ref"].rpartition("/")[2]
        for entry in kept["properties"]["devices"]["additionalProperties"]["oneOf"]
    }
    assert drivers == set(registry.names())
