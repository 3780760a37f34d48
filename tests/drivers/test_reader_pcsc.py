"""reader_pcsc against the real pcscd: cards that misbehave, a pcscd that dies or hangs, readers by name."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gated.ports import DriverFault, Technology
from gated_drivers._pcsc_worker import PcscReader, ReaderLost, choose
from gated_drivers._worker import WorkerReader
from gated_drivers.reader_pcsc import DRIVER, PcscSettings
from gated_simulators.rigs import reader_pcsc as rigs
from gated_simulators.rigs._virtual_card import VirtualCard, atr_of, storage_atr
from tests.drivers.samples import DEADLINE_S, listening, until

IDM = bytes.fromhex("0123456789abcdef")
OTHER = bytes.fromhex("fedcba9876543210")
CYCLES = int(os.environ.get("GATED_PCSC_CYCLES", "10"))

pytestmark = pytest.mark.skipif(bool(rigs.missing()), reason=rigs.missing() or "all is there")


def reader_settings(folder: Path, **changes: Any) -> PcscSettings:
    return PcscSettings(**{"reader": "virtual pcd 00 00", "pcscd": str(folder / "pcscd")} | changes)


@asynccontextmanager
async def reading(
    folder: Path, **changes: Any
) -> AsyncIterator[tuple[rigs.PcscRig, WorkerReader, list[Any]]]:
    settings = reader_settings(folder, **changes)
    async with (
        asyncio.timeout(2 * DEADLINE_S),
        rigs.open_rig(reader_settings(folder, reader="Virtual PCD 00 00")) as rig,
        DRIVER.open(settings) as reader,
        listening(reader.presentations()) as seen,
    ):
        yield rig, reader, seen


async def fault_of(reader: WorkerReader) -> str:
    with pytest.raises(DriverFault) as fault:
        async for _ in reader.presentations():
            pass
    return str(fault.value)


def worker(reader: WorkerReader) -> int:
    assert reader._process is not None
    return reader._process.pid


async def looks(reader: WorkerReader, count: int) -> None:
    enough = reader.frames + count
    await until(lambda: reader.frames >= enough)


@pytest.mark.parametrize(
    ("identifier", "atr", "technology"),
    [
        (IDM, atr_of(IDM), Technology.FELICA),
        (bytes.fromhex("04a1b2c3"), atr_of(b"\0" * 4), Technology.ISO14443A),
        (bytes.fromhex("04a1b2c3d4e5f6"), bytes.fromhex("3b8180018080"), Technology.ISO14443A),  # DESFire
        (bytes.fromhex("e5dd3dc9"), storage_atr(0x05, 0), Technology.ISO14443B),
    ],
)
async def test_cards_of_each_family(
    identifier: bytes, atr: bytes, technology: Technology, tmp_path: Path
) -> None:
    async with reading(tmp_path) as (rig, _, seen):
        card = rig.lay(VirtualCard(identifier, atr))
        await until(lambda: len(seen) == 1)
        assert (seen[0].technology, seen[0].payload) == (technology, identifier)
        assert card.apdus == 1, "one card held up is asked once"


async def test_a_family_that_does_not_count_is_ignored(tmp_path: Path) -> None:
    async with reading(tmp_path, technologies=["felica"]) as (rig, reader, seen):
        rig.present(bytes.fromhex("04a1b2c3"))
        await until(lambda: reader.ignored == 1)
        rig.present(IDM)
        await until(lambda: len(seen) == 1)
        assert seen[0].payload == IDM


async def test_a_card_that_flickers_is_held(tmp_path: Path) -> None:
    async with reading(tmp_path, absent_s=10) as (rig, reader, seen):
        card = rig.present(IDM)
        await until(lambda: len(seen) == 1)
        again = rig.present(IDM)
        await until(lambda: again.apdus == 1)
        await looks(reader, 3)
        assert card.apdus == 1
        rig.present(OTHER)
        await until(lambda: len(seen) == 2)
        assert [p.payload for p in seen] == [IDM, OTHER]


async def test_a_card_that_lay_for_long_is_not_new_for_having_flickered(tmp_path: Path) -> None:
    """The time away counts from when it was taken away, not from when it was laid down."""
    async with reading(tmp_path, absent_s=2.5) as (rig, reader, seen):
        rig.present(IDM)
        await until(lambda: len(seen) == 1)
        await until(lambda: time.monotonic() > seen[0].at + 2.6)
        again = rig.present(IDM)
        await until(lambda: again.apdus == 1)
        await looks(reader, 3)
        assert len(seen) == 1


async def test_a_card_withdrawn_in_the_middle_of_an_exchange_is_counted(tmp_path: Path) -> None:
    async with reading(tmp_path) as (rig, reader, seen):
        rig.lay(VirtualCard(IDM, atr_of(IDM), leaves=True))
        await until(lambda: reader.ignored > 0)
        assert not seen
        rig.present(IDM)
        await until(lambda: len(seen) == 1)
        assert seen[0].payload == IDM


@pytest.mark.parametrize(
    "answer",
    [
        b"\x90",
        b"\x90\x00",
        b"\x6a\x81",
        b"\x63\x00",
        IDM,
        IDM[:7] + b"\x90\x00",
        IDM + b"\0\x90\x00",
        b"\xff" * 2000,
        IDM * 8000 + b"\x90\x00",
    ],
    ids=lambda answer: f"{len(answer)}-{answer[:3].hex()}",
)
async def test_garbage_is_counted_and_the_next_card_is_read(answer: bytes, tmp_path: Path) -> None:
    async with reading(tmp_path) as (rig, reader, seen):
        rig.lay(VirtualCard(IDM, atr_of(IDM), answer=answer))
        await until(lambda: reader.ignored > 0)
        rig.present(OTHER)
        await until(lambda: len(seen) == 1)
        assert [p.payload for p in seen] == [OTHER]


@pytest.mark.parametrize("atr", [b"\x3b", bytes(50), b"\xff" * 2000], ids=["short", "zeros", "long"])
async def test_a_card_without_a_true_atr_is_counted_and_the_next_is_read(atr: bytes, tmp_path: Path) -> None:
    async with reading(tmp_path) as (rig, reader, seen):
        rig.lay(VirtualCard(IDM, atr))
        await until(lambda: reader.ignored > 0)
        rig.present(OTHER)
        await until(lambda: len(seen) == 1)
        assert [p.payload for p in seen] == [OTHER]


async def test_a_card_that_cannot_be_read_is_tried_three_times(tmp_path: Path) -> None:
    async with reading(tmp_path) as (rig, reader, seen):
        card = rig.lay(VirtualCard(IDM, atr_of(IDM), answer=b"\x63\x00"))
        await until(lambda: reader.ignored == 2)
        card.answer = None  # now it lies well
        await until(lambda: len(seen) == 1)
        spoilt = rig.lay(VirtualCard(OTHER, atr_of(OTHER), answer=b"\x63\x00"))
        await until(lambda: reader.ignored == 5)
        spoilt.answer = None
        await looks(reader, 4)
        assert len(seen) == 1, "it has to be held up anew"


async def test_a_slow_card_is_waited_for(tmp_path: Path) -> None:
    async with reading(tmp_path) as (rig, _, seen):
        rig.lay(VirtualCard(IDM, atr_of(IDM), delay_s=1.0))
        await until(lambda: len(seen) == 1)


async def test_a_card_that_never_answers_is_a_fault_in_time_and_the_next_is_read(tmp_path: Path) -> None:
    async with reading(tmp_path, stall_s=1) as (rig, reader, _):
        card = rig.lay(VirtualCard(IDM, atr_of(IDM), delay_s=3600))
        await until(lambda: card.apdus == 1)
        began = time.monotonic()
        assert "not answered for 1 s" in await fault_of(reader)
        assert time.monotonic() - began < 2
        await reader.close()
        rig.remove()
        async with DRIVER.open(reader_settings(tmp_path)) as other, listening(other.presentations()) as seen:
            rig.present(OTHER)
            await until(lambda: len(seen) == 1)


async def test_a_pcscd_that_hangs_is_a_fault_in_time_and_its_process_is_killed(tmp_path: Path) -> None:
    async with reading(tmp_path, stall_s=1) as (rig, reader, _):
        pid = worker(reader)
        began = time.monotonic()
        rig.hang()
        assert "not answered for 1 s" in await fault_of(reader)
        assert time.monotonic() - began < 2
        await reader.close()
        assert not Path(f"/proc/{pid}").exists()
        rig.go_on()
        async with DRIVER.open(reader_settings(tmp_path)) as other, listening(other.presentations()) as seen:
            rig.present(IDM)
            await until(lambda: len(seen) == 1)


async def test_a_pcscd_that_hangs_while_opening_is_a_fault_by_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gated_drivers.reader_pcsc.OPEN_S", 1.0)
    async with rigs.open_rig(reader_settings(tmp_path, reader="Virtual PCD")) as rig:
        rig.kill()  # its socket stays, and nobody answers
        began = time.monotonic()
        with pytest.raises(DriverFault, match="not answered for 1 s"):
            async with DRIVER.open(reader_settings(tmp_path)):
                pass
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_crashed_process_is_a_fault_at_once(sign: signal.Signals, tmp_path: Path) -> None:
    async with reading(tmp_path, stall_s=30) as (_, reader, _):
        os.kill(worker(reader), sign)
        assert sign.name in await fault_of(reader)


async def test_the_process_ends_with_its_parent(tmp_path: Path) -> None:
    async with reading(tmp_path) as (_, reader, _):
        pid = worker(reader)
        reader._unlink()  # what the kernel does when the daemon dies
        await until(lambda: not Path(f"/proc/{pid}").exists())


async def test_a_killed_pcscd_is_a_fault_and_a_new_one_is_found(tmp_path: Path) -> None:
    async with reading(tmp_path) as (rig, reader, _):
        began = time.monotonic()
        rig.kill()
        assert "pcscd ended" in await fault_of(reader)
        assert time.monotonic() - began < 1
        rig.mend()
        async with DRIVER.open(reader_settings(tmp_path)) as other, listening(other.presentations()) as seen:
            rig.present(IDM)
            await until(lambda: len(seen) == 1)


async def test_a_reader_that_is_gone_when_pcscd_comes_back_is_found_again_later(tmp_path: Path) -> None:
    async with reading(tmp_path) as (rig, _, _):
        rig.kill()
        rig.unplug()
        rig.mend()
        with pytest.raises(DriverFault, match="knows of no reader"):
            async with DRIVER.open(reader_settings(tmp_path)):
                pass
        rig.kill()
        rig.plug()
        rig.mend()
        async with DRIVER.open(reader_settings(tmp_path)) as other, listening(other.presentations()) as seen:
            rig.present(IDM)
            await until(lambda: len(seen) == 1)


async def test_a_reader_that_pcscd_does_not_know_any_more_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vpcd cannot be unplugged from a pcscd that goes on; its answer for a name it has not is the same."""
    from smartcard import scard

    settings = reader_settings(tmp_path)
    monkeypatch.setenv("PCSCLITE_CSOCK_NAME", settings.pcscd)
    async with rigs.open_rig(reader_settings(tmp_path, reader="Virtual PCD")):
        reader = await asyncio.to_thread(PcscReader, scard, settings.reader)
        assert await asyncio.to_thread(reader.wait) == (False, False)
        reader._name = "Virtual PCD 07 00"
        reader._state = scard.SCARD_STATE_EMPTY
        with pytest.raises(ReaderLost, match="unplugged"):
            await asyncio.to_thread(reader.wait)


async def test_a_card_that_lies_there_at_the_start_is_presented(tmp_path: Path) -> None:
    async with rigs.open_rig(reader_settings(tmp_path, reader="Virtual PCD")) as rig:
        rig.present(IDM)
        async with (
            DRIVER.open(reader_settings(tmp_path)) as reader,
            listening(reader.presentations()) as seen,
        ):
            await until(lambda: len(seen) == 1)


@pytest.mark.parametrize(
    ("wanted", "said"), [("Virtual", "2 readers have"), ("", "2 readers have"), ("RC-S300", "no reader has")]
)
async def test_a_name_that_is_not_of_one_reader_is_a_fault_that_names_all(
    wanted: str, said: str, tmp_path: Path
) -> None:
    async with rigs.open_rig(reader_settings(tmp_path, reader="Virtual PCD")):
        with pytest.raises(DriverFault, match=rf"{said}.*Virtual PCD 00 00, Virtual PCD 00 01"):
            async with DRIVER.open(reader_settings(tmp_path, reader=wanted)):
                pass


async def test_without_pcscd_the_fault_says_what_to_start(tmp_path: Path) -> None:
    with pytest.raises(DriverFault, match="pcscd does not run"):
        async with DRIVER.open(reader_settings(tmp_path)):
            pass


def test_the_only_reader_needs_no_name() -> None:
    assert choose(["SONY FeliCa RC-S300/P (0123456) 00 00"], "") == "SONY FeliCa RC-S300/P (0123456) 00 00"
    assert choose(["ACS ACR1252 PICC 00 00", "ACS ACR1252 SAM 01 00"], "picc").endswith("00 00")
    with pytest.raises(ReaderLost, match="no reader has"):
        choose(["ACS ACR1252 PICC 00 00"], "0123456")


async def test_nothing_grows_in_many_cycles(tmp_path: Path) -> None:
    """300 cycles were run; a few are enough to find what one cycle leaves behind."""
    async with rigs.open_rig(reader_settings(tmp_path, reader="Virtual PCD")):
        held = 0
        for cycle in range(CYCLES):
            async with DRIVER.open(reader_settings(tmp_path)):
                pass
            if cycle == 0:
                held = len(list(Path("/proc/self/fd").iterdir()))
        assert len(list(Path("/proc/self/fd").iterdir())) == held
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        assert len(children) == 1, "pcscd alone"
