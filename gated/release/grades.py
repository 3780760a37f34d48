"""What each output and input of a release does when something breaks, by what is known of its board.

Pure. A grade is a judgement from configuration and from the driver's traits, not a measurement: what a
board really does, the commissioning shows.
"""

from __future__ import annotations

from typing import NamedTuple

from gated.ports import ContactTraits, RelayTraits
from gated.release.survivor import HANG_S

HANG_LIMIT_S = 2.0
"""A release that hangs opens within this, or the grade is not good."""


class Grade(NamedTuple):
    """An answer in a few words: `verdict` is yes, no, unknown, or within (then `within_s` seconds)."""

    verdict: str
    why: str
    good: bool
    within_s: float | None = None

    def __str__(self) -> str:
        """The answer as a cell of a table, without its reason."""
        return f"within {self.within_s:g} s" if self.within_s is not None else self.verdict


class OutputFacts(NamedTuple):
    """One coil. `survivor`: a survivor opens it; `watchdog_s`: of the service manager. None: not known."""

    energised_opens: bool
    traits: RelayTraits | None
    survivor: bool | None
    watchdog_s: float | None


class OutputGrades(NamedTuple):
    """Does its lane open? When the board loses its power, when the process is killed, or hangs, and when
    the cable to the board is cut or the computer is off while the board has power."""

    power: Grade
    kill: Grade
    hang: Grade
    cable: Grade


class InputFacts(NamedTuple):
    """One alarm contact: alarm when closed (normally open) or when open (normally closed)."""

    alarm_when_closed: bool
    opens_on_fault: bool
    traits: ContactTraits | None
    fault_after_s: float


class InputGrades(NamedTuple):
    """Is it seen? A cut wire, a short, a device that fell silent; and `then`, what happens."""

    cut: Grade
    short: Grade
    stale: Grade
    then: str


def output(facts: OutputFacts) -> OutputGrades:
    """The grades of an output."""
    return OutputGrades(_power(facts), _kill(facts), _hang(facts), _alone(facts))


def input_(facts: InputFacts) -> InputGrades:
    """The grades of an input."""
    then = "opens its lanes" if facts.opens_on_fault else "holds and tells"
    return InputGrades(_cut(facts), _short(facts), _stale(facts), then)


def _yes(why: str) -> Grade:
    return Grade("yes", why, True)


def _no(why: str) -> Grade:
    return Grade("no", why, False)


def _unknown(why: str) -> Grade:
    return Grade("unknown", why, False)


def _within(seconds: float, why: str, limit_s: float | None = None) -> Grade:
    return Grade("within", why, limit_s is None or seconds <= limit_s, seconds)


# Outputs


def _power(facts: OutputFacts) -> Grade:
    if facts.energised_opens:
        return _no("it opens by energising, which takes power")
    return _yes("without power the coil drops, which opens")


def _alone(facts: OutputFacts) -> Grade:
    """What the board does of itself when nobody drives it."""
    traits = facts.traits
    if facts.energised_opens:
        return _no("it opens by energising, and a board left alone does not energise")
    if traits is None:
        return _unknown("the driver says nothing of what its boards do when left alone")
    if traits.host_watchdog_s is not None:  # the board releases, and only then
        return _within(traits.host_watchdog_s, "the board's own watchdog drops its coils")
    if traits.unattended == "releases":
        return _yes("left alone, the board drops its coils")
    if traits.unattended == "holds":
        return _no("left alone, the board keeps its last state")
    return _unknown("not known what the board does when left alone")


def _kill(facts: OutputFacts) -> Grade:
    if facts.survivor:
        return _yes("the survivor opens it at once")
    alone = _alone(facts)
    if not alone.good and facts.survivor is None:
        return _unknown("not known whether a survivor runs: the service does not answer")
    return alone


def _hang(facts: OutputFacts) -> Grade:
    if facts.survivor:
        return _within(HANG_S, "the survivor kills the process and opens", HANG_LIMIT_S)
    if facts.traits is not None and facts.traits.host_watchdog_s is not None and not facts.energised_opens:
        return _within(facts.traits.host_watchdog_s, "the board's own watchdog drops its coils", HANG_LIMIT_S)
    killed = _kill(facts)
    if not killed.good:
        return killed
    if facts.watchdog_s is None:
        return _no("nobody ends a process that hangs: no watchdog of the service manager is known")
    why = f"the service manager kills the process; then {killed.why}"
    return _within(facts.watchdog_s, why, HANG_LIMIT_S)


# Inputs


def _cut(facts: InputFacts) -> Grade:
    if facts.traits is not None and facts.traits.supervised:
        return _yes("supervised: told as cut")
    if not facts.alarm_when_closed:
        return _yes("normally closed: a cut line is an alarm")
    return _line(facts, "normally open without end-of-line resistors: a cut line looks like rest")


def _short(facts: InputFacts) -> Grade:
    if facts.traits is not None and facts.traits.supervised:
        return _yes("supervised: told as short")
    if facts.alarm_when_closed:
        return _yes("normally open: a shorted line is an alarm")
    return _line(facts, "normally closed without end-of-line resistors: a shorted line looks like rest")


def _line(facts: InputFacts, why: str) -> Grade:
    return _no(why) if facts.traits is not None else _unknown(f"{why}, unless the board supervises it")


def _stale(facts: InputFacts) -> Grade:
    if facts.traits is None:
        return _unknown("the driver says nothing of how it notices silence")
    if facts.traits.stale_s is None:
        return _no("nobody notices when the device falls silent")
    return _within(round(facts.traits.stale_s + facts.fault_after_s, 3), "silence is a fault")
