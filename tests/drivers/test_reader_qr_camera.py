"""The QR camera against a camera on the wire: faults, the worker process, held codes, recordings."""

# Over 300 lines: one driver, one file of tests, as for every driver.

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from gated.ports import DriverFault, Presentation, Technology
from gated_drivers._worker import WorkerReader
from gated_drivers.reader_qr_camera import DRIVER, CameraSettings, camera_of
from gated_simulators.rigs.reader_qr_camera import WALL, CameraRig, code_picture, open_rig
from tests.drivers.samples import listening, port_number, until

DEADLINE_S = 15.0


def stream(**changes: Any) -> CameraSettings:
    return CameraSettings(**{"source": f"http://127.0.0.1:{port_number()}/stream", "fps": 30.0} | changes)


@asynccontextmanager
async def watching(**changes: Any) -> AsyncIterator[tuple[CameraRig, WorkerReader]]:
    settings = stream(**changes)
    async with asyncio.timeout(DEADLINE_S), open_rig(settings) as rig, DRIVER.open(settings) as camera:
        yield rig, camera


async def frames(camera: WorkerReader, count: int) -> None:
    """Until that many frames more were decoded."""
    enough = camera.frames + count
    await until(lambda: camera.frames >= enough)


async def fault_of(camera: WorkerReader) -> str:
    with pytest.raises(DriverFault) as fault:
        async for _ in camera.presentations():
            pass
    return str(fault.value)


async def next_of(camera: WorkerReader) -> Presentation:
    async with aclosing(camera.presentations()) as presentations:  # type: ignore[type-var]
        return await anext(presentations)


def payloads(seen: list[Presentation]) -> list[bytes]:
    assert all(p.technology is Technology.QR for p in seen)
    return [p.payload for p in seen]


def worker(camera: WorkerReader) -> int:
    assert camera._process is not None
    return camera._process.pid


def gone(pid: int) -> bool:
    """Whether there is no such process any more, not even a zombie."""
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("content", [b"\x00\xff\x80 bytes", bytes(range(256)), "HC1:BASE45 $%*+-./:", "来訪"])
async def test_a_code_is_presented_with_its_bytes_and_its_time(content: bytes | str) -> None:
    async with watching() as (rig, camera):
        before = time.monotonic()
        rig.show(content)
        presentation = await next_of(camera)
        assert presentation.payload == (content if isinstance(content, bytes) else content.encode())
        assert before <= presentation.at <= time.monotonic()


async def test_a_held_code_is_one_presentation_until_it_was_away() -> None:
    async with watching(absent_s=0.2) as (rig, camera), listening(camera.presentations()) as seen:
        rig.show("one")
        await frames(camera, 15)
        assert payloads(seen) == [b"one"]
        rig.clear()
        await frames(camera, 12)
        rig.show("one")
        await until(lambda: len(seen) == 2)
        rig.show("two")
        await until(lambda: len(seen) == 3)
        assert payloads(seen) == [b"one", b"one", b"two"]


async def test_two_codes_at_once_are_two_presentations() -> None:
    async with watching() as (rig, camera), listening(camera.presentations()) as seen:
        rig.show("left", beside="right")
        await until(lambda: len(seen) == 2)
        await frames(camera, 10)
        assert payloads(seen) == [b"left", b"right"]


@pytest.mark.parametrize("held", [{"blur": 2.0}, {"tilt": 55.0}, {"glare": 0.7}, {"blur": 1.5, "tilt": 40.0}])
async def test_a_badly_held_code_is_read(held: dict[str, float]) -> None:
    async with watching() as (rig, camera):
        rig.show("badly held", **held)  # type: ignore[arg-type]
        assert (await next_of(camera)).payload == b"badly held"


async def test_contents_that_no_credential_can_have_are_counted_once() -> None:
    async with watching() as (rig, camera), listening(camera.presentations()) as seen:
        rig.show(b"x" * 513)
        await until(lambda: camera.ignored == 1)
        await frames(camera, 5)
        rig.show(b"x" * 512)
        await until(lambda: payloads(seen) == [b"x" * 512])
        assert camera.ignored == 1


async def test_zbar_reads_too() -> None:
    pytest.importorskip("pyzbar.pyzbar", reason="libzbar is not installed", exc_type=ImportError)
    async with watching(decoder="zbar") as (rig, camera):
        rig.show("by zbar")
        assert (await next_of(camera)).payload == b"by zbar"


async def test_a_stalled_stream_is_a_fault_in_time_and_recovers() -> None:
    settings = stream(stall_s=0.6)
    async with asyncio.timeout(DEADLINE_S), open_rig(settings) as rig:
        async with DRIVER.open(settings) as camera:
            await frames(camera, 3)
            rig.stall()
            stalled = time.monotonic()
            assert "no frame for 0.6 s" in await fault_of(camera)
            assert 0.4 < time.monotonic() - stalled < 2.0
        rig.resume()
        async with DRIVER.open(settings) as camera:
            await frames(camera, 3)


async def test_a_hung_process_is_a_fault_in_time_and_is_killed() -> None:
    async with watching(stall_s=0.6) as (_, camera):
        pid = worker(camera)
        os.kill(pid, signal.SIGSTOP)
        assert "no frame for 0.6 s" in await fault_of(camera)
        await camera.close()
        assert gone(pid)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_crashed_process_is_a_fault_at_once_and_leaves_no_zombie(sign: signal.Signals) -> None:
    async with watching(stall_s=30.0) as (_, camera):
        pid = worker(camera)
        os.kill(pid, sign)
        assert sign.name in await fault_of(camera)
        assert gone(pid)
        assert sign.name in await fault_of(camera)  # and it stays one


async def test_a_stream_that_ends_is_a_fault_at_once() -> None:
    async with watching(stall_s=30.0) as (rig, camera):
        rig.cut()
        assert "the stream ended" in await fault_of(camera)


async def test_what_was_presented_before_a_fault_is_not_lost() -> None:
    async with watching() as (rig, camera):
        rig.show("last words")
        await until(lambda: bool(camera._waiting))
        os.kill(worker(camera), signal.SIGKILL)
        await until(lambda: camera._fault is not None)
        assert (await next_of(camera)).payload == b"last words"
        assert "SIGKILL" in await fault_of(camera)


async def test_garbage_from_the_process_is_a_fault() -> None:
    async with watching() as (_, camera):
        with socket.fromfd(_worker_socket(camera), socket.AF_UNIX, socket.SOCK_STREAM) as theirs:
            theirs.setblocking(True)
            theirs.sendall(b"\xff" * 64)
        assert "not a message" in await fault_of(camera)


def _worker_socket(camera: WorkerReader) -> int:
    """The process's end of the socket, taken from it as its standard input."""
    pidfd = os.pidfd_open(worker(camera))
    try:
        return _pidfd_getfd(pidfd, 0)
    finally:
        os.close(pidfd)


def _pidfd_getfd(pidfd: int, fd: int) -> int:
    import ctypes

    taken = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, fd, 0)
    if taken < 0:
        pytest.skip("the kernel does not let a process take its child's descriptor")
    return int(taken)


@pytest.mark.parametrize("source", ["/dev/video97", "no-such-recording.avi"])
async def test_an_absent_camera_is_a_fault_with_a_sentence(source: str) -> None:
    with pytest.raises(DriverFault, match=f"camera {source}: there is nothing to open"):
        async with asyncio.timeout(DEADLINE_S), DRIVER.open(CameraSettings(source=source)):
            pass


async def test_a_camera_that_accepts_and_says_nothing_is_a_fault_by_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        source = f"http://user:secret@127.0.0.1:{mute.getsockname()[1]}/"
        started = time.monotonic()
        with pytest.raises(DriverFault) as fault:
            async with DRIVER.open(CameraSettings(source=source, open_s=1.0)):
                pass
        assert time.monotonic() - started < 4.0
        assert "no frame within 1 s" in str(fault.value)
        assert "secret" not in str(fault.value)


async def test_closing_while_opening_leaves_no_process() -> None:
    settings = stream(open_s=60.0)
    async with asyncio.timeout(DEADLINE_S), open_rig(settings) as rig:
        rig.stall()
        camera = camera_of(settings)
        starting = asyncio.create_task(camera.start())
        await until(lambda: camera._process is not None)
        pid = worker(camera)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await camera.close()
        await camera.close()
        assert gone(pid)


async def test_closing_ends_the_presentations() -> None:
    async with watching() as (_, camera):
        ending = asyncio.create_task(anext(aiter(camera.presentations()), None))
        await asyncio.sleep(0)
        await camera.close()
        assert await ending is None


def recording(path: Path, fps: float = 30.0) -> None:
    """Ten frames of one code, thirty of the wall, ten of another."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (640, 480), False)
    for content in (["first"] * 10, [None] * 30, ["second"] * 10):
        for text in content:
            frame = np.full((480, 640), WALL, np.uint8)
            if text:
                frame[90:390, 170:470] = code_picture(text, 300)
            writer.write(frame)
    writer.release()


async def test_a_recording_is_played_at_its_pace_and_its_end_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "visitors.avi"
    recording(path)
    async with asyncio.timeout(DEADLINE_S):
        async with DRIVER.open(CameraSettings(source=str(path), fps=60)) as camera:
            seen = []
            with pytest.raises(DriverFault, match="the recording ended"):
                async for presentation in camera.presentations():
                    seen.append(presentation)
        assert [p.payload for p in seen] == [b"first", b"second"]
        assert camera.frames == 50
        assert 30 / 60 < seen[1].at - seen[0].at < 3.0


def test_settings_are_checked() -> None:
    with pytest.raises(ValidationError, match="must be a device, a file, or a URL"):
        CameraSettings(source="ftp://somewhere/stream")
    with pytest.raises(ValidationError, match="zxing"):
        CameraSettings.model_validate({"source": "/dev/video0", "decoder": "opencv"})


def test_the_daemon_imports_no_picture_library() -> None:
    """And stays small: OpenCV alone would cost it 45 MiB."""
    code = (
        "import sys, gated_drivers.reader_qr_camera\n"
        "print([m for m in ('cv2', 'numpy', 'zxingcpp', 'pyzbar') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


DAEMON = """
import asyncio, sys
from gated_drivers.reader_qr_camera import DRIVER, CameraSettings
async def main():
    async with DRIVER.open(CameraSettings(source=sys.argv[1])) as camera:
        print(camera._process.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.parametrize("stopped", [False, True])
async def test_the_process_ends_with_the_daemon(stopped: bool) -> None:
    settings = stream()
    async with asyncio.timeout(DEADLINE_S), open_rig(settings):
        daemon = await asyncio.create_subprocess_exec(
            sys.executable, "-c", DAEMON, settings.source, stdout=asyncio.subprocess.PIPE
        )
        assert daemon.stdout is not None
        pid = int(await daemon.stdout.readline())
        assert os.getpriority(os.PRIO_PROCESS, pid) >= 5
        if stopped:
            os.kill(pid, signal.SIGSTOP)
        daemon.kill()
        await daemon.wait()
        # Nobody is left to reap it but init, which a container may lack: dead is enough.
        await until(lambda: gone(pid) or "State:\tZ" in Path(f"/proc/{pid}/status").read_text())
