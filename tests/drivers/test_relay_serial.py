"""relay_serial: what a serial line and a board at its end can do wrong."""

from __future__ import annotations

import asyncio
import itertools
import os
import termios
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gated.ports import DriverFault
from gated_drivers import relay_serial
from gated_drivers._codecs import lcus
from gated_drivers._serial_line import in_thread, os_errors, why_not_open
from gated_drivers.relay_serial import SerialRelaySettings
from gated_simulators.rigs import relay_serial as rigs
from tests.drivers.samples import until


def board_settings(folder: Path, **changes: Any) -> SerialRelaySettings:
    return SerialRelaySettings(port=str(folder / "line"), channels=4, **changes)


commands = st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=20)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=commands,
    cuts=st.lists(st.integers(0, 80)),
    noise=st.binary(max_size=12).filter(lambda b: 0xA0 not in b),
)
def test_the_board_understands_any_split_after_any_noise(
    tmp_path: Path, sent: list[tuple[int, bool]], cuts: list[int], noise: bytes
) -> None:
    async def run() -> None:
        async with rigs.open_rig(board_settings(tmp_path)) as rig:
            told: list[tuple[int, bool]] = []
            rig.on_command.append(lambda channel, energised: told.append((channel, energised)))
            data = noise + b"".join(lcus.command(*c) for c in sent)
            edges = sorted({0, len(data), *(c for c in cuts if c < len(data))})
            for start, end in itertools.pairwise(edges):
                rig.received(data[start:end])
            assert told == sent
            assert rig.garbage <= len(noise)

    asyncio.run(run())


async def test_a_channel_the_board_has_not_is_a_fault_and_gets_no_frame(tmp_path: Path) -> None:
    wire = board_settings(tmp_path)
    async with rigs.open_rig(wire) as rig, relay_serial.open_board(wire) as board:
        with pytest.raises(DriverFault, match="no channel 5"):
            await board.switch({1: True, 5: True})
        await board.switch({2: True})
        await until(lambda: rig.board.coils == {1: True, 2: True})
        assert rig.board.writes == 2


async def test_the_line_belongs_to_one_program(tmp_path: Path) -> None:
    wire = board_settings(tmp_path)
    async with rigs.open_rig(wire), relay_serial.open_board(wire):
        with pytest.raises(DriverFault, match="another program"):
            async with relay_serial.open_board(wire):
                pass


async def test_a_line_that_takes_no_bytes_is_a_fault_and_no_wait(tmp_path: Path) -> None:
    wire = board_settings(tmp_path)
    async with rigs.open_rig(wire), relay_serial.open_board(wire) as board:
        with pytest.raises(DriverFault, match="takes no more bytes"):
            for _ in range(100_000):  # the rig reads in this loop, so not while this does not wait
                await board.switch({1: True, 2: True, 3: True, 4: True})


async def test_what_is_no_serial_port_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "line").write_text("a file")
    with pytest.raises(DriverFault, match="not a serial port"):
        async with relay_serial.open_board(board_settings(tmp_path)):
            pass


@pytest.mark.parametrize(
    "wrong",
    [
        {"rest": {5: True}},
        {"channels": 0},
        {"channels": 33},
        {"protocol": "x"},
        {"protocol": "kmtronic", "channels": 9},
        {"protocol": "devantech", "channels": 9},
        {"protocol": "numato", "channels": 33},
        {"protocol": "numato", "rest": {4: True}},
        {"protocol": "kmtronic", "rest": {0: True}},
        {"timeout_s": 0.01},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SerialRelaySettings.model_validate({"port": "x", "channels": 4} | wrong)


askable = pytest.mark.parametrize("protocol", ["kmtronic", "numato", "devantech"])


@askable
@pytest.mark.parametrize("channels", [1, 2, 4, 8])
async def test_states_are_read_back_from_boards_of_every_size(
    protocol: str, channels: int, tmp_path: Path
) -> None:
    wire = SerialRelaySettings(port=str(tmp_path / "line"), protocol=protocol, channels=channels)
    async with rigs.open_rig(wire) as rig, relay_serial.open_board(wire) as board:
        wanted = {channel: channel % 3 != 0 for channel in wire.numbers}
        await board.switch(wanted)
        assert await board.observed() == wanted
        assert not asyncio.get_running_loop().remove_reader(board.last_will({}).fd), "it listens no longer"
        assert {channel: rig.board.coils.get(channel, False) for channel in wire.numbers} == wanted
        assert rig.garbage == 0


async def test_relays_of_numato_are_counted_from_0(tmp_path: Path) -> None:
    wire = board_settings(tmp_path, protocol="numato")
    async with rigs.open_rig(wire) as rig, relay_serial.open_board(wire) as board:
        with pytest.raises(DriverFault, match="no channel 4"):
            await board.switch({0: True, 4: True})
        await until(lambda: rig.board.coils == {0: True})


async def test_numato_takes_a_command_after_noise_on_its_line(tmp_path: Path) -> None:
    wire = board_settings(tmp_path, protocol="numato")
    async with rigs.open_rig(wire) as rig, relay_serial.open_board(wire) as board:
        rig.received(b"re\xfflay o")
        board.post({1: True})
        await until(lambda: rig.board.coils == {1: True})


@askable
async def test_a_dead_coil_is_seen(protocol: str, tmp_path: Path) -> None:
    wire = board_settings(tmp_path, protocol=protocol)
    async with rigs.open_rig(wire) as rig, relay_serial.open_board(wire) as board:
        rig.dead.add(2)
        await board.switch({1: True, 2: True})
        assert await board.observed() == {1: True, 2: False}


@askable
async def test_a_board_that_says_nothing_is_a_fault_in_time(protocol: str, tmp_path: Path) -> None:
    wire = board_settings(tmp_path, protocol=protocol, timeout_s=0.1)
    async with rigs.open_rig(wire) as rig, relay_serial.open_board(wire) as board:
        rig.silent = True
        for _ in range(2):
            with pytest.raises(DriverFault, match=r"does not answer \(waited 0\.1 s\)"):
                await board.observed()
        rig.silent = False
        assert await board.observed() == {}


@askable
@pytest.mark.parametrize("baudrate", [4800, 19200, 115200])
async def test_a_board_at_another_baudrate_is_a_fault(protocol: str, baudrate: int, tmp_path: Path) -> None:
    wire = board_settings(tmp_path, protocol=protocol, timeout_s=0.1)
    async with rigs.open_rig(wire) as rig, relay_serial.open_board(wire) as board:
        rig.baudrate = baudrate
        board.post({1: True, 2: False, 3: True})
        with pytest.raises(DriverFault, match="9600 baud"):
            await board.observed()
        if protocol != "devantech":  # any byte is a command there
            assert rig.board.coils == {}


@askable
@pytest.mark.parametrize("noise", [b"\x00", b"\x01", b"\xff", b"\x00\x01\xff\x00"])
async def test_noise_before_an_answer_is_never_a_state(protocol: str, noise: bytes, tmp_path: Path) -> None:
    wire = board_settings(tmp_path, protocol=protocol, timeout_s=0.1)
    async with rigs.open_rig(wire) as rig, relay_serial.open_board(wire) as board:
        board.post({1: True, 2: False, 3: True})
        rig.noise = noise
        try:
            seen = await board.observed()
        except DriverFault as fault:
            assert "damaged" in str(fault)
        else:
            assert seen == {1: True, 2: False, 3: True}


@askable
async def test_what_was_said_before_the_question_is_no_answer(protocol: str, tmp_path: Path) -> None:
    wire = board_settings(tmp_path, protocol=protocol)
    async with rigs.open_rig(wire) as rig, relay_serial.open_board(wire) as board:
        board.post({1: True})
        await until(lambda: rig.board.writes == 1)
        for old in (b"\x00" * 4, b"\x0e" * 3, b"relay readall\n\r00\n\r>", b"\xff" * 9000):
            rig.send(old)
            assert await board.observed() == {1: True}


@askable
async def test_a_flooded_line_takes_commands_and_ends_the_wait(protocol: str, tmp_path: Path) -> None:
    wire = board_settings(tmp_path, protocol=protocol, timeout_s=0.1)
    async with rigs.open_rig(wire) as rig, relay_serial.open_board(wire) as board:

        def flood() -> None:
            rig.send(bytes(range(256)) * 16)
            asyncio.get_running_loop().call_soon(flood)

        flood()
        with pytest.raises(DriverFault, match="damaged"):
            await board.observed()
        board.post({1: True, 3: True})
        await until(lambda: rig.board.coils == {1: True, 3: True})


@askable
async def test_a_line_lost_while_asking_is_a_fault_at_once(protocol: str, tmp_path: Path) -> None:
    wire = board_settings(tmp_path, protocol=protocol, timeout_s=10)
    async with rigs.open_rig(wire) as rig, relay_serial.open_board(wire) as board:
        rig.silent = True
        asking = asyncio.ensure_future(board.observed())
        asyncio.get_running_loop().call_later(0.02, rig.cut)
        async with asyncio.timeout(5):
            with pytest.raises(DriverFault, match="the line is lost"):
                await asking


@pytest.mark.parametrize("protocol", relay_serial.PROTOCOLS)
async def test_a_command_is_on_the_wire_when_post_returns(protocol: str, tmp_path: Path) -> None:
    """Also while the board is being asked: nothing waits for the answer."""
    wire = board_settings(tmp_path, protocol=protocol)
    async with rigs.open_rig(wire) as rig, relay_serial.open_board(wire) as board:
        rig.silent = True
        asking = asyncio.ensure_future(board.observed())
        await asyncio.sleep(0)
        rig.take()
        rig.silent = False
        board.post({1: True})
        rig.take()  # no turn of the loop, so none of the driver's tasks can help
        assert rig.board.coils == {1: True}
        rig.cut()
        await asyncio.gather(asking, return_exceptions=True)
        with pytest.raises(DriverFault):
            board.post({1: True})


def test_traits_say_what_the_protocol_can() -> None:
    for protocol in relay_serial.PROTOCOLS:
        wire = SerialRelaySettings(port="x", protocol=protocol, channels=4)
        assert relay_serial.traits(wire) == ("holds", None, protocol != "lcus")


async def test_a_call_that_hangs_is_left_behind_and_its_result_undone() -> None:
    go_on, undone = threading.Event(), threading.Event()

    def hang() -> str:
        go_on.wait(10)
        return "late"

    with pytest.raises(DriverFault, match=r"hanging takes over 0\.01 s"):
        await in_thread(hang, 0.01, "hanging", undo=lambda result: undone.set())
    assert not undone.is_set()
    go_on.set()
    await until(undone.is_set)


async def test_a_call_whose_caller_is_cancelled_is_undone_before_it_returns() -> None:
    go_on, undone = threading.Event(), threading.Event()
    task = asyncio.create_task(
        in_thread(lambda: go_on.wait(10), 5, "waiting", undo=lambda result: undone.set())
    )
    await until(lambda: any(t.name == "waiting" for t in threading.enumerate()))
    task.cancel()
    asyncio.get_running_loop().call_later(0.01, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert undone.is_set()


def test_a_port_in_a_closed_directory_is_named_as_such(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)  # root may look everywhere
    try:
        assert "no permission to look" in why_not_open(str(closed / "port"))
    finally:
        os.seteuid(was)


def test_what_termios_refuses_is_an_os_error_so_that_no_opening_ends_without_a_fault() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="ioctl"), os_errors():
            termios.tcflush(reading, termios.TCIFLUSH)  # no terminal, as one that was pulled out
    finally:
        os.close(reading)
        os.close(writing)
