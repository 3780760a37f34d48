from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from gated.errors import GatedError
from gated_simulators import processes
from gated_simulators.processes import Processes, serving_pid

SERVE = """
import signal, sys
print("ready", flush=True)
signal.signal(signal.SIGTERM, lambda *a: sys.exit({status}))
signal.pause()
"""
STUBBORN = SERVE.replace("lambda *a: sys.exit({status})", "signal.SIG_IGN")
FORKS = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import signal; print('child', flush=True); signal.pause()"])
import signal
signal.signal(signal.SIGTERM, lambda *a: sys.exit(0))
signal.pause()
"""


async def said(running: Processes, name: str, word: str) -> None:
    async with asyncio.timeout(20.0):
        while word not in running.log_of(name).read_text():
            await asyncio.sleep(0.01)


def one(text: str, logs: Path) -> Processes:
    return Processes({"it": [sys.executable, "-c", text]}, logs)


async def test_what_stops_cleanly_is_no_fault(tmp_path: Path) -> None:
    running = one(SERVE.format(status=0), tmp_path)
    await running.start("it")
    await said(running, "it", "ready")
    assert running.ended("it") is None
    assert await running.stop_all() == []
    assert await running.stop_all() == []


async def test_a_bad_status_is_a_fault(tmp_path: Path) -> None:
    running = one(SERVE.format(status=3), tmp_path)
    await running.start("it")
    await said(running, "it", "ready")
    assert await running.stop_all() == ["it ended with status 3; see its log"]


async def test_what_does_not_stop_is_killed_and_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "STOP_S", 0.2)
    running = one(STUBBORN, tmp_path)
    await running.start("it")
    await said(running, "it", "ready")
    (fault,) = await running.stop_all()
    assert "did not stop" in fault


async def test_a_child_left_behind_is_found_and_killed(tmp_path: Path) -> None:
    running = one(FORKS, tmp_path)
    await running.start("it")
    await said(running, "it", "child")
    assert await running.stop_all() == ["a child of it was left running and was killed"]
    assert await running.stop_all() == []  # and now it is gone


async def test_a_killed_process_starts_again_and_a_running_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = one(SERVE.format(status=0), tmp_path)
    await running.start("it")
    await said(running, "it", "ready")
    group = running._groups[-1][1]
    os.kill(group, signal.SIGKILL)
    await running.start("it")
    assert running._groups[-1][1] != group
    monkeypatch.setattr(processes, "STOP_S", 0.2)
    with pytest.raises(GatedError, match="running already"):
        await running.start("it")
    monkeypatch.undo()
    await running.stop_all()


async def test_the_kernel_names_the_process_behind_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with pytest.raises(GatedError, match="nobody answers"):
        serving_pid(path)
    async with await asyncio.start_unix_server(lambda r, w: w.close(), path):
        assert serving_pid(path) == os.getpid()
