"""relay_serial: the LCUS frames, and what a serial line can do wrong."""

from __future__ import annotations

import asyncio
import itertools
import os
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
from gated_drivers._serial_line import in_thread, why_not_open
from gated_drivers.relay_serial import SerialRelaySettings
from gated_simulators.rigs import relay_serial as rigs
from tests.drivers.samples import until


def board_settings(folder: Path, **changes: Any) -> SerialRelaySettings:
    return SerialRelaySettings(port=str(folder / "line"), channels=4, **changes)


@pytest.mark.parametrize(
    ("channel", "energised", "frame"),
    [(1, True, "a00101a2"), (1, False, "a00100a1"), (2, True, "a00201a3"), (8, False, "a00800a8")],
)
def test_published_frames(channel: int, energised: bool, frame: str) -> None:
    assert lcus.command(channel, energised).hex() == frame


@pytest.mark.parametrize("channel", [0, -1, 33, 256])
def test_a_channel_no_board_has_is_refused(channel: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 32"):
        lcus.command(channel, True)


noises = st.binary(max_size=12).filter(lambda noise: 0xA0 not in noise)
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


@pytest.mark.parametrize("wrong", [{"rest": {5: True}}, {"channels": 0}, {"channels": 33}, {"protocol": "x"}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SerialRelaySettings.model_validate({"port": "x", "channels": 4} | wrong)


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
