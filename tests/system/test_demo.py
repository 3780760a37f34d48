"""The demo as a person runs it, whole; and stopped in the middle, by key, by signal and by force."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gated_simulators.processes import entry_point

PART_1 = b"1  A staff card"


@pytest.fixture
def scratch_root() -> Iterator[Path]:
    """The only place where the demo may leave anything; its name marks every process of this demo."""
    root = Path(tempfile.mkdtemp(prefix="gt-"))
    yield root
    shutil.rmtree(root, ignore_errors=True)


def running(root: Path) -> list[str]:
    """Processes whose command line or environment names this demo's scratch directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            marks = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if bytes(root) in marks and int(process.name) != os.getpid():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


@asynccontextmanager
async def demo(root: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        entry_point("gatesim"),
        "demo",
        "--plain",
        env={**os.environ, "TMPDIR": str(root)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()


async def until_said(process: asyncio.subprocess.Process, word: bytes) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(60.0):
        while word not in (line := await process.stdout.readline()):
            assert line, f"the demo ended before it said {word!r}"


@pytest.mark.timeout(240)
async def test_everything_holds_and_nothing_is_left(scratch_root: Path) -> None:
    async with demo(scratch_root) as process:
        out, _ = await process.communicate()
    text = out.decode()
    assert process.returncode == 0, text
    assert "FAIL" not in text and "fault:" not in text
    assert "expectations held" in text.splitlines()[-1]
    assert text.count("\nok    ") >= 180
    for number in range(14):
        assert f"\n{number}  " in text
    assert running(scratch_root) == []
    assert list(scratch_root.iterdir()) == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_all_of_it_cleanly(scratch_root: Path, number: signal.Signals) -> None:
    async with demo(scratch_root) as process:
        await until_said(process, PART_1)
        assert len(running(scratch_root)) >= 4
        os.killpg(process.pid, number)  # as a terminal does
        async with asyncio.timeout(30.0):
            out, _ = await process.communicate()
    assert process.returncode == 128 + number
    assert f"stopped by {number.name}; nothing is left running" in out.decode()
    assert "fault:" not in out.decode() and "Traceback" not in out.decode()
    assert running(scratch_root) == []
    assert list(scratch_root.iterdir()) == []


@pytest.mark.timeout(120)
async def test_even_killed_it_leaves_no_process(scratch_root: Path) -> None:
    async with demo(scratch_root) as process:
        await until_said(process, PART_1)
        os.kill(process.pid, signal.SIGKILL)
        async with asyncio.timeout(30.0):
            await process.wait()
            while running(scratch_root):
                await asyncio.sleep(0.05)
