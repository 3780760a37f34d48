"""A disk whose flush takes 10 ms, for one command: flash cards and eMMC take that and more.

With a C compiler, a preloaded library delays fsync(2) and fdatasync(2) of the whole process, SQLite's
included. Without one, the command (a console script of ours) runs under this module, which delays
Python's own two calls; SQLite's are then as fast as the disk.

    python -m gated_simulators.bench.slow_flush COMMAND [ARGUMENT ...]
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FLUSH_S = 0.010

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
static void flash(void) { struct timespec t = {0, %d}; nanosleep(&t, 0); }
int fsync(int fd) { flash(); return ((int (*)(int)) dlsym(RTLD_NEXT, "fsync"))(fd); }
int fdatasync(int fd) { flash(); return ((int (*)(int)) dlsym(RTLD_NEXT, "fdatasync"))(fd); }
"""


def build_shim(place: Path) -> Path | None:
    """The preloaded library, built in `place`; None where there is no C compiler that works."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    source, shim = place / "flush.c", place / "flush.so"
    source.write_text(SHIM % int(FLUSH_S * 1e9), encoding="ascii")
    command = [compiler, "-shared", "-fPIC", "-o", str(shim), str(source), "-ldl"]
    built = subprocess.run(command, check=False, capture_output=True)
    return shim if built.returncode == 0 else None


def slowed(command: list[str], shim: Path | None) -> list[str]:
    """The command on a slow disk."""
    if shim is not None:
        return ["/usr/bin/env", f"LD_PRELOAD={shim}", *command]
    return [sys.executable, "-m", "gated_simulators.bench.slow_flush", *command]


def _after_pause(flush: Callable[[Any], None]) -> Callable[[Any], None]:
    def slow(fd: Any) -> None:
        time.sleep(FLUSH_S)
        flush(fd)

    return slow


if __name__ == "__main__":
    for call in ("fsync", "fdatasync"):
        setattr(os, call, _after_pause(getattr(os, call)))
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
