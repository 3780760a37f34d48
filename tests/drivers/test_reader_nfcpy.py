"""reader_nfcpy: identifiers, what is held and what is gone, and answers that make no sense."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.ports import DriverFault, Technology
from gated_drivers import reader_nfcpy
from gated_drivers._card_field import CardField, credential
from gated_drivers.reader_nfcpy import NfcpyReaderSettings
from gated_simulators.rigs import reader_nfcpy as rigs
from tests.drivers.samples import listening, port_number, until

IDM = bytes.fromhex("0123456789abcdef")
CARD = (Technology.FELICA, IDM)
OTHER = (Technology.ISO14443A, b"\x04\x01\x02\x03")


def reader_settings(**changes: Any) -> NfcpyReaderSettings:
    return NfcpyReaderSettings(path=f"udp:127.0.0.1:{port_number()}", **changes)


def answer(brty: str, **parts: str) -> Any:
    found = {name: bytes.fromhex(text) for name, text in parts.items()}
    return SimpleNamespace(**({"brty": brty, "sensf_res": None, "sdd_res": None, "sensb_res": None} | found))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (answer("212F", sensf_res="01" + IDM.hex() + "00f1ffffffffffff88b4"), CARD),
        (answer("424F", sensf_res="0101fe010203040506" + "00f1ffffffffffff"), None),
        (answer("212F", sensf_res="010102"), None),
        (answer("106A", sdd_res="04010203"), OTHER),
        (answer("106A", sdd_res="04a1b2c3d4e5f6"), (Technology.ISO14443A, bytes.fromhex("04a1b2c3d4e5f6"))),
        (answer("106A", sdd_res="08010203"), None),
        (answer("106A", sdd_res="08a1b2c3d4e5f6"), (Technology.ISO14443A, bytes.fromhex("08a1b2c3d4e5f6"))),
        (
            answer("106B", sensb_res="50e5dd3dc900000011008185"),
            (Technology.ISO14443B, bytes.fromhex("e5dd3dc9")),
        ),
        (answer("106B", sensb_res="50e5"), None),
        (answer("106A"), None),
    ],
)
def test_the_identifier_of_an_answer(found: Any, expected: Any) -> None:
    assert credential(found) == expected


def test_a_held_card_is_new_once_however_long_a_look_takes() -> None:
    field = CardField(0.3)
    assert field.look(CARD, 0.0)
    assert not any(field.look(CARD, at) for at in (0.05, 0.1, 3.0, 9.0))


def test_a_missed_look_is_not_an_absence_but_a_long_one_is() -> None:
    field = CardField(0.3)
    assert field.look(CARD, 0.0)
    assert not field.look(None, 0.1)
    assert not field.look(CARD, 0.2)
    assert not field.look(None, 0.3)
    assert field.look(CARD, 0.6)


def test_two_cards_at_once_count_once_each() -> None:
    field = CardField(0.3)
    new = [field.look((CARD, OTHER)[i % 2], i / 20) for i in range(40)]
    assert new == [True, True] + [False] * 38


@given(st.lists(st.tuples(st.sampled_from([CARD, OTHER, None]), st.floats(0, 1)), max_size=40))
def test_a_card_is_new_exactly_when_it_was_absent_long_enough(looks: list[tuple[Any, float]]) -> None:
    field, at, last, missed = CardField(0.3), 0.0, dict[Any, float](), set[Any]()
    for found, step in looks:
        at += step
        was_gone = found not in last or (found in missed and at - last[found] >= 0.3)
        assert field.look(found, at) == (found is not None and was_gone)
        missed = set(last) - {found}
        if found is not None:
            last[found] = at


@pytest.mark.parametrize("uid", ["04010203", "04a1b2c3d4e5f6", "04a1b2c3d4e5f6a7b8c9", IDM.hex()])
async def test_cards_of_each_family_and_length(uid: str) -> None:
    settings = reader_settings(technologies=["iso14443a", "felica"])
    card = bytes.fromhex(uid)
    async with (
        rigs.open_rig(settings) as rig,
        reader_nfcpy.open_reader(settings) as reader,
        listening(reader.presentations()) as seen,
    ):
        rig.present(card)
        await until(lambda: len(seen) == 1)
        assert seen[0].payload == card
        assert seen[0].technology == (Technology.FELICA if len(card) == 8 else Technology.ISO14443A)


async def test_a_card_held_up_is_told_without_waiting_for_a_look() -> None:
    settings = reader_settings()
    async with (
        rigs.open_rig(settings) as rig,
        reader_nfcpy.open_reader(settings) as reader,
        listening(reader.presentations()) as seen,
    ):
        await until(lambda: rig.polls > 0)  # nfcpy now waits a second for a card
        asked = time.monotonic()
        rig.present(IDM)
        await until(lambda: len(seen) == 1)
        assert seen[0].at - asked < 0.5


async def test_a_random_number_is_no_credential() -> None:
    settings = reader_settings(technologies=["iso14443a", "felica"])
    async with (
        rigs.open_rig(settings) as rig,
        reader_nfcpy.open_reader(settings) as reader,
        listening(reader.presentations()) as seen,
    ):
        rig.present(b"\x08\x01\x02\x03")
        looks = rig.polls
        await until(lambda: rig.polls > looks + 5)
        rig.present(IDM)
        await until(lambda: len(seen) == 1)
        assert seen[0].payload == IDM


@pytest.mark.parametrize("garbage", [b"\xff\xfe zz", b"212F 0", b"212F zz", b"212F 00", b"", b"x" * 1000])
async def test_garbage_is_counted_or_skipped_and_the_next_card_is_read(garbage: bytes) -> None:
    settings = reader_settings()
    async with (
        rigs.open_rig(settings) as rig,
        reader_nfcpy.open_reader(settings) as reader,
        listening(reader.presentations()) as seen,
    ):
        polls = rig.polls
        await until(lambda: rig.polls > polls)
        rig.send_garbage(garbage)
        rig.present(IDM)
        await until(lambda: len(seen) == 1)
        assert [p.payload for p in seen] == [IDM]


async def test_a_reader_that_only_gives_garbage_is_a_fault() -> None:
    settings = reader_settings()
    async with rigs.open_rig(settings) as rig, reader_nfcpy.open_reader(settings) as reader:
        polls = 0

        def disturb() -> bool:
            nonlocal polls
            if rig.polls > polls:
                polls = rig.polls
                rig.send_garbage(b"212F zz")
            return reader.garbage >= reader_nfcpy.MAX_GARBAGE

        using = asyncio.ensure_future(anext(aiter(reader.presentations())))
        await until(disturb)
        with pytest.raises(DriverFault, match="damaged answers"):
            await using


async def test_closing_does_not_wait_for_a_card() -> None:
    settings = reader_settings()
    async with rigs.open_rig(settings) as rig:
        async with reader_nfcpy.open_reader(settings):
            await until(lambda: rig.polls > 0)
            began = time.monotonic()
        assert time.monotonic() - began < 0.9


@pytest.mark.parametrize(
    "path", ["udp:127.0.0.1:notaport", "udp:no.such.host.invalid:1", "usb:ffff:ffff", "?"]
)
async def test_a_path_that_leads_nowhere_is_a_fault(path: str, tmp_path: Path) -> None:
    with pytest.raises(DriverFault, match="the reader"):
        async with reader_nfcpy.open_reader(NfcpyReaderSettings(path=path)):
            pass
