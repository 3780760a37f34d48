"""Modbus: what goes over the line, who goes first, and the faults of a line."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any

import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gated.ports import DriverFault
from gated_drivers import contact_modbus, relay_modbus
from gated_drivers.contact_modbus import ModbusContactSettings
from gated_drivers.relay_modbus import ModbusRelaySettings, _runs
from gated_simulators.rigs import _modbus_board
from tests.drivers.samples import listening, until

READ_COILS, READ_INPUTS, WRITE_COIL, WRITE_COILS = 1, 2, 5, 15


def relay(folder: Path, **changes: Any) -> ModbusRelaySettings:
    return ModbusRelaySettings(port=str(folder / "line"), **changes)


def contact(folder: Path, **changes: Any) -> ModbusContactSettings:
    return ModbusContactSettings(port=str(folder / "line"), channels=[0, 1], **changes)


@pytest.mark.parametrize("frame", ["01050000FF008C3A", "010500000000CDCA", "0101000000083DCC"])
def test_crc_of_published_frames(frame: str) -> None:
    whole = bytes.fromhex(frame)
    assert _modbus_board.crc16(whole[:-2]) == whole[-2:]


@given(st.dictionaries(st.integers(0, 40), st.booleans()))
def test_coils_go_in_as_few_frames_as_they_have_gaps(coils: dict[int, bool]) -> None:
    runs = _runs(coils)
    assert {first + i: state for first, states in runs for i, state in enumerate(states)} == coils
    assert all(a[0] + len(a[1]) < b[0] for a, b in itertools.pairwise(runs))


async def test_neighbours_go_in_one_frame_and_a_lone_coil_in_the_short_one(tmp_path: Path) -> None:
    settings = relay(tmp_path)
    async with _modbus_board.open_rig(settings) as rig, relay_modbus.open_board(settings) as board:
        rig.functions.clear()
        await board.switch({2: True, 1: True, 0: False})
        await board.switch({7: True})
        await board.switch({0: True, 5: True, 6: True})
        assert list(rig.functions) == [WRITE_COILS, WRITE_COIL, WRITE_COIL, WRITE_COILS]
        assert rig.board.coils == {0: True, 1: True, 2: True, 5: True, 6: True, 7: True}


async def test_a_command_goes_before_waiting_reads(tmp_path: Path) -> None:
    settings = relay(tmp_path)
    async with _modbus_board.open_rig(settings) as rig, relay_modbus.open_board(settings) as board:
        rig.functions.clear()
        rig.delay_s = 0.01
        reads = [asyncio.create_task(board.observed()) for _ in range(3)]
        await until(lambda: len(rig.functions) == 1)
        await board.switch({0: True, 2: True})
        assert list(rig.functions)[:3] == [READ_COILS, WRITE_COIL, WRITE_COIL]
        await asyncio.gather(*reads)


async def test_two_devices_share_a_line_and_the_last_gives_it_back(tmp_path: Path) -> None:
    one, two = relay(tmp_path), contact(tmp_path)
    async with _modbus_board.open_rig(one) as rig:
        async with relay_modbus.open_board(one) as board:
            async with contact_modbus.open_board(two) as contacts, listening(contacts.contacts()) as seen:
                rig.board.inputs[1] = True
                await until(lambda: any(c.channel == 1 and c.closed for c in seen))
                await board.switch({0: True})
            await board.switch({0: False})
        assert rig.board.coils == {0: False}
        async with contact_modbus.open_board(contact(tmp_path, baudrate=19200)) as contacts:
            assert await contacts.read() == {0: False, 1: True}


async def test_devices_of_one_line_agree_on_its_speed(tmp_path: Path) -> None:
    async with _modbus_board.open_rig(relay(tmp_path)), relay_modbus.open_board(relay(tmp_path)):
        with pytest.raises(DriverFault, match="in use at 9600 baud"):
            async with contact_modbus.open_board(contact(tmp_path, baudrate=19200)):
                pass


async def test_another_program_on_the_line_is_named(tmp_path: Path) -> None:
    async with _modbus_board.open_rig(relay(tmp_path)):
        with (
            serial.Serial(str(tmp_path / "line"), exclusive=True),
            pytest.raises(DriverFault, match="another program"),
        ):
            async with relay_modbus.open_board(relay(tmp_path)):
                pass


@pytest.mark.parametrize(
    ("fault", "word"), [("silent", "does not answer"), ("bad_crc", "gives damaged answers")]
)
async def test_silence_and_damage_are_told_apart_and_pass(tmp_path: Path, fault: str, word: str) -> None:
    settings = relay(tmp_path, timeout_s=0.05)
    async with _modbus_board.open_rig(settings) as rig, relay_modbus.open_board(settings) as board:
        setattr(rig, fault, True)
        began = time.monotonic()
        with pytest.raises(DriverFault, match=word):
            await board.switch({0: True})
        assert 0.05 <= time.monotonic() - began < 5
        setattr(rig, fault, False)
        await board.switch({0: True})
        assert rig.board.coils == {0: True}


async def test_a_slow_board_is_no_fault(tmp_path: Path) -> None:
    settings = relay(tmp_path, timeout_s=5)
    async with _modbus_board.open_rig(settings) as rig:
        rig.delay_s = 0.05
        async with relay_modbus.open_board(settings) as board:
            await board.switch({3: True})
            assert await board.observed() == {3: True}


async def test_a_silent_unit_does_not_take_the_line_from_the_others(tmp_path: Path) -> None:
    settings = relay(tmp_path)
    async with _modbus_board.open_rig(settings) as rig, relay_modbus.open_board(settings) as board:
        with pytest.raises(DriverFault, match="unit 9 does not answer"):
            async with contact_modbus.open_board(contact(tmp_path, unit=9, timeout_s=0.05)):
                pass
        await board.switch({0: True})
        assert rig.board.coils == {0: True}


async def test_a_refused_request_names_the_channel(tmp_path: Path) -> None:
    settings = relay(tmp_path)
    async with _modbus_board.open_rig(settings), relay_modbus.open_board(settings) as board:
        with pytest.raises(DriverFault, match=r"address 99 \(exception 2\)"):
            await board.switch({99: True})


async def test_a_late_answer_is_not_taken_for_the_next(tmp_path: Path) -> None:
    settings = relay(tmp_path, timeout_s=5)
    async with _modbus_board.open_rig(settings) as rig, relay_modbus.open_board(settings) as board:
        rig.delay_s = 0.03
        left = asyncio.create_task(board.observed())
        await until(lambda: rig.functions[-1] == READ_COILS)
        left.cancel()
        await board.switch({0: True})
        assert rig.board.coils == {0: True}
        assert await board.observed() == {0: True}


async def test_a_loss_while_an_answer_is_awaited_is_told_at_once(tmp_path: Path) -> None:
    settings = relay(tmp_path, timeout_s=9)
    async with _modbus_board.open_rig(settings) as rig, relay_modbus.open_board(settings) as board:
        rig.silent = True
        asked = asyncio.create_task(board.switch({0: True}))
        queued = asyncio.create_task(board.observed())
        asyncio.get_running_loop().call_later(0.02, rig.cut)
        began = time.monotonic()
        for task in (asked, queued):
            with pytest.raises(DriverFault, match="the line is lost"):
                await task
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "noise", [b"\x00", b"\xff" * 300, bytes(range(256)), b"\x01\x05\x00\x00", b"\x01\x82\x02"]
)
async def test_noise_between_answers_passes(tmp_path: Path, noise: bytes) -> None:
    settings = relay(tmp_path, timeout_s=0.1)
    async with _modbus_board.open_rig(settings) as rig, relay_modbus.open_board(settings) as board:
        rig.send(noise)
        for _ in range(3):
            try:
                await board.switch({0: True})
                break
            except DriverFault:
                pass
        assert await board.observed() == {0: True}


async def test_the_board_takes_a_request_in_pieces_and_skips_a_damaged_one(tmp_path: Path) -> None:
    settings = relay(tmp_path)
    request = bytes.fromhex("01050000FF008C3A")
    async with _modbus_board.open_rig(settings) as rig:
        for cut in range(1, len(request)):
            rig._received(request[:cut])
            rig._received(request[cut:])
        rig._received(request[:-1] + b"\x00")
        assert (rig.requests, rig.board.writes) == (7, 7)
        rig._received(bytes.fromhex("01070000") + _modbus_board.crc16(bytes.fromhex("01070000")))
        assert rig.functions[-1] == 7


@pytest.mark.parametrize(
    "wrong", [{"channels": []}, {"channels": [0, 2000]}, {"channels": [-1]}, {"unit": 0}, {"poll_s": 0}]
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ModbusContactSettings.model_validate({"port": "x", "channels": [0]} | wrong)
