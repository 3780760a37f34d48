"""The grades of outputs and inputs: what decides them against a table, and what must hold for all."""

from __future__ import annotations

import itertools

import pytest

from gated.ports import ContactTraits, RelayTraits
from gated.release.grades import Grade, InputFacts, OutputFacts, input_, output

HOLDS, RELEASES, NOT_SAID = RelayTraits("holds"), RelayTraits("releases"), RelayTraits("unknown")
DOG = RelayTraits("releases", host_watchdog_s=1.0)
LAZY_DOG = RelayTraits("holds", host_watchdog_s=5.0)

# energised opens, traits, survivor, service manager's watchdog: power, kill, hang, cable; a "!": not good
OUTPUTS = [
    (False, HOLDS, True, 2.0, "yes", "yes", "within 1.5 s", "no!"),
    (False, HOLDS, False, 2.0, "yes", "no!", "no!", "no!"),
    (False, HOLDS, None, 2.0, "yes", "unknown!", "unknown!", "no!"),
    (False, RELEASES, True, 2.0, "yes", "yes", "within 1.5 s", "yes"),
    (False, RELEASES, False, 2.0, "yes", "yes", "within 2 s", "yes"),
    (False, RELEASES, False, 10.0, "yes", "yes", "within 10 s!", "yes"),
    (False, RELEASES, False, None, "yes", "yes", "no!", "yes"),
    (False, RELEASES, None, 2.0, "yes", "yes", "within 2 s", "yes"),
    (False, DOG, False, None, "yes", "within 1 s", "within 1 s", "within 1 s"),
    (False, LAZY_DOG, False, 2.0, "yes", "within 5 s", "within 5 s!", "within 5 s"),
    (False, LAZY_DOG, True, 2.0, "yes", "yes", "within 1.5 s", "within 5 s"),
    (False, NOT_SAID, False, 2.0, "yes", "unknown!", "unknown!", "unknown!"),
    (False, None, True, 2.0, "yes", "yes", "within 1.5 s", "unknown!"),
    (True, HOLDS, True, 2.0, "no!", "yes", "within 1.5 s", "no!"),
    (True, RELEASES, False, 2.0, "no!", "no!", "no!", "no!"),
    (True, DOG, False, 2.0, "no!", "no!", "no!", "no!"),
]

NO_EOL, EOL = ContactTraits(stale_s=0.5), ContactTraits(supervised=True, stale_s=0.5)
DEAF = ContactTraits()

# alarm when closed, opens on fault, traits: cut, short, stale, then
INPUTS = [
    (True, False, NO_EOL, "no!", "yes", "within 1.5 s", "holds and tells"),
    (False, True, NO_EOL, "yes", "no!", "within 1.5 s", "opens its lanes"),
    (True, True, EOL, "yes", "yes", "within 1.5 s", "opens its lanes"),
    (False, False, EOL, "yes", "yes", "within 1.5 s", "holds and tells"),
    (True, False, DEAF, "no!", "yes", "no!", "holds and tells"),
    (True, False, None, "unknown!", "yes", "unknown!", "holds and tells"),
    (False, True, None, "yes", "unknown!", "unknown!", "opens its lanes"),
]


def cell(grade: Grade) -> str:
    return f"{grade}{'' if grade.good else '!'}"


@pytest.mark.parametrize(("opens", "traits", "survivor", "dog", "power", "kill", "hang", "cable"), OUTPUTS)
def test_outputs(
    opens: bool,
    traits: RelayTraits | None,
    survivor: bool | None,
    dog: float | None,
    power: str,
    kill: str,
    hang: str,
    cable: str,
) -> None:
    grades = output(OutputFacts(opens, traits, survivor, dog))
    assert [cell(grade) for grade in grades] == [power, kill, hang, cable]
    assert all(grade.why for grade in grades)


@pytest.mark.parametrize(("closed", "opens", "traits", "cut", "short", "stale", "then"), INPUTS)
def test_inputs(
    closed: bool, opens: bool, traits: ContactTraits | None, cut: str, short: str, stale: str, then: str
) -> None:
    grades = input_(InputFacts(closed, opens, traits, fault_after_s=1.0))
    assert [cell(grade) for grade in grades[:3]] == [cut, short, stale]
    assert grades.then == then


def test_no_board_is_praised_for_what_nobody_said() -> None:
    """Without a survivor only a trait makes a grade good, and opening by energising never does."""
    all_traits = [None, HOLDS, RELEASES, NOT_SAID, DOG, LAZY_DOG]
    for opens, traits, survivor, dog in itertools.product(
        (False, True), all_traits, (None, False, True), (None, 2.0)
    ):
        grades = output(OutputFacts(opens, traits, survivor, dog))
        own = traits is not None and (traits.unattended == "releases" or traits.host_watchdog_s is not None)
        assert grades.cable.good is (own and not opens)
        assert grades.kill.good is (survivor is True or (own and not opens))
        assert not (grades.hang.good and not grades.kill.good)
        assert grades.power.good is not opens
