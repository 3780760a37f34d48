"""Bounce suppression: news is what lasted."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gated_drivers._bounce import Bounce

sightings = st.lists(st.tuples(st.booleans(), st.floats(0.001, 0.2)), min_size=1, max_size=50)


@given(sightings)
def test_without_bounce_time_each_first_sighting_is_news(seen: list[tuple[bool, float]]) -> None:
    bounce, at, before = Bounce(0.0), 0.0, None
    for closed, step in seen:
        at += step
        told = bounce.seen(1, closed, at)
        assert (told is not None) == (closed is not before)
        assert told is None or (told.channel, told.closed, told.at) == (1, closed, at)
        before = closed


@given(sightings)
def test_news_lasted_and_alternates(seen: list[tuple[bool, float]]) -> None:
    bounce, at, told = Bounce(0.1), 0.0, list[tuple[bool, float]]()
    history: list[tuple[bool, float]] = []
    for closed, step in seen:
        at += step
        history.append((closed, at))
        if (news := bounce.seen(1, closed, at)) is not None and news.closed is not None:
            told.append((news.closed, at))
            lasted = [state for state, when in history if at - 0.1 < when <= at]
            assert len(told) == 1 or all(state is closed for state in lasted)
    assert told[0] == history[0]
    assert all(a[0] is not b[0] for a, b in itertools.pairwise(told))


def test_it_says_when_to_look_again() -> None:
    bounce = Bounce(0.1)
    bounce.seen(1, False, 1.0)
    assert bounce.settles_in(1.0) == float("inf")
    assert bounce.seen(1, True, 2.0) is None
    assert abs(bounce.settles_in(2.04) - 0.06) < 1e-9
    assert bounce.settles_in(9.0) == 0.0
    assert bounce.seen(1, True, 2.2) is not None
    assert bounce.settles_in(2.2) == float("inf")
