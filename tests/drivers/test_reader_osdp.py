"""OSDP readers: attacks on the wires, readers that go and come, several on one line, keys.

The reader at the far end is libosdp's; whoever is on the wires has no key and alters what it says.
"""

from __future__ import annotations

import asyncio
import logging
import random
from binascii import crc_hqx
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gated.ports import DriverFault, Technology
from gated_drivers._codecs.osdp_secure import SCBK_D
from gated_drivers.reader_osdp import OsdpReader, OsdpReaderSettings, open_reader
from gated_simulators.rigs._osdp_line import OsdpLine, Peripheral
from tests.drivers.samples import DEADLINE_S, listening, until

KEY = bytes.fromhex("5a4c06d2b1897f3e60c1a2d3e4f50718")
CARD = bytes.fromhex("0123456789abcdef")
OTHER = bytes.fromhex("fedcba9876543210")
POLLED, SECURED, ENCRYPTED = 0x40, 0x16, 0x18

Alter = Callable[[bytes], bytes]


def settings(folder: Path, address: int = 1, key: bytes = KEY, **changes: Any) -> OsdpReaderSettings:
    file = folder / f"{address}.key"
    file.write_text(key.hex() + "\n")
    file.chmod(0o600)
    return OsdpReaderSettings.model_validate(
        {
            "port": str(folder / "wire"),
            "address": address,
            "key": str(file),
            "technology": "felica",
            "poll_s": 0.02,
            "offline_s": 1.0,
        }
        | changes
    )


@asynccontextmanager
async def line(folder: Path) -> AsyncIterator[OsdpLine]:
    built = OsdpLine(str(folder / "wire"))
    try:
        yield built
    finally:
        built.cut()


def made(frame: bytes) -> bytes:
    """A frame without CRC: its length set, its CRC appended."""
    frame = frame[:2] + bytes((len(frame) + 2, 0)) + frame[4:]
    return frame + crc_hqx(frame, 0x1D0F).to_bytes(2, "little")


def bare(reply: bytes) -> bytes:
    return reply.removeprefix(b"\xff")[:-2]


def block(reply: bytes) -> int:
    """Type of the security block; 0 without one."""
    return reply[6] if reply[4] & 8 else 0


def in_session(change: Alter) -> Alter:
    """Alter what is said under a session only; a frame without its CRC in, such a frame out."""

    def alter(reply: bytes) -> bytes:
        frame = bare(reply)
        return made(change(frame)) if block(frame) in (SECURED, ENCRYPTED) else reply

    return alter


RAW = b"\x50\x00\x00\x40\x00" + CARD

ATTACKS: dict[str, tuple[Alter, str]] = {
    "a card in plain text": (
        in_session(lambda f: f[:4] + bytes((f[4] & ~8,)) + RAW),
        "answers in plain text",
    ),
    "a card with a block of the handshake": (
        in_session(lambda f: f[:5] + b"\x03\x12\x01" + RAW),
        "outside of its secure session",
    ),
    "a card with a guessed MAC": (
        in_session(lambda f: f[:5] + b"\x02\x16" + RAW + bytes(4)),
        "a wrong MAC",
    ),
    "one bit of the MAC": (in_session(lambda f: f[:-1] + bytes((f[-1] ^ 1,))), "a wrong MAC"),
    "one bit of the data": (in_session(lambda f: f[:8] + bytes((f[8] ^ 1,)) + f[9:]), "a wrong MAC"),
    "a wrong sequence": (
        in_session(lambda f: f[:4] + bytes((f[4] & ~3 | (f[4] + 1) & 3,)) + f[5:]),
        "answers out of turn",
    ),
    "no session any more": (
        in_session(lambda f: f[:4] + bytes((f[4] & ~8,)) + b"\x41\x06"),
        "loses its secure session",
    ),
    "busy for ever": (lambda reply: made(bare(reply)[:4] + b"\x04\x79"), "is busy all the time"),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_nothing_is_read_of_whoever_is_on_the_wires(attack: str, tmp_path: Path) -> None:
    alter, says = ATTACKS[attack]
    seen: list[Any] = []
    async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
        reader = wire.add(1, KEY)
        with pytest.raises(DriverFault, match=says) as fault:
            async with open_reader(settings(tmp_path)) as port:
                reader.alter = alter
                reader.hold(CARD)
                async for found in port.presentations():
                    seen.append(found)
        # Opened again while it goes on, as the supervisor does.
        with pytest.raises(DriverFault):
            async with open_reader(settings(tmp_path)) as port:
                async for found in port.presentations():
                    seen.append(found)
        assert seen == []
        assert "\n" not in str(fault.value)
        # And gone, the reader is back.
        reader.alter = lambda reply: reply
        async with open_reader(settings(tmp_path)) as port:
            async for found in port.presentations():
                assert found.payload == CARD
                break


async def test_an_old_reply_is_not_read_again(tmp_path: Path) -> None:
    """The very reply that carried the card, with every later sequence number in turn."""
    recorded: list[bytes] = []

    def record(frame: bytes) -> bytes:
        if block(frame) == ENCRYPTED:
            recorded.append(frame)
        return frame

    def replay(frame: bytes) -> bytes:
        old = recorded[-1]
        return old[:4] + frame[4:5] + old[5:]

    async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
        reader = wire.add(1, KEY)
        reader.repeats = False
        async with (
            open_reader(settings(tmp_path, absent_s=0)) as port,
            listening(port.presentations()) as seen,
        ):
            reader.alter = in_session(record)
            reader.hold(CARD)
            await until(lambda: len(seen) == 1)
            reader.remove()
            reader.alter = in_session(replay)
            with pytest.raises(DriverFault, match="a wrong MAC"):
                async for _ in OsdpReader.presentations(port):
                    pass
            assert len(seen) == 1


async def test_replies_of_an_earlier_session_open_none(tmp_path: Path) -> None:
    """All that a reader ever said, played back by one that has no key."""
    said: list[bytes] = []

    def record(reply: bytes) -> bytes:
        said.append(reply)
        return reply

    async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
        reader = wire.add(1, KEY)
        reader.alter = record
        async with open_reader(settings(tmp_path)) as port, listening(port.presentations()) as seen:
            reader.hold(CARD)
            await until(lambda: bool(seen))
        tape = iter(said.copy())
        reader.alter = lambda reply: next(tape, b"")
        with pytest.raises(DriverFault, match="does not have our key"):
            async with open_reader(settings(tmp_path)):
                pass


def default_key(reply: bytes) -> bytes:
    frame = bare(reply)
    return made(frame[:7] + b"\0" + frame[8:]) if block(frame) == 0x12 else reply


def no_session(reply: bytes) -> bytes:
    frame = bare(reply)
    return made(frame[:4] + bytes((frame[4] & ~8,)) + b"\x41\x05") if block(frame) == 0x12 else reply


def shaken_in_plain(reply: bytes) -> bytes:
    frame = bare(reply)
    return made(frame[:4] + bytes((frame[4] & ~8,)) + RAW) if block(frame) == 0x12 else reply


@pytest.mark.parametrize(
    ("key", "alter", "says"),
    [
        (KEY, default_key, "asks for the default key SCBK-D"),
        (None, lambda reply: reply, "does not have our key"),
        (SCBK_D, lambda reply: reply, "does not have our key"),
        (OTHER * 2, lambda reply: reply, "does not have our key"),
        (KEY, no_session, "refuses the secure session"),
        (KEY, shaken_in_plain, "answers in plain text"),
    ],
    ids=["asks for it", "new from the maker", "has it", "another site's", "cannot", "talks in plain text"],
)
async def test_a_reader_that_does_not_prove_our_key_is_absent(
    key: bytes | None, alter: Alter, says: str, tmp_path: Path
) -> None:
    async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
        reader = wire.add(1, key)
        reader.alter = alter
        reader.hold(CARD)
        with pytest.raises(DriverFault, match=says):
            async with open_reader(settings(tmp_path)):
                pytest.fail("it was opened")


async def test_what_a_reader_claims_is_not_asked(tmp_path: Path) -> None:
    asked: set[int] = set()
    async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
        reader = wire.add(1, KEY)
        hear = reader.hear

        def listen(data: bytes) -> list[bytes]:
            frame = data.removeprefix(b"\xff")
            asked.add(frame[5 + (frame[5] if frame[4] & 8 else 0)])
            return hear(data)

        reader.hear = listen  # type: ignore[method-assign]
        async with open_reader(settings(tmp_path)) as port:
            await until(lambda: port.polls > 3)
    assert asked == {0x61, 0x76, 0x77, 0x64, 0x67, 0x60}  # no osdp_CAP


# Going and coming


async def test_a_silent_reader_is_a_fault_in_time_and_comes_back(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
        reader = wire.add(1, KEY)
        with pytest.raises(DriverFault, match=r"address 1 does not answer; .*9600 baud"):
            async with open_reader(settings(tmp_path)) as port:
                reader.silent = True
                silent = loop.time()
                async for _ in port.presentations():
                    pass
        assert loop.time() - silent >= 0.9
        with pytest.raises(DriverFault, match="does not answer"):
            async with open_reader(settings(tmp_path)):
                pass
        reader.silent = False
        async with open_reader(settings(tmp_path)) as port, listening(port.presentations()) as seen:
            reader.hold(CARD)
            await until(lambda: bool(seen))


async def test_a_reader_that_lost_its_power_for_a_moment_goes_on(tmp_path: Path) -> None:
    async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
        wire.add(1, KEY)
        async with open_reader(settings(tmp_path)) as port, listening(port.presentations()) as seen:
            await until(lambda: port.polls > 2)
            wire.peripherals.clear()
            anew = wire.add(1, KEY)  # it knows of no session
            anew.hold(CARD)
            await until(lambda: bool(seen))
            assert port.talk.restarts == 1


async def test_our_own_standing_still_is_not_the_readers_silence(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    stood: list[float] = []

    def stand(reply: bytes) -> bytes:
        """The reply is lost, and this process gets no processor for longer than `offline_s`."""
        if stood:
            return reply
        stood.append(loop.time() + 1.3)
        while loop.time() < stood[0]:
            pass
        return b""

    async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
        reader = wire.add(1, KEY)
        async with open_reader(settings(tmp_path)) as port:
            reader.alter = stand
            await until(lambda: bool(stood))
            reader.hold(CARD)
            async for found in port.presentations():
                assert found.payload == CARD
                break


async def test_the_wrong_speed_is_told(tmp_path: Path) -> None:
    async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
        wire.add(1, KEY)
        wire.deaf = True
        with pytest.raises(DriverFault, match=r"gives damaged answers; .*9600 baud"):
            async with open_reader(settings(tmp_path)):
                pass


async def test_half_a_reply_now_and_then_loses_no_card(tmp_path: Path) -> None:
    replies = 0

    def cut(reply: bytes) -> bytes:
        nonlocal replies
        replies += 1
        return reply[: len(reply) // 2] if replies % 12 == 0 else reply

    async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
        reader = wire.add(1, KEY)
        reader.alter = cut
        async with (
            open_reader(settings(tmp_path, offline_s=5)) as port,
            listening(port.presentations()) as seen,
        ):
            reader.hold(CARD)
            await until(lambda: bool(seen) and replies > 36)
            reader.hold(OTHER)
            await until(lambda: len(seen) == 2)
            assert [p.payload for p in seen] == [CARD, OTHER]


async def test_a_flood_of_garbage_does_not_stop_the_loop(tmp_path: Path) -> None:
    chance = random.Random(7)
    turns = 0
    async with asyncio.timeout(30), line(tmp_path) as wire:
        reader = wire.add(1, KEY)
        async with open_reader(settings(tmp_path, offline_s=10)) as port:
            for _ in range(2000):
                wire.send(chance.randbytes(512))
                await asyncio.sleep(0)
                turns += 1
            polls = port.polls
            async with listening(port.presentations()) as seen:
                reader.hold(CARD)
                await until(lambda: bool(seen))
            assert port.polls > polls
    assert turns == 2000


# Several on one line


async def test_each_card_is_read_at_its_own_reader(tmp_path: Path) -> None:
    keys = {address: bytes((address,)) + KEY[1:] for address in (1, 2, 3)}
    async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
        readers: dict[int, Peripheral] = {address: wire.add(address, key) for address, key in keys.items()}
        async with (
            open_reader(settings(tmp_path, 1, keys[1])) as one,
            open_reader(settings(tmp_path, 2, keys[2])) as two,
            listening(one.presentations()) as at_one,
            listening(two.presentations()) as at_two,
        ):
            with pytest.raises(DriverFault, match="does not answer"):
                async with open_reader(settings(tmp_path, 3, keys[3])) as three:
                    readers[3].silent = True
                    async for _ in three.presentations():
                        pass
            readers[1].hold(CARD)
            readers[2].hold(OTHER)
            await until(lambda: bool(at_one and at_two))
            assert [p.payload for p in at_one] == [CARD]
            assert [p.payload for p in at_two] == [OTHER]
            readers[3].silent = False
            async with open_reader(settings(tmp_path, 3, keys[3])) as three:
                await until(lambda: three.polls > 3)


async def test_an_attack_on_one_reader_leaves_the_others(tmp_path: Path) -> None:
    async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
        attacked, other = wire.add(1, KEY), wire.add(2, KEY)
        async with open_reader(settings(tmp_path, 2)) as port, listening(port.presentations()) as seen:
            with pytest.raises(DriverFault, match="MAC"):
                async with open_reader(settings(tmp_path, 1)) as lost:
                    attacked.alter = ATTACKS["one bit of the MAC"][0]
                    async for _ in lost.presentations():
                        pass
            other.hold(CARD)
            await until(lambda: bool(seen))


async def test_two_readers_at_one_address_or_two_speeds_are_refused(tmp_path: Path) -> None:
    async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
        wire.add(1, KEY)
        wire.add(2, KEY)
        async with open_reader(settings(tmp_path, 1)) as port:
            with pytest.raises(DriverFault, match="two readers at address 1"):
                async with open_reader(settings(tmp_path, 1)):
                    pass
            with pytest.raises(DriverFault, match="in use at 9600 baud"):
                async with open_reader(settings(tmp_path, 2, baudrate=19200)):
                    pass
            polls = port.polls
            await until(lambda: port.polls > polls)


# What it tells


async def test_an_open_housing_is_a_fault_until_it_is_closed(tmp_path: Path) -> None:
    async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
        reader = wire.add(1, KEY)
        with pytest.raises(DriverFault, match="housing is open"):
            async with open_reader(settings(tmp_path)) as port:
                reader.open_housing(True)
                async for _ in port.presentations():
                    pass
        async with open_reader(settings(tmp_path)) as port:
            await until(lambda: port.polls > 1)


async def test_what_is_no_number_of_a_card_is_counted_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
        reader = wire.add(1, KEY)
        async with open_reader(settings(tmp_path)) as port, listening(port.presentations()) as seen:
            reader.hold(bytes.fromhex("a1b2c3c0"), bits=26)
            await until(lambda: port.garbage > 2)
            assert seen == []
            reader.hold(CARD)
            await until(lambda: bool(seen))
            assert seen[0].technology is Technology.FELICA
    told = [record.getMessage() for record in caplog.records if "bits" in record.getMessage()]
    assert len(told) == 1
    assert "address 1 sends numbers of 26 bits, felica has 64" in told[0]
    assert "a1b2c3" not in caplog.text


# Keys


async def test_no_log_tells_a_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asyncio.get_running_loop().set_debug(True)
    with caplog.at_level(logging.DEBUG):
        async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
            reader = wire.add(1, KEY)
            with pytest.raises(DriverFault) as fault:
                async with open_reader(settings(tmp_path)) as port, listening(port.presentations()) as seen:
                    reader.hold(CARD)
                    await until(lambda: bool(seen))
                    logging.getLogger("anybody").debug("%r %r %r", port, vars(port), vars(port.talk))
                    reader.alter = ATTACKS["one bit of the MAC"][0]
                    async for _ in OsdpReader.presentations(port):
                        pass
    told = caplog.text + repr(fault.value)
    for secret in (KEY, CARD):
        assert secret.hex() not in told.lower()
        assert repr(secret)[2:-1] not in told


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (KEY.hex(), 0o640, "others may read this key"),
        (SCBK_D.hex(), 0o600, "default key SCBK-D"),
        ("00" * 16, 0o600, "the same byte over and over"),
        (KEY.hex()[:-2], 0o600, "15 bytes, not 16"),
        ("not a key", 0o600, "not 32 hexadecimal digits"),
        (None, 0o600, "cannot be read"),
    ],
)
async def test_a_key_that_is_none_is_a_fault(
    content: str | None, mode: int, says: str, tmp_path: Path
) -> None:
    made_for = settings(tmp_path)
    file = Path(made_for.key)
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
        file.chmod(mode)
    with pytest.raises(DriverFault, match=says) as fault:
        async with open_reader(made_for):
            pass
    assert KEY.hex()[:8] not in str(fault.value)


async def test_systemd_hands_a_key_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings(tmp_path).model_copy(update={"key": "credential:1.key"})
    with pytest.raises(DriverFault, match=r"LoadCredential=1\.key"):
        async with open_reader(given):
            pass
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    async with asyncio.timeout(DEADLINE_S), line(tmp_path) as wire:
        wire.add(1, KEY)
        async with open_reader(given) as port:
            await until(lambda: port.polls > 1)


def test_a_key_in_the_settings_and_plain_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as refused:
        OsdpReaderSettings.model_validate(settings(tmp_path).model_dump() | {"key": KEY.hex()})
    assert KEY.hex() not in str(refused.value)
    for plain in ("plaintext", "secure", "install_mode"):
        with pytest.raises(ValidationError, match=plain):
            OsdpReaderSettings.model_validate(settings(tmp_path).model_dump() | {plain: "allowed"})
