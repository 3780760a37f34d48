"""Who is where: moves, doubts, forgiveness, the roll call."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from gated.core.events import PresenceEntry
from gated.core.presence import FORGIVENESS, Presence
from tests.core.sites import NOON

HOUR = timedelta(hours=1)
TODAY = "2026-11-24"


def test_a_move_counts_people_by_area() -> None:
    presence = Presence()
    presence.move(b"a", "joined", NOON, TODAY)
    presence.move(b"b", "joined", NOON, TODAY)
    presence.move(b"a", "east", NOON, TODAY)
    presence.move(b"b", "outside", NOON, None)
    assert (presence.occupancy("joined"), presence.occupancy("east"), presence.occupancy("outside")) == (
        0,
        1,
        0,
    )


def test_uses_are_entries_of_one_day() -> None:
    presence = Presence()
    presence.move(b"a", "joined", NOON, TODAY)
    presence.move(b"a", "outside", NOON, None)
    assert presence.move(b"a", "joined", NOON, TODAY).uses == 2
    assert presence.uses(b"a", TODAY) == 2
    assert presence.uses(b"a", "2026-11-25") == 0
    assert presence.move(b"a", "joined", NOON, "2026-11-25").uses == 1


def test_doubt_forgives_one_person_and_counts_the_use() -> None:
    presence = Presence()
    presence.doubt(b"a", "joined", NOON, TODAY)
    assert presence.certain(b"a") is None
    assert presence.occupancy("joined") == 0
    assert presence.uses(b"a", TODAY) == 1
    assert [entry.certain for entry in presence.roll_call()] == [False]


def test_forgiveness_puts_everyone_in_doubt_until_they_are_seen_again() -> None:
    presence = Presence()
    presence.move(b"a", "joined", NOON, TODAY)
    presence.move(b"b", "joined", NOON, TODAY)
    marker = presence.forgive(NOON + HOUR)
    assert presence.certain(b"a") is None
    assert presence.occupancy("joined") == 0
    assert [entry.certain for entry in presence.roll_call("joined")] == [False, False]
    presence.move(b"a", "joined", NOON + 2 * HOUR, TODAY)
    assert presence.occupancy("joined") == 1
    again = Presence()
    again.restore([*presence.entries.values(), marker], TODAY)
    assert again == presence


def test_the_roll_call_is_by_area_and_longest_first_without_those_outside() -> None:
    presence = Presence()
    presence.move(b"late", "joined", NOON + HOUR, TODAY)
    presence.move(b"early", "joined", NOON, TODAY)
    presence.move(b"east", "east", NOON, TODAY)
    presence.move(b"gone", "outside", NOON, None)
    assert [entry.identifier for entry in presence.roll_call()] == [b"early", b"east", b"late"]
    assert [entry.identifier for entry in presence.roll_call("joined")] == [b"early", b"late"]


def test_what_was_seen_since_is_newer_than_what_is_restored() -> None:
    presence = Presence()
    presence.move(b"a", "outside", NOON, None)
    presence.restore([PresenceEntry(b"a", "joined", NOON - HOUR)], TODAY)
    assert presence.entries[b"a"].area == "outside"


def test_people_who_left_on_another_day_are_not_restored() -> None:
    presence = Presence()
    left = PresenceEntry(b"a", "outside", NOON, "2026-11-23", 1)
    today = PresenceEntry(b"b", "outside", NOON, TODAY, 1)
    presence.restore([left, today], TODAY)
    assert set(presence.entries) == {b"b"}


moves = st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.sampled_from(["joined", "east", "outside"]))


@given(st.lists(st.one_of(moves, moves, st.none(), st.binary(min_size=1, max_size=1))))
def test_the_counts_agree_with_the_entries(acts: list[tuple[bytes, str] | bytes | None]) -> None:
    presence = Presence()
    for hour, act in enumerate(acts):
        at = NOON + hour * HOUR
        if act is None:
            presence.forgive(at)
        elif isinstance(act, bytes):
            presence.doubt(act, "joined", at, TODAY)
        else:
            presence.move(*act, at, TODAY)
    for area in ("joined", "east"):
        known = [entry for entry in presence.roll_call(area) if entry.certain]
        assert presence.occupancy(area) == len(known)
    assert FORGIVENESS not in presence.entries
