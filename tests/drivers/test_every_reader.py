"""The contract of every reader: one presentation, one credential, and none of it in a log."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import pytest

from gated.ports import Kind
from tests.drivers.samples import DEADLINE_S, Bench, listening, names, until

pytestmark = pytest.mark.parametrize("name", names(Kind.READER))


async def test_one_presentation_is_one_credential(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    sample, (card, other) = bench.sample, bench.sample.cards
    async with (
        asyncio.timeout(DEADLINE_S),
        bench.rig() as rig,
        bench.open() as port,
        listening(port.presentations()) as seen,
    ):
        asked = time.monotonic()
        sample.present(rig, card)
        await until(lambda: len(seen) == 1)
        await bench.looked(rig, port, 10)  # it is held
        sample.present(rig, other)
        await until(lambda: len(seen) > 1)
        assert [p.payload for p in seen] == [card, other]
        assert seen[0].technology.value in (name.partition("_")[2], "felica", "qr")
        assert asked <= seen[0].at <= seen[1].at <= time.monotonic()


async def test_a_card_that_was_away_counts_again(name: str, tmp_path: Path) -> None:
    absent_s = 0.05
    bench = Bench(name, tmp_path)
    if "absent_s" in type(bench.settings).model_fields:
        bench = Bench(name, tmp_path, absent_s=absent_s)
    sample, card = bench.sample, bench.sample.cards[0]
    async with (
        asyncio.timeout(DEADLINE_S),
        bench.rig() as rig,
        bench.open() as port,
        listening(port.presentations()) as seen,
    ):
        sample.present(rig, card)
        await until(lambda: len(seen) == 1)
        sample.remove(rig)
        gone = time.monotonic()
        await bench.looked(rig, port, 10)  # a camera's next frames may still show it
        await until(lambda: time.monotonic() > gone + 2 * absent_s)
        sample.present(rig, card)
        await until(lambda: len(seen) == 2)
        assert [p.payload for p in seen] == [card, card]


async def test_nobody_listening_loses_nothing(name: str, tmp_path: Path) -> None:
    bench = Bench(name, tmp_path)
    sample, card = bench.sample, bench.sample.cards[0]
    async with asyncio.timeout(DEADLINE_S), bench.rig() as rig, bench.open() as port:
        sample.present(rig, card)
        await bench.looked(rig, port, 3)
        async with listening(port.presentations()) as seen:
            await until(lambda: len(seen) == 1)


async def test_no_log_tells_what_was_presented(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(name, tmp_path)
    sample, card = bench.sample, bench.sample.cards[0]
    with caplog.at_level(logging.DEBUG):
        async with (
            asyncio.timeout(DEADLINE_S),
            bench.rig() as rig,
            bench.open() as port,
            listening(port.presentations()) as seen,
        ):
            sample.present(rig, card)
            await until(lambda: len(seen) == 1)
            assert str(card) not in repr(seen)
    for secret in (card.hex(), str(card)[2:-1]):
        assert secret not in caplog.text.lower()
