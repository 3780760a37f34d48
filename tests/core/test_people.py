"""People with bodies in a lane with two beams: nobody passes unnoticed on somebody else's grant.

The lane is a line of cells. A person covers a few of them, cannot walk through another person and
leaves a gap the beams can see; flaps do not stop anybody (they may be climbed). Each crossing of the
whole lane must have completed a grant of its own, or an alarm must have been raised since that person
stepped in; in a lane with free exit, where two beams cannot tell the next who leaves from one who walks
in, the alarm may come when that release has ended.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gated.core.effects import Record
from gated.core.events import ContactChanged
from gated.core.lane import LaneState
from gated.core.model import Direction, LaneMode
from tests.core.sites import ENTRY, EXIT, FAR, FIRST, Bench, card, plan, records

ENTRY_BEAM, EXIT_BEAM = 10, 15  # cells
WATCHED = (LaneState.FORCED, LaneState.HELD, LaneState.OBSTRUCTED)
STEP_S = 0.05


@dataclass
class Person:
    at: int  # leftmost cell
    width: int
    side: Direction | None = None  # which way they stepped in last, None while outside the lane
    since: int = 0  # length of the log when they stepped in
    watched: bool = False  # the lane was in alarm already

    @property
    def cells(self) -> range:
        return range(self.at, self.at + self.width)


class Crowd:
    """People walk, the lane watches; `unnoticed` counts crossings that nothing accounts for."""

    def __init__(self, widths: list[int], inside: int, mode: LaneMode) -> None:
        self.bench = Bench(plan(lane={"mode": mode}))
        self.mode = mode
        self.people = [Person(2 - 8 * number, width) for number, width in enumerate(widths)]
        for number, person in enumerate(self.people[:inside]):
            person.at = EXIT_BEAM + 2 + 8 * (inside - number)
        self.cards = 0
        self.spent = set[int]()  # completed passages that a crossing accounts for
        self.unnoticed: list[str] = []
        self.open_questions: list[int] = []  # length of the log when somebody not accounted for stepped in

    def present(self, direction: Direction) -> None:
        self.cards += 1
        self.bench.present(card(b"%d" % self.cards), f"{direction.value}-1")

    def walk(self, number: int, cells: int) -> None:
        person = self.people[number % len(self.people)]
        for _ in range(abs(cells)):
            target = person.at + (1 if cells > 0 else -1)
            if any(
                other is not person and target <= other.at + other.width and other.at <= target + person.width
                for other in self.people
            ):
                return
            person.at = target
            self.bench.wait(STEP_S)
            since = len(self.bench.log)
            self._beams()
            self._account(person, since)

    def _beams(self) -> None:
        for contact, cell in ((FIRST, ENTRY_BEAM), (FAR, EXIT_BEAM)):
            active = any(cell in person.cells for person in self.people)
            self.bench.do(ContactChanged("lane-1", contact, active))

    def _account(self, person: Person, since: int) -> None:
        left, right = person.at + person.width <= ENTRY_BEAM, person.at > EXIT_BEAM
        if person.side is None:
            if not (left or right):
                person.side = ENTRY if person.at < ENTRY_BEAM + 1 else EXIT
                person.since = since
                person.watched = self.bench.state() in WATCHED
            return
        crossed = right if person.side is ENTRY else left
        if crossed and not self._explained(person):
            if self.mode is LaneMode.FREE_EXIT:
                self.open_questions.append(person.since)
            else:
                self.unnoticed.append(f"{person} at {self.bench.time}")
        if left or right:
            person.side = None

    def _explained(self, person: Person) -> bool:
        if person.watched or (person.side is EXIT and self.mode is LaneMode.FREE_EXIT):
            return True
        for number, effect in enumerate(self.bench.log[person.since :], person.since):
            if number in self.spent or not isinstance(effect, Record):
                continue
            if effect.code == "completed" and effect.direction is person.side:
                self.spent.add(number)
                return True
        return self._alarmed(person.since)

    def _alarmed(self, since: int) -> bool:
        return bool({"forced", "tailgate"} & set(records(self.bench.log[since:])))

    def end(self) -> None:
        """Let every release end; whoever is not accounted for now went unnoticed."""
        self.bench.wait(60)
        self.unnoticed += [f"since {since}" for since in self.open_questions if not self._alarmed(since)]


walks = st.tuples(st.integers(0, 3), st.integers(-8, 14))
presentations = st.sampled_from([ENTRY, ENTRY, EXIT])


@pytest.mark.parametrize("mode", [LaneMode.BOTH, LaneMode.FREE_EXIT])
@settings(max_examples=400, deadline=None)
@given(
    widths=st.lists(st.integers(1, 7), min_size=2, max_size=4),
    inside=st.integers(0, 2),
    acts=st.lists(st.one_of(walks, walks, walks, presentations), max_size=40),
)
@example(widths=[2, 2], inside=0, acts=[ENTRY, (0, 8), (1, 20), (0, 20), (1, 30)])
@example(widths=[2, 2, 2], inside=1, acts=[ENTRY, (1, 8), (2, 14), (1, 20), EXIT, (2, 20)])
def test_one_grant_never_passes_two_people_silently(
    widths: list[int], inside: int, acts: list[Direction | tuple[int, int]], mode: LaneMode
) -> None:
    crowd = Crowd(widths, inside, mode)
    for act in acts:
        if isinstance(act, Direction):
            crowd.present(act)
        else:
            crowd.walk(*act)
    crowd.end()
    assert crowd.unnoticed == []
    granted = records(crowd.bench.log).count("granted") + records(crowd.bench.log).count("granted_free_exit")
    assert records(crowd.bench.log).count("completed") <= granted


def test_the_model_can_walk_somebody_through() -> None:
    crowd = Crowd([3, 3], 0, LaneMode.BOTH)
    crowd.present(ENTRY)
    crowd.walk(0, 30)
    assert records(crowd.bench.log) == ["granted", "completed"]
    crowd.walk(1, 40)
    assert "tailgate" in records(crowd.bench.log) or "forced" in records(crowd.bench.log)


def test_the_model_would_catch_a_lane_that_does_not_look() -> None:
    crowd = Crowd([3, 3], 0, LaneMode.BOTH)
    crowd.bench.do = lambda event: []  # type: ignore[method-assign]  # a lane that sees nothing
    crowd.walk(0, 30)
    assert len(crowd.unnoticed) == 1
