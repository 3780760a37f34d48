from __future__ import annotations

import csv
import re
import tomllib
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gated import config
from gated.errors import GatedError
from gated_simulators import scratch

TOKYO = ZoneInfo("Asia/Tokyo")


START = datetime(2026, 1, 1, tzinfo=UTC)


@settings(max_examples=25, deadline=None)
@given(st.timedeltas(timedelta(), timedelta(days=1000)).map(lambda after: START + after))
def test_the_night_is_never_now_whenever_the_demo_runs(
    tmp_path_factory: pytest.TempPathFactory, now: datetime
) -> None:
    made = tmp_path_factory.mktemp("site")
    scratch.make(scratch.template(), made, now)
    night = config.load(made / "gated.toml").plan.schedules["night"]
    for later in range(0, 60):
        local = (now + timedelta(minutes=later)).astimezone(TOKYO)
        for start, end in night.weekly[local.weekday()]:
            assert not (start <= local.time() and (local.time() < end or end == time(0)))
    assert all(len(spans) == 1 for spans in night.weekly.values())
    with (made / "cards.csv").open() as file:
        rows = list(csv.DictReader(file))
    today = now.astimezone(TOKYO).date()
    expired = [row for row in rows if date.fromisoformat(row["valid_until"]) < today]
    assert [row["identifier"][-2:] for row in expired] == ["04"]
    assert all(date.fromisoformat(row["valid_from"]) < today for row in rows)


def test_the_ports_are_free_and_all_different(site: Path) -> None:
    text = (site / "gated.toml").read_text()
    ports = re.findall(r"(?:127\.0\.0\.1):(\d+)", text)
    assert len(ports) == 5 == len(set(ports))
    original = (scratch.template() / "gated.toml").read_text()
    assert not set(ports) & set(re.findall(r":(543\d\d)", original))
    assert tomllib.loads(text)["lanes"] == tomllib.loads(original)["lanes"]


def test_every_card_of_the_list_is_somebodys(site: Path) -> None:
    people = tomllib.loads((site / "people.toml").read_text())["people"]
    with (site / "cards.csv").open() as file:
        listed = {row["identifier"] for row in csv.DictReader(file)}
    assert {holder["idm"] for holder in people.values()} - listed == {people["stranger"]["idm"]}


def test_a_path_too_long_for_a_socket_is_told_before_anything_is_made(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    with pytest.raises(GatedError, match="TMPDIR"):
        scratch.make(scratch.template(), long, datetime.now(UTC))
    assert not long.exists()
