from __future__ import annotations

from pathlib import Path

import pytest

from gated.errors import ConfigError, InputError
from gated_simulators.building import commands, wiring
from gated_simulators.building.names import strangers
from gated_simulators.building.scenario import fill, load
from gated_simulators.demo import find, listed, ours

GOOD = """
title = "One card"
[[step]]
part = "1 card"
do = "card lane-1 aoki"
expect = [
  { journal = "granted", lane = "lane-1" },
  { flap = "lane-1", is = "open", within_s = 2.0 },
  { passed = "lane-1", way = "entry", never = true, within_s = 0.1 },
]
[[step]]
do = ["gatectl --json pass issue", "walk lane-1 exit --approach"]
keep = "group"
[[step]]
do = "code lane-1 {group.0.code} --tilt 20"
"""


def written(path: Path, text: str) -> Path:
    file = path / "scenario.toml"
    file.write_text(text)
    return file


def test_a_good_file_is_read(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, GOOD))
    assert [len(step.expect) for step in scenario.step] == [3, 0, 0]
    assert scenario.step[1].do[1] == "walk lane-1 exit --approach"
    assert scenario.step[0].expect[1].sentence() == "flap lane-1 open"
    assert scenario.step[0].expect[2].sentence() == "never passed lane-1 at entry"


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    bad = """
title = "bad"
[[step]]
do = "crad lane-1 aoki"
expect = [
  { flap = "lane-1" },
  { flap = "lane-1", is = "ajar" },
  { journal = "granted", coil = "lane-1.may_shut", is = "energised" },
  { within_s = 2.0 },
  { journal = "granted", is = "open" },
  { journal = "granted", withins = 3 },
  { journal = "denied_aera", never = true },
  { phase = "relase", is = "normal" },
  { same_process = "gatedd" },
  { passed = "lane-1", way = "in" },
]
[[step]]
do = ["gatectl pass 'show", "card lane-1 {nobody.0}"]
[[step]]
[[step]]
expect = [{ exit = 1 }]
"""
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, bad))
    text = str(caught.value)
    for piece in (
        "'crad lane-1 aoki': 'crad' is no act; did you mean card?",
        "step.0.expect.0: flap needs is = one of open, shut, moving",
        "step.0.expect.1: flap needs is",
        "step.0.expect.2: names coil and journal",
        "step.0.expect.3: names no subject",
        "step.0.expect.4: journal has no state",
        "withins: there is no such setting; did you mean within_s?",
        "no reason is called denied_aera; did you mean denied_area?",
        "step.0.expect.7.phase",
        "step.0.expect.8.same_process",
        "step.0.expect.9.way",
        '"gatectl pass \'show": No closing quotation',
        "step.1.do: {nobody.0} is kept by no earlier step",
        "step.2: does nothing and expects nothing",
        "keep, exit and says need a gatectl act",
    ):
        assert piece in text
    assert "Traceback" not in text


STRANGE = """
title = "Elsewhere"
[[step]]
do = ["walk lane-9", "cut board-7", "trip flood", "trip fire"]
expect = [
  { flap = "lane-9", is = "open", never = true },
  { unmoved = ["lane-1", "lane-2.may_shut", "lane-8"] },
  { coil = "lane-1.release_entri", is = "energised", never = true },
  { lamp = "lane-1.blue", is = "on", never = true },
  { beam = "lane-1.middle", is = "dark", never = true },
  { contact = "smoke", is = "alarm", never = true },
  { device = "board-3", is = "fault", never = true },
  { journal = "granted", lane = "lane-3", access_point = "reader-9", never = true },
]
"""


def test_names_that_a_site_does_not_have_are_told_at_once(tmp_path: Path, site: Path) -> None:
    """An expectation with `never` on something that does not exist would hold whatever happens."""
    wires = wiring.read(site)
    assert [strangers(load(find(name)), wires) for name in ours()] == [[]] * len(ours())
    found = strangers(load(written(tmp_path, STRANGE)), wires)
    assert [sentence.partition(";")[0] for sentence in found] == [
        "step.0.do: no lane is called 'lane-9'",
        "step.0.do: no device or line is called 'board-7'",
        "step.0.do: no alarm contact is called 'flood'",
        "step.0.expect.0: no lane is called 'lane-9'",
        "step.0.expect.1: no lane or coil is called 'lane-8'",
        "step.0.expect.2: no coil is called 'lane-1.release_entri'",
        "step.0.expect.3: no lamp is called 'lane-1.blue'",
        "step.0.expect.4: no beam is called 'lane-1.middle'",
        "step.0.expect.5: no contact is called 'smoke'",
        "step.0.expect.6: no device is called 'board-3'",
        "step.0.expect.7: no lane is called 'lane-3'",
        "step.0.expect.7: no access point is called 'reader-9'",
    ]
    assert "did you mean lane-1.release_entry?" in found[5]


def test_a_name_that_nothing_keeps_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\{group\.0\.code\} is kept by no earlier step"):
        load(written(tmp_path, GOOD.replace('keep = "group"', "")))


@pytest.mark.parametrize("text", ["", "title = ", 'title = "t"\nstep = []', "\x00"])
def test_what_is_no_scenario_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        load(written(tmp_path, text))


def test_our_scenarios_are_found_by_name_and_good() -> None:
    assert all(load(find(name)).step for name in ours())
    with pytest.raises(InputError, match="there are by-hand, demo"):
        find("no-such-scenario")


def test_no_row_of_the_emergency_release_is_without_a_scenario_of_its_own() -> None:
    covered = [row for name in ours() if name != "demo" for row in load(find(name)).covers]
    assert set(covered) == {f"E{number}" for number in range(1, 11)}
    for name in ours():
        assert f"{name:<14} {load(find(name)).title}  [" in listed()


def test_kept_values_fill_an_act() -> None:
    kept = {"group": [{"code": "A B%C"}, {"code": "x"}]}
    assert fill("{group.0.code}", kept) == "A B%C"
    assert fill("plain", kept) == "plain"
    for missing in ("{group.7.code}", "{group.0.no}", "{other}", "{group.x.code}"):
        with pytest.raises(InputError, match="nothing of that name"):
            fill(missing, kept)


@pytest.mark.parametrize(
    ("line", "piece"),
    [
        ("", "'' is no act; there are card, code"),
        ("fly lane-1", "'fly' is no act; there are card, code"),
        ("wlak lane-1", "did you mean walk?"),
        ("walk lane-1 sideways", "invalid choice"),
        ("walk lane-1 --force --approach", "not allowed with"),
        ("trip fire --for -1", "between 0.01 and 3600"),
        ("trip fire --for long", "'long' is not a number"),
        ("trip fire --for nan", "nan is not a time"),
        ("code lane-1 X --glare 2", "between 0 and 1"),
        ("kill everything", "invalid choice"),
        ("card 'lane-1", "quotation"),
    ],
)
def test_a_wrong_act_is_refused_with_a_sentence(line: str, piece: str) -> None:
    with pytest.raises(InputError) as caught:
        commands.parse(line)
    assert piece in str(caught.value)


def test_an_act_becomes_a_request() -> None:
    request = commands.as_request(commands.parse("trip fire --for 0.1"))
    assert request == {"do": "trip", "contact": "fire", "for_s": 0.1}
    assert commands.as_request(commands.parse("walk lane-1"))["way"] == "entry"
