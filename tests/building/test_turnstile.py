from __future__ import annotations

from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from gated_simulators.building.turnstile import (
    BODY_M,
    FLAP_M,
    FLAP_S,
    LENGTH_M,
    PASSABLE,
    STEP_S,
    Happening,
    Person,
    Turnstile,
    Way,
)

WAYS: list[Way] = ["entry", "exit"]


def shut_lane() -> Turnstile:
    lane = Turnstile()
    lane.command(0.0, frozenset(), may_shut=True)
    lane.advance(1.0)
    assert lane.flap_shut
    return lane


def whats(seen: list[Happening]) -> list[str]:
    return [h.what for h in seen]


def test_a_lane_without_power_is_open() -> None:
    assert Turnstile().flap_open


def test_the_flap_takes_its_time_both_ways() -> None:
    lane = shut_lane()
    lane.command(1.0, frozenset({"entry"}), may_shut=True)
    assert lane.advance(1.0 + FLAP_S / 2) == []
    assert not lane.flap_open
    opened = lane.advance(2.0)
    assert whats(opened) == ["opened"]
    assert abs(opened[0].at - (1.0 + FLAP_S)) <= 2 * STEP_S
    lane.command(2.0, frozenset(), may_shut=True)
    assert whats(lane.advance(3.0)) == ["shut"]


def test_the_emergency_coil_at_rest_opens_whatever_the_lane_says() -> None:
    lane = shut_lane()
    lane.command(1.0, frozenset(), may_shut=False)
    lane.advance(2.0)
    assert lane.flap_open


def test_a_person_waits_before_the_lane_touching_no_beam_and_leaves() -> None:
    lane = shut_lane()
    lane.add(Person("entry", patience_s=2.0))
    touched = False
    seen: list[Happening] = []
    for tick in range(100, 500):
        seen += lane.advance(tick / 100)
        touched |= lane.beam("entry") or lane.beam("exit")
    assert not touched
    assert whats(seen) == ["waiting", "turned_back"]
    assert not lane.moving


def test_who_approaches_stands_in_the_first_beam_until_the_flap_opens() -> None:
    lane = shut_lane()
    lane.add(Person("exit", approach=True))
    lane.advance(3.0)
    assert lane.beam("exit") and not lane.beam("entry")
    lane.command(3.0, frozenset({"exit"}), may_shut=True)
    lane.advance(6.0)
    assert lane.passed == {"entry": 0, "exit": 1}


def test_force_opens_a_shut_flap_and_is_told() -> None:
    lane = shut_lane()
    lane.add(Person("entry", force=True))
    seen = whats(lane.advance(6.0))
    assert "forced" in seen and "passed" in seen
    assert seen[-1] == "shut"  # it falls shut behind them


def test_backing_out_darkens_the_first_beam_only() -> None:
    lane = shut_lane()
    lane.command(1.0, frozenset({"entry"}), may_shut=True)
    lane.add(Person("entry", back_out=True))
    dark = {"entry": False, "exit": False}
    for tick in range(100, 500):
        lane.advance(tick / 100)
        for way in WAYS:
            dark[way] |= lane.beam(way)
    assert dark == {"entry": True, "exit": False}
    assert lane.passed == {"entry": 0, "exit": 0}


def test_two_close_behind_each_other_are_both_through_and_the_first_beam_is_dark_twice() -> None:
    lane = shut_lane()
    lane.command(1.0, frozenset({"entry"}), may_shut=True)
    lane.add(Person("entry"))
    lane.add(Person("entry"))
    edges, before, first_left = 0, False, None
    for tick in range(100, 600):
        for happening in lane.advance(tick / 100):
            if happening.what == "passed" and first_left is None:
                first_left = edges
        edges += lane.beam("entry") and not before
        before = lane.beam("entry")
    assert edges == 2
    assert first_left == 2, "the second was in before the first was out"
    assert lane.passed["entry"] == 2


def test_who_holds_the_flap_is_stronger_and_freeing_lets_it_go() -> None:
    lane = shut_lane()
    lane.hold = "shut"
    lane.command(1.0, frozenset({"entry"}), may_shut=False)
    lane.advance(3.0)
    assert lane.flap_shut
    lane.hold = None
    lane.advance(4.0)
    assert lane.flap_open


def test_the_flap_does_not_close_on_somebody_in_it() -> None:
    lane = shut_lane()
    lane.command(1.0, frozenset({"entry"}), may_shut=True)
    person = Person("entry")
    lane.add(person)
    now = 1.0
    while person.front <= FLAP_M:
        now += STEP_S
        lane.advance(now)
    lane.command(now, frozenset(), may_shut=True)
    while person.front - BODY_M < FLAP_M:
        now += STEP_S
        lane.advance(now)
        assert lane.flap_open
    lane.advance(now + 3.0)
    assert lane.flap_shut and lane.passed["entry"] == 1


def test_time_that_stands_still_or_goes_back_moves_nothing() -> None:
    lane = shut_lane()
    lane.add(Person("entry"))
    lane.advance(2.0)
    before = [(p.front, p.waited_s) for p in lane.people]
    assert lane.advance(2.0) == [] and lane.advance(1.0) == []
    assert [(p.front, p.waited_s) for p in lane.people] == before


Command = tuple[Literal["coils"], frozenset[Way], bool]
Arrival = tuple[Literal["person"], Way, bool, bool, bool]
Hold = tuple[Literal["hold"], Literal["shut", "open"] | None]
acts = st.lists(
    st.tuples(
        st.floats(0.0, 2.0),
        st.one_of(
            st.tuples(st.just("coils"), st.frozensets(st.sampled_from(WAYS)), st.booleans()),
            st.tuples(st.just("person"), st.sampled_from(WAYS), st.booleans(), st.booleans(), st.booleans()),
            st.tuples(st.just("hold"), st.sampled_from(["shut", "open", None])),
        ),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(acts)
def test_nobody_passes_a_shut_flap_unless_forced_and_everybody_gets_somewhere(
    script: list[tuple[float, Command | Arrival | Hold]],
) -> None:
    lane = shut_lane()
    now, came = 1.0, 0
    seen: list[Happening] = []
    for wait, act in script:
        end = now + wait
        while now < end:
            now = min(end, now + STEP_S)
            _step(lane, now, seen)
        if act[0] == "coils":
            seen += lane.command(now, act[1], act[2])
        elif act[0] == "person":
            lane.add(Person(act[1], approach=act[2], force=act[3], back_out=act[4]))
            came += 1
        else:
            lane.hold = act[1]
    for _ in range(int((came + 1) * 12 / STEP_S)):
        if not lane.people:
            break
        now += STEP_S
        _step(lane, now, seen)
    assert not lane.people, "somebody is stuck for ever"
    gone = [h for h in seen if h.what in ("passed", "turned_back")]
    assert len(gone) == came
    assert sum(lane.passed.values()) == len([h for h in gone if h.what == "passed"])
    assert not lane.beam("entry") and not lane.beam("exit")


def _step(lane: Turnstile, now: float, seen: list[Happening]) -> None:
    """One step, checked: who crosses the flap line now crosses an open flap, or pushed."""
    before = {id(p): p.through for p in lane.people}
    flap = lane.flap
    seen += lane.advance(now)
    for person in lane.people:
        if person.through and not before.get(id(person), False):
            assert max(flap, lane.flap) >= PASSABLE - STEP_S / FLAP_S or person.force
        assert person.front <= LENGTH_M + BODY_M + 0.1
    assert 0.0 <= lane.flap <= 1.0
