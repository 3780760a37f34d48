"""What the desk makes of words from outside: an event or a refusal, and nothing that shuts a gate."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gated.jsonlines import Peer
from gated.release import client
from gated.release.desk import VERBS, Asked
from gated.release.machine import Machine
from gated.release.words import (
    Cause,
    InputPlan,
    InputSeen,
    LanePlan,
    Now,
    Open,
    OpenRequested,
    Plan,
    Refused,
    Secure,
    Tick,
)
from tests.release.harness import OPEN, site

PLAN = Plan(
    {
        "panel": InputPlan(Cause.FIRE, frozenset({"lane-1"}), True),
        "quake": InputPlan(Cause.EARTHQUAKE, frozenset({"lane-2"}), False),
    },
    {"lane-1": LanePlan(), "lane-2": LanePlan()},
    ("sato",),
)
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 4, 4.0001, 0.5, 1e308, -1e308, 10**400, float("nan"), float("inf")),
    *("", " ", "sato", " sato ", "mallory", "panel", "quake", "lane-1", "\ud800", "\x00", "x" * 10_000),
    *([], ["lane-1"], ["lane-2", "lane-1"], ["nope"], [None], [["lane-1"]], {}, {"by": "sato"}),
]
GOOD: dict[str, list[Any]] = {
    "by": ["sato"],
    "why": ["a test"],
    "input": ["panel", "quake"],
    "lanes": [["lane-1"], ["lane-1", "lane-2"], []],
    "hours": [1, 4.0],
}
TRIALS = 100_000


def at(seconds: float) -> Now:
    return Now(seconds, datetime(2026, 1, 1, tzinfo=UTC))


def fresh() -> Machine:
    machine = Machine(PLAN, at(0))
    for name in PLAN.inputs:
        machine.handle(InputSeen(name, False), at(0))
    return machine


def test_any_words_are_an_event_or_a_refusal_and_shut_nothing_at_once() -> None:
    chance = random.Random(3)
    machine, done = fresh(), 0
    for trial in range(TRIALS):
        if trial % 50 == 0:
            machine = fresh()
        request = {
            key: chance.choice(VALUES if chance.random() < 0.3 else good)
            for key, good in GOOD.items()
            if chance.random() < 0.95
        }
        asked = Asked(request, Peer(1, 2, 3))
        event = chance.choice(list(VERBS.values())).event(asked)
        if asked.problems:
            continue
        before = machine.open_lanes
        effects = machine.handle(event, at(0))
        refused = any(isinstance(effect, Refused) for effect in effects)
        assert not any(isinstance(effect, Secure) for effect in effects)
        assert machine.open_lanes >= before
        if isinstance(event, OpenRequested) and not refused:
            opened = event.lanes or frozenset(PLAN.lanes)
            assert machine.open_lanes >= opened
            assert {e.lane for e in effects if isinstance(e, Open)} == opened - before
        done += not refused
    assert done > 1000  # the words were not all nonsense
    machine.handle(Tick(), at(20_000))
    assert not machine.inspections  # however long was asked for


async def test_a_name_that_is_no_text_opens_and_is_on_record(tmp_path: Path) -> None:
    """Whoever opens may give any name: neither the gate nor the record may break on it."""
    async with site(tmp_path) as here:
        await here.armed()
        answer = await client.request(here.socket, "open", by="\ud800", why="\x00\n\udfff", lanes=[])
        assert answer["recorded"] is True
        await here.coils(OPEN)
        [record] = [record for record in here.trail if record.get("code") == "open_ordered"]
        assert record["by"]
