"""What the pages tell a reader to type or to write is understood by the program."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gated.allowlist import SiteKey
from gated.allowlist.load import build
from gated.config import load as load_gated
from gated.ctl.cli import build as gatectl
from gated_simulators import cli as gatesim
from gated_simulators.building import scenario
from gated_simulators.snapshot import Snapshot
from tests.docs.made import pages

ROOT = Path(__file__).parents[2]
PAGES = [*pages(), ROOT / "README.md"]


def typed(program: str) -> Iterator[str]:
    """Every call of the program in an indented block or at the start of a code span."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = re.findall(r"^ {4,}(.*)$", text, re.MULTILINE) + re.findall(r"`([^`\n]+)`", text)
        for line in lines:
            line = re.sub(r"\s+#.*| \.\.\.$", "", line.removeprefix("sudo ").removeprefix("./dev run "))
            line = re.sub(r"\[([\w-]+)\]", r"\1", line)
            if re.match(rf"{program} -*\w", line):
                yield line


def understood(parser: argparse.ArgumentParser, line: str) -> None:
    try:
        parser.parse_args(shlex.split(line)[1:])
    except SystemExit as end:
        pytest.fail(f"{line}: exit {end.code}")


@pytest.mark.parametrize("line", sorted(set(typed("gatectl"))))
def test_gatectl_understands(line: str) -> None:
    named = {  # in a sentence, not to be typed like that
        "gatectl reset": "gatectl reset --why x",
        "gatectl allowlist load": "gatectl allowlist load FILE",
    }
    understood(gatectl(), named.get(line, line))


@pytest.mark.parametrize("line", sorted(set(typed("gatesim"))))
def test_gatesim_understands(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    site = str(ROOT / "config" / "demo")
    monkeypatch.setenv("GATESIM_SITE", site)
    named = {"gatesim play": "gatesim play demo"}
    understood(gatesim.parser(), named.get(line, line).replace("--site DIR", f"--site {site}"))


def test_there_are_lines_to_try() -> None:
    assert len(set(typed("gatectl"))) > 20
    assert len(set(typed("gatesim"))) > 12


def files() -> dict[str, str]:
    """The files that the pages show, by name."""
    pattern = r"<!-- file: (\S+) -->\n```\w+\n(.*?)```"
    found = (re.findall(pattern, page.read_text(encoding="utf-8"), re.DOTALL) for page in PAGES)
    return {name: text for shown in found for name, text in shown}


@pytest.mark.parametrize(("name", "rows", "denied"), [("cards.csv", 3, 1), ("cards.jsonl", 2, 0)])
def test_the_lists_load_at_the_demo_site(tmp_path: Path, name: str, rows: int, denied: int) -> None:
    plan = load_gated(ROOT / "config" / "demo" / "gated.toml").plan
    (tmp_path / name).write_text(files()[name], encoding="utf-8")
    report = build(
        tmp_path / name,
        tmp_path / "allowlist.db",
        SiteKey(bytes(32)),
        timezone=ZoneInfo("Asia/Tokyo"),
        zones={zone for area in plan.areas.values() for zone in (area.id, *area.zones)},
        schedules=plan.schedules.keys(),
    )
    assert (report.rows, report.denied) == (rows, denied)


def test_the_scenario_is_one(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(files()["scenario.toml"], encoding="utf-8")
    assert len(scenario.load(tmp_path / "one.toml").step) == 3


def test_every_link_leads_somewhere() -> None:
    broken = [
        f"{page.name}: {link}"
        for page in PAGES
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert broken == []


def test_the_picture_keeps_the_busiest_moment_and_fetches_nothing(tmp_path: Path) -> None:
    snapshot = Snapshot()
    for people, text in ((1, "quiet"), (3, "busy"), (2, "after")):
        snapshot.look({"lanes": {"lane-1": {"people": [{}] * people}}}, text)
    snapshot.save(tmp_path / "one.svg", "a title")
    for svg in ((tmp_path / "one.svg").read_text(), (ROOT / "docs" / "demo.svg").read_text()):
        assert "url(http" not in svg
        assert "@font-face" not in svg
        assert len(svg) < 100_000
    assert ">busy<" in (tmp_path / "one.svg").read_text()
