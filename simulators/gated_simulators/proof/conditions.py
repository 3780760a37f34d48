"""What is done to the release, to its machine and beside it while a row of the proof is measured.

A condition prepares the stage before the release starts, begins once it is armed, and tells at the end,
in words, that it held: a row whose condition never held proves nothing and is red.
"""

# ruff: noqa: D102 - what prepare, begin and evidence are for is said once, by Condition.
# Over 300 lines: one condition after the other, each a few lines; they are read together.

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Awaitable, Callable
from pathlib import Path

from gated.errors import GatedError
from gated_simulators.bench.release import child
from gated_simulators.proof.stage import Beside, Stage

TMPFS_KIB = 256
IMAGE_KIB = 8192  # the smallest comfortable ext4
CLOCK = Path(__file__).with_name("clock.c")
STEP_S = 1.0  # from one step of the clock to the next
YEARS = 50
YEAR_S = 31_556_952  # seconds of a mean Gregorian year
SEEN = 50_000  # bytes of garbage; a line that is not read takes a few thousand
SECOND_BOARD = """
[devices.second-out]
driver = "relay_modbus"
port = "{port}"
timeout_s = 0.2
rest = {{ 0 = false }}

[outputs.lane-3]
device = "second-out"
channel = 0
energised = "may_shut"
"""


class Unavailable(GatedError):
    """This machine cannot make the condition; a sentence says what it lacks."""


class Condition:
    """Nothing special. What needs an end is left to the stage's stack."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def prepare(self) -> None:
        """Before the release starts. Raises Unavailable."""

    async def begin(self) -> None:
        """Once the release is armed."""

    async def evidence(self) -> str:
        """That the condition held, in words; empty: not so far. May be asked for again."""
        return "gated ran beside" if not self.stage.around.beside.ended else ""

    def forever(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it again and again until the stage is cleared."""

        async def repeat() -> None:
            while True:
                await work()

        task = asyncio.create_task(repeat())

        async def end() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        self.stage.stack.push_async_callback(end)


class GatedKilled(Condition):
    """`gated` is killed and stays dead."""

    async def begin(self) -> None:
        beside = self.stage.around.beside
        await beside.signal(signal.SIGKILL)
        self.stage.stack.push_async_callback(_back, beside)

    async def evidence(self) -> str:
        return "gated was dead" if self.stage.around.beside.ended else ""


async def _back(beside: Beside) -> None:
    if beside.ended:
        await beside.start()
        await beside.serving()


class GatedStopped(Condition):
    """`gated` hangs: it follows the release's socket no more, but keeps its end open."""

    async def begin(self) -> None:
        beside = self.stage.around.beside
        await beside.signal(signal.SIGSTOP)
        self.stage.stack.push_async_callback(beside.signal, signal.SIGCONT)

    async def evidence(self) -> str:
        return "gated hung" if not self.stage.around.beside.ended else ""


class GatedCrashLoops(Condition):
    """`gated` is killed and started again, before and after it serves."""

    crashes = 0

    async def begin(self) -> None:
        beside = self.stage.around.beside
        self.stage.stack.push_async_callback(_back, beside)

        async def crash() -> None:
            await beside.signal(signal.SIGKILL)
            self.crashes += 1
            await beside.start()
            await asyncio.sleep(random.uniform(0.1, 2.0))

        self.forever(crash)

    async def evidence(self) -> str:
        return f"gated crashed {self.crashes} times" if self.crashes else ""


class DiskFull(Condition):
    """The file system of the state directory is full, for root too."""

    async def prepare(self) -> None:
        _need_root()
        stage = self.stage
        stage.state_dir.mkdir()
        _mount(stage, ["-t", "tmpfs", "-o", f"size={TMPFS_KIB}k", "none"], stage.state_dir)

    async def begin(self) -> None:
        with (self.stage.state_dir / "filler").open("wb", buffering=0) as filler:
            for size in (4096, 1):
                with contextlib.suppress(OSError):
                    while filler.write(bytes(size)):
                        pass

    async def evidence(self) -> str:
        return await _refused(self.stage, "No space left")


class DiskReadOnly(Condition):
    """The kernel makes an ext4 file system read-only under the open files, as it does on a dying disk."""

    async def prepare(self) -> None:
        _need_root()
        stage = self.stage
        for tool in ("mkfs.ext4", "losetup"):
            if shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
                raise Unavailable(f"{tool} is not installed")
        image = stage.path / "image"
        with image.open("wb") as file:
            file.truncate(IMAGE_KIB * 1024)
        stage.state_dir.mkdir()
        _run("mkfs.ext4", "-q", "-F", str(image))
        _mount(stage, ["-t", "ext4", "-o", "loop", str(image)], stage.state_dir)

    async def begin(self) -> None:
        _run("mount", "-o", "remount,abort", str(self.stage.state_dir))

    async def evidence(self) -> str:
        return await _refused(self.stage, "Read-only")


async def _refused(stage: Stage, how: str) -> str:
    """The release's own word that it cannot write."""
    state = await stage.status()
    found = [fault for fault in state.faults if "cannot be written" in fault and how in fault]
    return f"writes failed all along ({how.lower()})" if found else ""


class ClockStepped(Condition):
    """The wall clock of the release jumps by `years` and back, again and again."""

    years = YEARS
    steps = 0

    async def prepare(self) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise Unavailable("no C compiler is installed (apt-get install gcc libc6-dev)")
        library = self.stage.path / "clock.so"
        self._offset = self.stage.path / "offset"
        self._set(0)
        _run(compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(CLOCK))
        self.stage.environment |= {"LD_PRELOAD": str(library), "GATED_CLOCK_OFFSET": str(self._offset)}

    def _set(self, years: int) -> None:
        mode = "r+b" if self._offset.exists() else "wb"
        with self._offset.open(mode) as file:  # in place: the process has it mapped
            file.write((years * YEAR_S).to_bytes(8, sys.byteorder, signed=True))

    async def begin(self) -> None:
        offsets = itertools.cycle((self.years, 0))

        async def step() -> None:
            self._set(next(offsets))
            self.steps += 1
            await asyncio.sleep(STEP_S)

        self.forever(step)

    async def evidence(self) -> str:
        """Its records bear the years of both clocks."""
        years = sorted({int(year) for year in re.findall(r'"(\d{4})-\d\d-\d\dT', self.stage.trail)})
        if not self.steps or not years or years[-1] - years[0] < YEARS - 1:
            return ""
        return f"{self.steps} steps; records of {years[0]} and of {years[-1]}"


class ClockSteppedBack(ClockStepped):
    """The same into the past."""

    years = -YEARS


class SecondBoard(Condition):
    """Another board of the release, on a serial line of its own that gives trouble."""

    trouble = ""

    async def prepare(self) -> None:
        port = self.stage.path / "second"
        self.stage.more += SECOND_BOARD.format(port=port)
        self._process = await self.stage.stack.enter_async_context(
            child("-m", "gated_simulators.proof.second", str(port), self.trouble, pipe=True)
        )
        assert self._process.stdout is not None
        await self._process.stdout.readline()

    async def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    async def count(self) -> int:
        """What the board did."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(b"\n")
        return int(await self._process.stdout.readline())


class LineFlooded(SecondBoard):
    """Its line is full of garbage."""

    trouble = "flood"

    async def evidence(self) -> str:
        faults = self.stage.trail.count('"device_fault"')
        count = await self.count()
        return (
            f"{count / 1e6:.1f} MB of garbage taken; the line failed {faults} times" if count > SEEN else ""
        )


class AdapterPulled(SecondBoard):
    """Its USB adapter is pulled out and put back."""

    trouble = "replug"

    async def evidence(self) -> str:
        faults = self.stage.trail.count('"device_fault"')
        count = await self.count()
        return f"pulled {count} times; noticed {faults} times" if count and faults else ""


class UpdateInstalled(Condition):
    """The release runs from an environment of its own, into which its own version is installed for ever."""

    installed = 0

    async def prepare(self) -> None:
        source = Path(__file__).resolve().parents[3]
        if not (source / "pyproject.toml").exists():
            raise Unavailable("this is not a checkout: there is nothing to build an update from")
        path = self.stage.path
        await _run_to_end(
            sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(path), cwd=source
        )
        [self._wheel] = path.glob("gated-*.whl")
        await asyncio.to_thread(venv.create, path / "venv", with_pip=False, symlinks=True)
        self.stage.python = str(path / "venv/bin/python")
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        there = path / "venv/lib" / version / "site-packages"
        for package in next(Path(sys.prefix).glob(f"lib/{version}/site-packages")).iterdir():
            if not package.name.startswith(("gated", "_gated", "_editable_impl_gated", "__pycache__")):
                (there / package.name).symlink_to(package)
        await self._install()

    async def _install(self) -> None:
        arguments = ("--force-reinstall", "--no-deps", "--no-index", str(self._wheel))
        pip = (self.stage.python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
        await _run_to_end(*pip, *arguments, cwd=self.stage.path)

    async def begin(self) -> None:
        async def update() -> None:
            await self._install()
            self.installed += 1

        self.forever(update)

    async def evidence(self) -> str:
        return f"installed {self.installed} times" if self.installed else ""


async def _run_to_end(*command: str, cwd: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"},
        cwd=cwd,
    )
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise GatedError(f"{' '.join(command[1:4])} failed: {said.decode(errors='replace')[-500:]}")


def _need_root() -> None:
    if os.geteuid() != 0:
        raise Unavailable("mounting a file system needs root")


def _mount(stage: Stage, arguments: list[str], target: Path) -> None:
    _run("mount", *arguments, str(target))
    stage.stack.callback(_run, "umount", "-l", str(target))


def _run(*command: str) -> None:
    """Raises Unavailable with what the command said."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise Unavailable(f"{command[0]} failed: {done.stderr.strip()[:200]}")
