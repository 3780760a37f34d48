"""Asking a running building, from the command line and from scenarios."""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path
from typing import Any

from gated import jsonlines
from gated.errors import GatedError, InputError
from gated_simulators.building.commands import as_request
from gated_simulators.building.wiring import Wiring, read, sim_socket
from gated_simulators.processes import serving_pid


async def ask(site: Path, do: str, args: dict[str, Any] | None = None) -> Any:
    """Ask the building of a site. Raises RequestRefused, or GatedError when none is running."""
    try:
        return await jsonlines.request(sim_socket(site), do, **(args or {}))
    except GatedError as error:
        # Refused where a socket was left behind by a building that was killed.
        if isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError):
            raise GatedError(
                f"no building is running at {site}: start one with gatesim run --site {site}"
            ) from error
        raise


async def act(site: Path, wanted: argparse.Namespace) -> str:
    """Carry out an act of `commands` on the building of a site, and return what it remarks.

    `kill` and `spoil` need no building.
    """
    if wanted.do == "kill":
        kill(read(site), wanted.process)
        return ""
    if wanted.do == "spoil":
        return spoil(read(site))
    if wanted.do == "code":
        wanted.code = _content_of(wanted.code)
    request = as_request(wanted)
    return await ask(site, str(request.pop("do")), request) or ""


def kill(wiring: Wiring, process: str) -> None:
    """SIGKILL the process that serves the socket of this name. Raises GatedError."""
    os.kill(serving_pid(socket_of(wiring, process)), signal.SIGKILL)


def spoil(wiring: Wiring) -> str:
    """Overwrite every copy of what the release has latched, as a failing disk does; where they are."""
    found = [path for path in wiring.latches if path.exists()]
    for path in found:
        path.write_bytes(b"\xff" * 100)
    return f"spoilt: {', '.join(str(path) for path in found) or 'nothing, as nothing is kept'}"


def socket_of(wiring: Wiring, process: str) -> Path:
    """The socket by which a process of the site is known."""
    return wiring.control_socket if process == "gated" else wiring.release_socket


def _content_of(code: str) -> str:
    """What a code argument stands for: itself, or the content of @FILE. Raises InputError."""
    if not code.startswith("@"):
        return code
    try:
        return Path(code[1:]).read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise InputError([f"{code[1:]}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise InputError([f"{code[1:]}: is not UTF-8 text"]) from error
