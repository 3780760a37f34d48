"""When a code that is seen again is a new presentation."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gated_drivers._qr_decode import Code, Sight
from gated_drivers._qr_held import HeldCodes

FRAME_S = 1 / 15


def code(payload: bytes, x: float = 0.5, y: float = 0.5) -> Code:
    return Code(payload, x, y, 0.1)


def sight(*payloads: bytes) -> Sight:
    return Sight(tuple(code(p) for p in payloads))


def presented(frames: list[Sight], absent_s: float = 1.0, start: float = 100.0) -> list[bytes]:
    held = HeldCodes(absent_s)
    return [p for i, frame in enumerate(frames) for p in held.new(frame, start + i * FRAME_S)]


def test_a_held_code_is_one_presentation() -> None:
    assert presented([sight(b"a")] * 300) == [b"a"]


def test_a_code_that_flickers_is_one_presentation() -> None:
    assert presented(([sight(b"a")] + [sight()] * 14) * 20) == [b"a"]


def test_a_code_that_was_absent_long_enough_is_presented_again() -> None:
    assert presented([sight(b"a"), *[sight()] * 16, sight(b"a")]) == [b"a", b"a"]


def test_absence_is_what_frames_show_not_what_passes_between_them() -> None:
    held = HeldCodes(1.0)
    assert held.new(sight(b"a"), 10.0) == [b"a"]
    assert held.new(sight(b"a"), 11.9) == []
    assert held.new(sight(), 12.0) == []
    assert held.new(sight(b"a"), 12.9) == []
    assert held.new(sight(), 13.0) == []
    assert held.new(sight(b"a"), 14.0) == [b"a"]


def test_another_code_is_presented_at_once_and_two_at_once_are_two() -> None:
    assert presented([sight(b"a"), sight(b"b"), sight(b"b", b"a"), sight(b"a", b"b")]) == [b"a", b"b"]
    assert presented([sight(b"b", b"a")] * 3) == [b"b", b"a"]


def test_the_same_code_twice_in_one_frame_is_one_presentation() -> None:
    assert presented([Sight((code(b"a", 0.2), code(b"a", 0.8)))]) == [b"a"]


def test_a_code_that_is_seen_but_not_read_is_still_held() -> None:
    doubtful = Sight((), (code(b"", 0.52),))
    assert presented([sight(b"a"), *[doubtful] * 60, sight(b"a")]) == [b"a"]


def test_something_doubtful_elsewhere_does_not_hold_a_code() -> None:
    poster = Sight((), (code(b"", 0.9, 0.1),))
    assert presented([sight(b"a"), *[poster] * 60, sight(b"a")]) == [b"a", b"a"]


@given(st.lists(st.sampled_from([b"", b"a", b"b"]), max_size=200), st.floats(0.1, 3.0))
def test_presentations_of_one_payload_are_apart_by_the_absence(shown: list[bytes], absent_s: float) -> None:
    held = HeldCodes(absent_s)
    last: dict[bytes, int] = {}
    seen: dict[bytes, int] = {}
    for i, payload in enumerate(shown):
        new = held.new(sight(*([payload] if payload else [])), i * FRAME_S)
        assert new in ([], [payload])
        if new:
            frames_without = i - 1 - seen.get(payload, -(10**6))
            assert payload not in last or frames_without * FRAME_S >= absent_s - FRAME_S
            last[payload] = i
        elif payload:
            assert payload in last
        if payload:
            seen[payload] = i
