"""Modbus when it counts: posted commands, dead and disturbed lines, refusing coils, host watchdogs."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gated.ports import Contact, ContactTraits, DriverFault, RelayTraits
from gated_drivers import contact_modbus, relay_modbus
from gated_drivers._codecs.modbus_rtu import read_input_registers, registers
from gated_drivers._modbus_bus import bus
from gated_drivers.contact_modbus import ModbusContactSettings
from gated_drivers.relay_modbus import ModbusRelaySettings
from gated_simulators.rigs import _modbus_board
from tests.drivers.samples import DEADLINE_S, listening, until

READ_COILS, READ_INPUTS, WRITE_COIL, WRITE_COILS = 1, 2, 5, 15
READ_HOLDING, WRITE_REGISTER, WRITE_REGISTERS = 3, 6, 16


def relay(folder: Path, **changes: Any) -> ModbusRelaySettings:
    return ModbusRelaySettings(port=str(folder / "line"), **changes)


def contact(folder: Path, **changes: Any) -> ModbusContactSettings:
    return ModbusContactSettings(port=str(folder / "line"), channels=[0, 1], **changes)


async def test_an_alarm_is_answered_before_anything_that_waits(tmp_path: Path) -> None:
    """The command follows the very answer that carried the alarm."""
    one, two = relay(tmp_path), contact(tmp_path)
    async with (
        asyncio.timeout(DEADLINE_S),
        _modbus_board.open_rig(one) as rig,
        relay_modbus.open_board(one) as board,
        contact_modbus.open_board(two) as contacts,
    ):

        def changed(seen: Contact) -> None:
            if seen.closed:
                board.post({0: True, 1: True})

        contacts.tell(changed)
        rig.delay_s = 0.005
        async with listening(contacts.contacts()):
            reads = [asyncio.create_task(board.observed()) for _ in range(20)]
            commands = [asyncio.create_task(board.switch({7: False})) for _ in range(20)]
            rig.set_contact(1, True)
            await until(lambda: rig.board.coils.get(0, False))
            functions = list(rig.functions)
            assert functions[functions.index(WRITE_COILS) - 1] == READ_INPUTS
            await asyncio.gather(*reads, *commands)


async def test_no_older_command_undoes_a_posted_one(tmp_path: Path) -> None:
    settings = relay(tmp_path)
    async with (
        asyncio.timeout(DEADLINE_S),
        _modbus_board.open_rig(settings) as rig,
        relay_modbus.open_board(settings) as board,
    ):
        rig.delay_s = 0.02
        reading = asyncio.create_task(board.observed())
        await asyncio.sleep(0)
        shutting = asyncio.create_task(board.switch({0: False, 1: False, 2: True}))
        again = asyncio.create_task(board.switch({1: False}))
        await until(lambda: len(board._line._commands) == 2)
        board.post({0: True, 1: True})
        board.post({0: True, 1: True})
        await asyncio.gather(reading, shutting, again)
        assert [(c.channel, c.energised) for c in rig.board.history] == [(0, True), (1, True), (2, True)]
        assert list(rig.functions)[1:] == [READ_COILS, WRITE_COILS, WRITE_COILS, WRITE_COIL]


async def test_a_posted_command_does_not_wait_for_a_dead_board(tmp_path: Path) -> None:
    """Whatever time-out the other devices of the line are given."""
    settings = relay(tmp_path, baudrate=115200)
    async with (
        asyncio.timeout(DEADLINE_S),
        _modbus_board.open_rig(settings) as rig,
        relay_modbus.open_board(settings) as board,
        bus(settings.port, 115200) as line,
    ):
        dead = asyncio.create_task(line.ask(read_input_registers(9, 0, 1), 2 * DEADLINE_S))
        await until(lambda: line._current is not None)
        board.post({0: True})
        await until(lambda: rig.board.coils == {0: True})
        await until(lambda: line._current is not None and line._current.request.unit == 9)  # asked again
        dead.cancel()
        await asyncio.gather(dead, return_exceptions=True)


async def test_a_command_put_off_does_not_undo_what_was_posted(tmp_path: Path) -> None:
    settings = relay(tmp_path, timeout_s=5, baudrate=115200)
    async with (
        asyncio.timeout(DEADLINE_S),
        _modbus_board.open_rig(settings) as rig,
        relay_modbus.open_board(settings) as board,
    ):
        rig.silent = True
        shutting = asyncio.create_task(board.switch({0: False}))
        await until(lambda: board._line._current is not None)
        board.post({0: True})
        rig.take()
        rig.silent = False
        await shutting
        assert [(c.channel, c.energised) for c in rig.board.history] == [(0, True)]
        assert rig.board.writes == 2


@pytest.mark.parametrize("how", ["post", "switch"])
async def test_a_coil_that_refuses_keeps_no_neighbour_shut(tmp_path: Path, how: str) -> None:
    settings = relay(tmp_path)
    async with (
        asyncio.timeout(DEADLINE_S),
        _modbus_board.open_rig(settings) as rig,
        relay_modbus.open_board(settings) as board,
    ):
        rig.refusing.add(1)
        coils = {0: True, 1: True, 2: True}
        if how == "post":
            board.post(coils)
        else:
            with pytest.raises(DriverFault, match=r"at address 1 \(exception 4\)"):
                await board.switch(coils)
        await until(lambda: rig.board.coils == {0: True, 2: True})


@pytest.mark.parametrize("how", ["post", "switch"])
async def test_a_coil_that_the_board_has_not_is_never_asked_for(tmp_path: Path, how: str) -> None:
    settings = relay(tmp_path)
    async with _modbus_board.open_rig(settings) as rig, relay_modbus.open_board(settings) as board:
        if how == "post":
            board.post({1: True, 99: True})
            await until(lambda: rig.board.coils.get(1) is True)
            await board.switch({1: True})
        else:
            with pytest.raises(DriverFault, match="at address 99"):
                await board.switch({1: True, 99: True})
        assert await board.observed() == {1: True}


async def test_a_coil_that_sticks_is_seen_in_reading_back(tmp_path: Path) -> None:
    settings = relay(tmp_path)
    async with _modbus_board.open_rig(settings) as rig, relay_modbus.open_board(settings) as board:
        rig.stuck.add(1)
        await board.switch({0: True, 1: True})
        assert await board.observed() == {0: True, 1: False}


@pytest.mark.parametrize(("fault", "value"), [("bad_crc", True), ("cut_short", 1), ("cut_short", 5)])
async def test_damage_is_counted_and_told(tmp_path: Path, fault: str, value: object) -> None:
    settings = relay(tmp_path, timeout_s=0.05)
    async with _modbus_board.open_rig(settings) as rig, relay_modbus.open_board(settings) as board:
        assert board.damaged == 0
        setattr(rig, fault, value)
        with pytest.raises(DriverFault, match=r"gives damaged answers \(1 of them, waited 0.05 s\)"):
            await board.observed()
        assert board.damaged == 1


async def test_noise_before_each_answer_is_counted_and_does_no_harm(tmp_path: Path) -> None:
    one, two = relay(tmp_path), contact(tmp_path)
    async with (
        asyncio.timeout(DEADLINE_S),
        _modbus_board.open_rig(one) as rig,
        relay_modbus.open_board(one) as board,
        contact_modbus.open_board(two) as contacts,
    ):
        rig.noise = b"\x01\x02\xff\x00\x01\x02\x01"
        async with listening(contacts.contacts()) as seen:
            await until(lambda: len(seen) == 2)
            rig.set_contact(1, True)
            await until(lambda: len(seen) == 3)
        await board.switch({3: True})
        assert rig.board.coils == {3: True}
        assert [c.closed for c in seen] == [False, False, True]
        assert contacts.damaged >= 3


@pytest.mark.parametrize("garbage", [b"\xa5" * 4096, b"\x01\x02\x01" * 1365, bytes(range(256)) * 16])
async def test_a_line_flooded_with_garbage_leaves_the_loop_to_others(tmp_path: Path, garbage: bytes) -> None:
    """It changes no state, the loop turns, and a posted command still goes out."""
    one, two = relay(tmp_path, timeout_s=0.1), contact(tmp_path, timeout_s=0.1)
    async with (
        asyncio.timeout(DEADLINE_S),
        _modbus_board.open_rig(one) as rig,
        relay_modbus.open_board(one) as board,
        contact_modbus.open_board(two) as contacts,
    ):
        told, turns, taken = list[Contact](), 0, 0.0
        contacts.tell(told.append)
        using = asyncio.ensure_future(anext(contacts.contacts()))
        await until(lambda: len(told) == 2)
        rig.silent = True
        before = board.damaged
        read = board._line.take

        while board.damaged < before + 50:
            rig.send(garbage)
            began = time.thread_time()
            read()
            taken = max(taken, time.thread_time() - began)
            await asyncio.sleep(0)
            turns += 1
        assert turns <= 50
        assert taken < 0.1  # seconds of computing; a thousandth of it is usual
        rig.silent = False
        board.post({0: True})
        while not rig.board.coils.get(0):
            rig.send(garbage)
            await asyncio.sleep(0)
        assert [c.closed for c in told] == [False, False]
        using.cancel()
        await asyncio.gather(using, return_exceptions=True)


async def test_a_board_with_a_watchdog_is_told_once_and_drops_its_coils_by_itself(tmp_path: Path) -> None:
    watchdog = {"registers": {3: 1, 4: 120}, "silence_s": 1.2}
    settings = relay(tmp_path, host_watchdog=watchdog)
    async with asyncio.timeout(DEADLINE_S), _modbus_board.open_rig(settings) as rig:
        rig.watchdog_register = 4
        async with relay_modbus.open_board(settings) as board:
            assert rig.holding == {3: 1, 4: 120}
            assert rig.functions[-1] == READ_HOLDING
            await board.switch({0: True, 5: True})
            silent = time.monotonic()
            await until(lambda: rig.board.coils == {0: False, 5: False})
            assert time.monotonic() - silent > 1.1
        rig.functions.clear()
        async with relay_modbus.open_board(settings):
            assert WRITE_REGISTERS not in rig.functions  # its memory wears
        assert relay_modbus.DRIVER.traits is not None
        assert relay_modbus.DRIVER.traits(settings) == RelayTraits("releases", 1.2, True)


async def test_a_watchdog_that_is_not_taken_is_a_fault(tmp_path: Path) -> None:
    settings = relay(tmp_path, host_watchdog={"registers": {3: 150}, "silence_s": 1.5})
    async with asyncio.timeout(DEADLINE_S), _modbus_board.open_rig(settings) as rig:
        rig.forgetful = True
        with pytest.raises(DriverFault, match=r"keeps \[0\] in the registers from 3 of its host watchdog"):
            async with relay_modbus.open_board(settings):
                pass
        assert list(rig.functions)[-3:] == [READ_HOLDING, WRITE_REGISTER, READ_HOLDING]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"host_watchdog": {"registers": {0: 1}, "silence_s": 1.0}}, "needs at least 1.1 s"),
        ({"host_watchdog": {"registers": {0: 1}, "silence_s": 2}, "timeout_s": 1}, "needs at least 2.5 s"),
        (
            {"host_watchdog": {"registers": {0: 1}, "silence_s": 2}, "rest": {4: True}},
            "rest energises coil 4",
        ),
        ({"host_watchdog": {"registers": {}, "silence_s": 2}}, "at least 1 item"),
        ({"host_watchdog": {"registers": {0: 65536}, "silence_s": 2}}, "less than or equal to 65535"),
        ({"turnaround_s": 1}, "less than or equal to 0.1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        ModbusRelaySettings.model_validate({"port": "x"} | wrong)


def test_a_board_without_a_watchdog_is_taken_to_hold(tmp_path: Path) -> None:
    assert relay_modbus.traits(relay(tmp_path)) == RelayTraits("holds", None, True)
    assert contact_modbus.traits(contact(tmp_path, poll_s=0.25)) == ContactTraits(False, 0.55)


async def test_analogue_inputs_are_read(tmp_path: Path) -> None:
    settings = relay(tmp_path)
    async with _modbus_board.open_rig(settings) as rig, bus(settings.port, settings.baudrate) as line:
        rig.set_analogue(2, 0xABCD)
        assert registers(await line.ask(read_input_registers(1, 1, 3), 1.0)) == [0, 0xABCD, 0]


async def test_a_line_that_must_be_silent_is(tmp_path: Path) -> None:
    """The longest turnaround of its devices counts, for posted commands as well."""
    one, two = relay(tmp_path), contact(tmp_path, turnaround_s=0.03)
    async with (
        asyncio.timeout(DEADLINE_S),
        _modbus_board.open_rig(one) as rig,
        relay_modbus.open_board(one) as board,
        contact_modbus.open_board(two),
    ):
        await board.observed()
        began = time.monotonic()
        board.post({0: True})
        board.post({2: True})
        await until(lambda: rig.board.coils == {0: True, 2: True})
        assert time.monotonic() - began >= 0.055


async def test_a_line_is_given_back_though_another_process_holds_its_descriptor(tmp_path: Path) -> None:
    """The survivor keeps the descriptor of the last will; the lock must not stay with it."""
    settings = relay(tmp_path)
    async with _modbus_board.open_rig(settings):
        async with relay_modbus.open_board(settings) as board:
            will = board.last_will({0: True})
            assert will is not None
            held = os.dup(will.fd)
        try:
            async with relay_modbus.open_board(settings) as board:
                await board.switch({0: True})
        finally:
            os.close(held)


async def test_a_line_behind_a_device_server(tmp_path: Path) -> None:
    settings = relay(tmp_path)
    async with asyncio.timeout(DEADLINE_S), _modbus_board.open_rig(settings) as rig:
        writers: list[asyncio.StreamWriter] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            rig._cable.send = writer.write  # type: ignore[method-assign]
            while data := await reader.read(100):
                rig._received(data)
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            with pytest.raises(DriverFault, match="the line is lost"):
                async with relay_modbus.open_board(ModbusRelaySettings(port=port)) as board:
                    await board.switch({0: True})
                    assert await board.observed() == {0: True}
                    writers[0].close()
                    while True:
                        await board.observed()


async def test_what_nobody_waits_for_any_more_is_not_sent(tmp_path: Path) -> None:
    one, two = relay(tmp_path), contact(tmp_path)
    async with (
        asyncio.timeout(DEADLINE_S),
        _modbus_board.open_rig(one) as rig,
        relay_modbus.open_board(one) as board,
        contact_modbus.open_board(two) as contacts,
    ):
        rig.delay_s = 0.02
        rig.functions.clear()
        reading = asyncio.create_task(board.observed())
        await asyncio.sleep(0)
        left = asyncio.create_task(board.switch({0: True}))
        async with listening(contacts.contacts()):
            await until(lambda: bool(board._line._commands and board._line._reads))
        left.cancel()
        await reading
        await board.observed()
        assert list(rig.functions) == [READ_COILS, READ_COILS]


async def test_a_port_is_opened_while_it_is_being_given_back(tmp_path: Path) -> None:
    one, two = relay(tmp_path), contact(tmp_path)
    async with asyncio.timeout(DEADLINE_S), _modbus_board.open_rig(one):
        for _ in range(20):
            first = contact_modbus.open_board(two)
            await first.__aenter__()
            closing = asyncio.create_task(first.__aexit__(None, None, None))
            await asyncio.sleep(0)
            async with relay_modbus.open_board(one) as board:
                await board.observed()
            await closing


async def test_a_rehearsal_tells_made_up_contacts_and_moves_nothing(tmp_path: Path) -> None:
    one, two = relay(tmp_path), contact(tmp_path)
    async with (
        asyncio.timeout(DEADLINE_S),
        _modbus_board.open_rig(one) as rig,
        relay_modbus.open_board(one) as board,
        contact_modbus.open_board(two) as contacts,
    ):
        played, told = list[Contact](), list[Contact]()

        def play(seen: Contact) -> None:
            played.append(seen)
            for coils in ({0: bool(seen.closed), 1: True, 5: True}, {}, {-1: True}):
                board.rehearse(coils)

        contacts.tell(told.append)
        contacts.rehearse(play)
        async with listening(contacts.contacts()):
            await until(lambda: len(played) >= 40)
            rig.set_contact(1, True)
            await until(lambda: len(told) == 3)
        assert [(c.channel, c.closed) for c in told] == [(0, False), (1, False), (1, True)]
        assert {(c.channel, c.closed) for c in played} == {(c, s) for c in (0, 1) for s in (True, False)}
        assert rig.board.writes == board.damaged == 0
        assert set(await board.observed()) == {0}  # what was rehearsed is not known as commanded


async def test_a_rehearsal_that_fails_costs_no_reading(tmp_path: Path) -> None:
    two, told = contact(tmp_path), list[Contact]()
    async with (
        asyncio.timeout(DEADLINE_S),
        _modbus_board.open_rig(two) as rig,
        contact_modbus.open_board(two) as contacts,
    ):

        def play(seen: Contact) -> None:
            raise RuntimeError("made up")

        contacts.tell(told.append)
        contacts.rehearse(play)
        async with listening(contacts.contacts()):
            await until(lambda: len(told) == 2)
            rig.set_contact(0, True)
            await until(lambda: len(told) == 3)
