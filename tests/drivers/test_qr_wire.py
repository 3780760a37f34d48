"""The messages of the camera process: any split gives the same, garbage is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated_drivers._camera_wire import MAX_BODY, Kind, Message, Receiver, WireError, encode

MESSAGES = st.builds(
    Message, st.sampled_from(Kind), st.floats(0, 1e9), st.binary(max_size=MAX_BODY).map(bytes)
)


@given(st.lists(MESSAGES, max_size=8), st.lists(st.integers(0, 4000), max_size=12))
def test_any_split_of_the_bytes_gives_the_same_messages(messages: list[Message], cuts: list[int]) -> None:
    data = b"".join(encode(m) for m in messages)
    edges = sorted({0, len(data), *(min(c, len(data)) for c in cuts)})
    receiver = Receiver()
    found = [m for a, b in zip(edges, [*edges[1:], len(data)], strict=True) for m in receiver.feed(data[a:b])]
    assert found == messages


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_waited_for_never_worse(data: bytes) -> None:
    try:
        for message in Receiver().feed(data):
            assert len(message.body) <= MAX_BODY
    except WireError:
        pass


def test_a_message_that_is_too_long_is_refused() -> None:
    with pytest.raises(WireError):
        list(Receiver().feed(b"C" + bytes(8) + (MAX_BODY + 1).to_bytes(2, "big")))


def test_a_known_message_reads_as_documented() -> None:
    assert encode(Message(Kind.CODE, 1.0, b"pass")) == b"C\x3f\xf0\0\0\0\0\0\0\0\x04pass"
