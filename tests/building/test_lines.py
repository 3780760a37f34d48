"""What a board finds at its end of a line, for every state of the contact and every damage."""

from __future__ import annotations

import pytest

from gated.wiring import Input
from gated_simulators.building.lines import Condition, Line

WHOLE, CUT, SHORT, _ = Condition


def line(closes: bool, supervised: bool, active: bool, condition: Condition) -> Line:
    return Line("panel", Input("board", 0, closes), supervised, active, condition)


@pytest.mark.parametrize(
    ("closes", "active", "condition", "closed"),
    [
        (True, False, WHOLE, False),
        (True, True, WHOLE, True),
        (True, True, CUT, False),  # an alarm that nobody sees
        (True, False, SHORT, True),
        (False, False, WHOLE, True),
        (False, True, WHOLE, False),
        (False, False, CUT, False),  # a normally closed loop: its cut is an alarm
        (False, True, SHORT, True),
    ],
)
def test_a_dry_contact_shows_its_damage_as_one_of_two_states(
    closes: bool, active: bool, condition: Condition, closed: bool
) -> None:
    assert line(closes, False, active, condition).closed is closed


def test_a_contact_that_bounces_is_where_it_does_not_belong() -> None:
    bouncing = line(True, False, False, WHOLE)
    bouncing.apart = True
    assert bouncing.closed
    bouncing.active = True
    assert not bouncing.closed


@pytest.mark.parametrize(
    ("closes", "supervised", "condition", "words"),
    [
        (True, False, CUT, "it reads at rest: nobody can see"),
        (True, False, SHORT, "it reads in alarm"),
        (False, False, CUT, "it reads in alarm"),
        (False, False, SHORT, "it reads at rest: nobody can see"),
        (True, True, CUT, "cut is told from alarm"),
        (True, True, WHOLE, ""),
    ],
)
def test_the_technician_is_told_what_the_damage_looks_like(
    closes: bool, supervised: bool, condition: Condition, words: str
) -> None:
    said = line(closes, supervised, False, condition).seen()
    assert words in said and bool(said) is bool(words)
