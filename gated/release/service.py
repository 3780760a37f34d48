"""`gated-release`: the process that opens the gates when fire, an earthquake or a person calls for it.

It arms as fast as it can, so nothing is imported that it does not need, and it needs nothing of the
gate daemon. What would stall it (a disk, a pipe, a manager) is left to threads.
"""

from __future__ import annotations

import gc
import os
import sys

gc.disable()  # for the imports: what they make stays
# Looking for pydantic plugins reads the metadata of every installed distribution, tens of milliseconds.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

import gated.lean  # noqa: E402, F401

# isort: split
import argparse  # noqa: E402
import asyncio  # noqa: E402
import contextlib  # noqa: E402
import fcntl  # noqa: E402
import functools  # noqa: E402
import signal  # noqa: E402
import threading  # noqa: E402
from pathlib import Path  # noqa: E402

from gated.errors import ConfigError, GatedError  # noqa: E402
from gated.journald import Log  # noqa: E402
from gated.notify import notify, watchdog_s  # noqa: E402
from gated.release import realtime  # noqa: E402
from gated.release.aside import Aside  # noqa: E402
from gated.release.config import ReleaseConfig, load  # noqa: E402
from gated.release.engine import Release  # noqa: E402
from gated.release.words import Audit  # noqa: E402

gc.enable()

DEFAULT_CONFIG = "/etc/gated/release.toml"
LOCK = "lock"
# Together within the 5 s after which a service manager kills; the survivor then opens.
STOP_S = 3.0  # the longest that the drivers may take to leave their outputs at rest
STORE_S = 1.0  # and that the disk may take
KEEPER_S = 1.0
SWITCH_S = 0.0002  # the longest that a thread which writes or logs keeps the interpreter from the alarm
ARM_FIRST_S = 1.0
STACK_BYTES = 512 * 1024  # of a thread: locked memory is resident, and the usual 8 MiB would be too


def main(argv: list[str] | None = None) -> int:
    """Run the service; the exit code is 0 after SIGTERM, 1 for anything that a sentence explains."""
    parser = argparse.ArgumentParser(prog="gated-release", description="Opens the gates in an emergency.")
    parser.add_argument(
        "--config", type=Path, default=Path(os.environ.get("GATED_RELEASE_CONFIG", DEFAULT_CONFIG))
    )
    parser.add_argument("--check", action="store_true", help="check the configuration and stop")
    args = parser.parse_args(argv)
    try:
        config = load(args.config)
        if args.check:
            return _say_checked(config)
            sys.setswitchinterval(SWITCH_S)
        gc.disable()  # until armed
        threading.stack_size(STACK_BYTES)
        _held, trouble = hold(config.state_dir)
        return asyncio.run(_run(config, trouble))
    except (GatedError, ConfigError) as error:
        print(error, file=sys.stderr)
        return 1


def _say_checked(config: ReleaseConfig) -> int:
    for warning in config.warnings:
        print(f"warning: {warning}")
    lanes = ", ".join(config.plan.lanes)
    print(f"{config.source}: good; {len(config.plan.inputs)} inputs, releases {lanes}")
    return 0


def hold(state_dir: Path) -> tuple[int | None, str | None]:
    """Take the lock that only one gated-release holds; the descriptor, or why there is none.

    Raises GatedError, naming the holder, when another process has it. A disk that does not even let us
    create a file must not keep the gates unguarded, so that is a fault to show and no more.
    """
    path = state_dir / LOCK
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None, f"{path} cannot be locked: {error.strerror}"
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise GatedError(
            f"gated-release runs already, as process {holder}; it holds the outputs. Stop it first"
        ) from None
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        pass  # the lock counts, the number in it is a courtesy
    return fd, None


async def _run(config: ReleaseConfig, lock_trouble: str | None) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    failed = False

    def fail() -> None:
        nonlocal failed
        failed = True
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    signal.signal(
        signal.SIGHUP, signal.SIG_IGN
    )  # the configuration is read at start; a hang-up stops nothing
    refusal = realtime.take_priority(config.realtime_priority)
    aside, manager = Aside(), Aside()  # a log that hangs must not look like a service that does
    release = Release(config, Log("gated-release"), aside, fail)
    release.realtime = refusal is None
    release.restore()
    devices = release.run_devices()
    loop.call_soon(release.bequest.start)  # beside the devices being opened, which takes longer
    release.beat()
    aside.start()
    manager.start()
    release.stores.start()
    release.show("lock", lock_trouble)
    release.note(refusal)
    others = [
        asyncio.create_task(_serve(release), name="desk"),
        asyncio.create_task(_keep(release, manager), name="keeper"),
    ]
    for task in (*devices, *others):
        task.add_done_callback(lambda task: None if task.cancelled() or stop.is_set() else fail())
    release.say(Audit("started", f"started with {config.source}"))
    await stop.wait()
    manager.say(lambda: notify("STOPPING=1"))
    await release.leave(failed=failed)
    await _stop(devices, others)
    release.say(
        Audit("failed", "stopped by a fault of its own", 1) if failed else Audit("stopped", "stopped")
    )
    await asyncio.gather(release.stores.disk.close(STORE_S), release.stores.memory.close(STORE_S))
    for sayer in (aside, manager):
        sayer.close(STORE_S / 4)
    release.bequest.close()
    code = 1 if failed else 0
    if release.life.left_behind or any(not task.done() for task in devices):
        os._exit(code)  # a driver that hangs would be waited for: the survivor opens its board
    return code


async def _serve(release: Release) -> None:
    """Answer at the socket; once armed, or after ARM_FIRST_S, because its imports would delay arming."""
    deadline = asyncio.get_running_loop().time() + ARM_FIRST_S
    while not release.armed and asyncio.get_running_loop().time() < deadline:
        changed = release.changed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await changed.wait()
    from gated.release.desk import Desk

    await Desk(release).serve()


async def _stop(devices: list[asyncio.Task[None]], others: list[asyncio.Task[None]]) -> None:
    """End the devices, which leaves the outputs at rest, and then all else."""
    for tasks, timeout_s in ((devices, STOP_S), (others, STORE_S / 2)):
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=timeout_s)


async def _keep(release: Release, manager: Aside) -> None:
    """Tell the service manager how it goes: ready when armed, the watchdog while everything moves on."""
    asked = watchdog_s()
    period = min(KEEPER_S, asked or KEEPER_S)
    ready, settled, told = False, False, ""
    begun = asyncio.get_running_loop().time()
    while True:
        changed = release.changed
        release.look_at_clock()
        stuck = release.check()
        lines = [] if stuck else ["WATCHDOG=1"]
        if release.armed and not ready:
            ready = True
            lines.append("READY=1")
        elif not ready and not stuck:
            lines.append(f"EXTEND_TIMEOUT_USEC={int(10 * KEEPER_S * 1e6)}")
        if (words := stuck or _status(release)) != told:
            told = words
            lines.append(f"STATUS={words}")
        if not settled and (ready or asyncio.get_running_loop().time() > begun + ARM_FIRST_S):
            settled = True
            _settle(release)
        if lines:
            manager.say(functools.partial(notify, *lines))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(period):
                await changed.wait()
                if ready:
                    await asyncio.sleep(period)


def _settle(release: Release) -> None:
    """Once armed, or when that takes long: what stalls for some milliseconds, once."""
    refusal = realtime.lock_memory()
    release.memory_locked = refusal is None
    release.note(refusal)
    realtime.settle_garbage()


def _status(release: Release) -> str:
    phase = str(release.machine.phase)
    words = [phase if release.armed else f"{phase}, not armed"]
    if held := release.machine.open_lanes:
        words.append(f"open: {', '.join(sorted(held))}")
    return "; ".join([*words, *release.faults])


if __name__ == "__main__":
    sys.exit(main())
