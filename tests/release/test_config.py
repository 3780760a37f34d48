"""The configuration: the demo site is good, and a bad file is refused with every error at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gated.errors import ConfigError
from gated.release.config import load, socket_path
from gated.release.service import main
from gated.release.words import Cause

DEMO = Path(__file__).parents[2] / "config/demo/release.toml"
SMALL = Path(__file__).with_name("config.toml")


def problems(tmp_path: Path, change: dict[str, str]) -> list[str]:
    """What is wrong with the small site after some replacements."""
    text = SMALL.read_text(encoding="utf-8")
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "release.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    return caught.value.problems


def test_the_demo_site_is_good() -> None:
    config = load(DEMO)
    assert list(config.plan.lanes) == ["lane-1", "lane-2"]
    assert config.plan.inputs["fire-panel"].cause is Cause.FIRE
    assert config.plan.inputs["fire-panel"].lanes == {"lane-1", "lane-2"}
    assert config.socket == DEMO.parent / "run/release.sock" == socket_path(DEMO)
    assert config.devices["release-relays"].settings.model_dump()["port"] == str(
        DEMO.parent / "wires/release-bus"
    )
    assert config.warnings == ()


def test_every_error_is_told_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        {
            'reset_by = ["guard.sato", "guard.mori"]': "reset_by = []",
            'cause = "earthquake"': 'cause = "flood"',
            "relock_warning_s = 2.0": "relock_warning = 2.0",
            'channel = 2\nalarm_when = "closed"': 'channel = 0\nalarm_when = "closed"\nenabled = false',
            '[outputs.lane-2]\ndevice = "release-relays"': '[outputs.lane-2]\ndevice = "release-relay"',
        },
    )
    expected = [
        ("release.reset_by", "at least 1"),
        ("release.relock_warning", "did you mean relock_warning_s?"),
        ("inputs.earthquake-receiver.cause", "'flood'"),
        ("inputs.guard-button.channel", "belongs to inputs.fire-panel"),
        ("inputs.guard-button.enabled", "cannot be disabled"),
        ("outputs.lane-2.device", "did you mean release-relays?"),
    ]
    for key, text in expected:
        assert any(p.startswith(key) and text in p for p in found), (key, found)
    assert len(found) == len(expected)


FIRE = "[inputs.fire-panel]\n"
MONITOR = """[monitors.transfer]
device = "release-inputs"
channel = 9
trouble_when = "closed"
says = "transfer_stopped"
"""
SIGNAL = '[signals.horn]\ndevice = "release-relays"\nchannel = 9\non = "alarm"\n'
SERIAL = '[devices.usb]\ndriver = "relay_serial"\nport = "wires/release-bus"\nchannels = 2\n'
SECOND = '[devices.other]\ndriver = "relay_modbus"\nport = "wires/release-bus"\nunit = 1\n'
MISTAKES = [
    (FIRE, f"{FIRE}lanes = []\n", "inputs.fire-panel.lanes"),
    (FIRE, f'{FIRE}lanes = ["lane-9"]\n', "did you mean lane-"),
    ("channel = 1\nenergised", "channel = 0\nenergised", "belongs to outputs.lane-1"),
    ("channel = 5, closed", "channel = 4, closed", "belongs to outputs.lane-1.open_feedback"),
    ("channel = 5, closed", "channel = 9, closed", "is not configured for channel 9"),
    ('channel = 5, closed = "open"', 'channel = 5, closed = "clear"', "should be 'open' or 'shut'"),
    ('"release-relays"\nchannel = 0', '"release-inputs"\nchannel = 2', "has no relay driver"),
    ('"release-inputs"\nchannel = 0', '"release-relays"\nchannel = 2', "has no contact driver"),
    ('driver = "relay_modbus"', 'driver = "relay_modbuz"', "did you mean relay_modbus?"),
    ("poll_s = 0.02", "pol_s = 0.02", "did you mean poll_s?"),
    ("[release]", "[alarms]\n[release]", "there is no such table"),
    ("[release]", "[monitor.x]\n[release]", "did you mean monitors?"),
    ('cause = "earthquake"', 'cause = "earthqake"', "did you mean earthquake?"),
    ("[outputs.lane-2]\n", '[outputs.lane-2]\nlane = ""\n', "maps to no lane"),
    ("[release]", f"{MONITOR.replace('closed', 'shut')}[release]", "monitors.transfer.trouble_when"),
    ("[release]", f"{MONITOR.replace('stopped', 'stoped')}[release]", "did you mean transfer_stopped?"),
    (
        "[release]",
        f"{MONITOR.replace('channel = 9', 'channel = 0')}[release]",
        "belongs to inputs.fire-panel",
    ),
    (
        "[release]",
        f"{MONITOR.replace('channel = 9', 'channel = 4')}[release]",
        "belongs to outputs.lane-1.open",
    ),
    ("[release]", f"{SIGNAL.replace('channel = 9', 'channel = 1')}[release]", "belongs to outputs.lane-2"),
    ("[release]", f"{SIGNAL.replace('alarm', 'alram')}[release]", "did you mean alarm?"),
    ("[release]", f"{SIGNAL.replace('relays', 'inputs')}[release]", "has no relay driver"),
    ("[release]", "[signals]\n[release]", "signals: is required: at least one"),
    ("[inputs.fire", f"{SERIAL}[inputs.fire", "release-inputs uses"),
    ("[inputs.fire", f"{SECOND}[inputs.fire", "both are unit 1, which is one board"),
    ("[inputs.fire", f"{SECOND.replace('unit = 1', 'baudrate = 19200')}[inputs.fire", "one baudrate"),
]


@pytest.mark.parametrize(("old", "new", "text"), MISTAKES)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, text: str) -> None:
    assert any(text in problem for problem in problems(tmp_path, {old: new}))


@pytest.mark.parametrize("channel", [0, 3])
def test_a_coil_that_a_counted_board_has_not_is_named(tmp_path: Path, channel: int) -> None:
    """Counted boards count from 1."""
    changes = {
        'driver = "relay_modbus"\nport = "wires/release-bus"\nunit = 1\nrest = { 0 = false, 1 = false }': (
            'driver = "relay_serial"\nport = "wires/release-board"\nchannels = 2'
        ),
        '"release-relays"\nchannel = 1': f'"release-relays"\nchannel = {channel}',
        '"release-relays"\nchannel = 0\nenergised = "may_shut"\nopen_feedback = { device = "release-inputs", '
        "channel = 4": '"release-relays"\nchannel = 2\nenergised = "may_shut"\n'
        'open_feedback = { device = "release-inputs", channel = 4',
    }
    (found,) = problems(tmp_path, changes)
    assert found.startswith("outputs.lane-2.channel: release-relays is not configured for channel")


def test_a_lane_may_have_several_outputs(tmp_path: Path) -> None:
    path = tmp_path / "release.toml"
    text = SMALL.read_text(encoding="utf-8")
    path.write_text(text.replace("[outputs.lane-2]\n", '[outputs.other-flap]\nlane = "lane-1"\n'))
    config = load(path)
    assert list(config.plan.lanes) == ["lane-1"]
    assert {coil.lane for coil in config.coils.values()} == {"lane-1"}


def test_a_file_without_outputs_or_devices_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "release.toml"
    path.write_text('[release]\nreset_by = ["sato"]\n[inputs]\nfire = 3\n')
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert {p.partition(":")[0] for p in caught.value.problems} == {"devices", "outputs", "inputs.fire"}


def test_losing_a_normally_closed_loop_opens_and_losing_a_contact_holds(tmp_path: Path) -> None:
    path = tmp_path / "release.toml"
    text = SMALL.read_text(encoding="utf-8")
    path.write_text(text.replace('channel = 1\nalarm_when = "closed"', 'channel = 1\nalarm_when = "open"'))
    inputs = load(path).plan.inputs
    assert inputs["earthquake-receiver"].open_on_fault
    assert not inputs["fire-panel"].open_on_fault


def test_what_does_not_open_by_itself_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "release.toml"
    text = SMALL.read_text(encoding="utf-8").replace("rest = { 0 = false, 1 = false }", "rest = { 0 = true }")
    path.write_text(text)
    assert [w.partition(":")[0] for w in load(path).warnings] == [
        "output lane-1 lets its lane be shut when the service stops",
        "output lane-2 is opened at a stop by nothing but the survivor",
    ]


def test_check_says_what_is_wrong_and_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--config", str(SMALL)]) == 0
    assert "3 inputs" in capsys.readouterr().out
    assert main(["--check", "--config", str(tmp_path / "none.toml")]) == 1
    assert capsys.readouterr().err.endswith("cannot be read: No such file or directory\n")


def test_monitors_signals_days_and_low_batteries_are_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "release.toml"
    text = SMALL.read_text(encoding="utf-8").replace('cause = "earthquake"', 'cause = "power"')
    monitor = MONITOR.replace("channel = 9", "channel = 3")
    text = text.replace("channels = [0, 1, 2, 4, 5]", "channels = [0, 1, 2, 3, 4, 5]")
    path.write_text(text.replace("[release]\n", f"{monitor}{SIGNAL}[release]\noutput_test_days = 7\n"))
    config = load(path)
    assert config.plan.inputs["earthquake-receiver"].cause is Cause.POWER
    assert config.monitors == {"transfer": "transfer_stopped"}
    assert config.wires["release-inputs", 3] == ("monitor", "transfer", True)
    assert config.signals["release-relays", 9] == ("horn", "alarm", True)
    assert (config.link_test_days, config.output_test_days) == (180, 7)


def test_a_wrong_output_makes_no_second_error_of_its_lane(tmp_path: Path) -> None:
    changes = {
        FIRE: f'{FIRE}lanes = ["lane-2"]\n',
        '[outputs.lane-2]\ndevice = "release-relays"': "[outputs.lane-2]\ndevice = 3",
    }
    (found,) = problems(tmp_path, changes)
    assert found.startswith("outputs.lane-2.device")


def test_a_lane_that_no_input_opens_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "release.toml"
    text = SMALL.read_text(encoding="utf-8")
    path.write_text(text.replace("alarm_when", 'lanes = ["lane-1"]\nalarm_when'))
    assert load(path).warnings == ("lane lane-2 is opened by no input",)


NUMATO = """
[release]
reset_by = ["guard"]
[devices.contacts]
driver = "contact_modbus"
port = "a"
channels = [0]
[devices.relays]
driver = "relay_serial"
protocol = "numato"
port = "b"
channels = 8
[inputs.panel]
cause = "fire"
device = "contacts"
channel = 0
alarm_when = "closed"
[outputs.lane]
device = "relays"
channel = 0
energised = "may_shut"
"""


def test_boards_that_count_from_0_have_a_channel_0_and_not_one_more(tmp_path: Path) -> None:
    path = tmp_path / "release.toml"
    path.write_text(NUMATO)
    assert ("relays", 0) in load(path).coils
    path.write_text(NUMATO.replace("channel = 0\nenergised", "channel = 8\nenergised"))
    with pytest.raises(ConfigError, match="not configured for channel 8"):
        load(path)
