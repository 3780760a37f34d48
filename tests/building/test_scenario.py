from __future__ import annotations

from pathlib import Path

import pytest

from gated.errors import ConfigError, InputError
from gated_simulators.building import commands
from gated_simulators.building.scenario import fill, load
from gated_simulators.demo import find

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
]
[[step]]
[[step]]
expect = [{ exit = 1 }]
"""
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, bad))
    text = str(caught.value)
    for piece in (
        "'crad lane-1 aoki' is no act",
        "step.0.expect.0: flap needs is = one of open, shut, moving",
        "step.0.expect.1: flap needs is",
        "step.0.expect.2: names coil and journal",
        "step.0.expect.3: names no subject",
        "step.0.expect.4: journal has no state",
        "withins: there is no such setting; did you mean within_s?",
        "step.1: does nothing and expects nothing",
        "keep, exit and says need a gatectl act",
    ):
        assert piece in text
    assert "Traceback" not in text


def test_a_name_that_nothing_keeps_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\{group\.0\.code\} is kept by no earlier step"):
        load(written(tmp_path, GOOD.replace('keep = "group"', "")))


@pytest.mark.parametrize("text", ["", "title = ", 'title = "t"\nstep = []', "\x00"])
def test_what_is_no_scenario_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        load(written(tmp_path, text))


def test_our_scenarios_are_found_by_name_and_good() -> None:
    for name in ("demo",):
        assert load(find(name)).step
    with pytest.raises(InputError, match="there are demo"):
        find("no-such-scenario")


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
        ("", "required"),
        ("fly lane-1", "invalid choice"),
        ("walk lane-1 sideways", "invalid choice"),
        ("walk lane-1 --force --approach", "not allowed with"),
        ("trip fire --for -1", "0 and 3600"),
        ("trip fire --for long", "invalid"),
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
