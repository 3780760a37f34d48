"""One question to a running service, for every command of gatectl: to gated, or to the emergency release."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from gated import jsonlines
from gated.config import load_site
from gated.errors import ConfigError
from gated.release import client
from gated.release.client import ReleaseState
from gated.release.config import socket_path
from gated.release.tables import DEFAULT_SOCKET


def ask(args: argparse.Namespace, do: str, **request: Any) -> Any:
    """Ask gated on its control socket. Raises GatedError when it is down, RequestRefused when it says no."""
    path = load_site(args.config).control_socket
    return asyncio.run(jsonlines.request(path, do, timeout_s=30.0, **request))


def release_socket(args: argparse.Namespace) -> Path:
    """Where gated-release answers, by release.toml alone; gated.toml is not looked at.

    A release.toml that cannot be read keeps nobody from a gate that runs: then it is the usual place, if
    something serves there. Raises ConfigError.
    """
    try:
        return socket_path(args.release_config)
    except ConfigError as error:
        if not _is_there(DEFAULT_SOCKET):
            raise
        print(f"gatectl: {error}; asking {DEFAULT_SOCKET} all the same", file=sys.stderr)
        return DEFAULT_SOCKET


def _is_there(path: Path) -> bool:
    try:
        return path.is_socket()
    except OSError:  # a directory that this user may not look into
        return False


def ask_release(args: argparse.Namespace, do: str, **request: Any) -> tuple[ReleaseState, bool]:
    """Have the release do something; its state afterwards, and whether the record of it is on disk.

    Raises RequestRefused with every reason of a refusal, GatedError when nobody answers.
    """
    answer = asyncio.run(client.request(release_socket(args), do, **request))
    return ReleaseState.from_json(answer["state"]), bool(answer["recorded"])


def release_state(args: argparse.Namespace) -> ReleaseState:
    """The state of the release now. Raises GatedError when nobody answers."""
    return asyncio.run(client.status(release_socket(args)))


def show_json(value: Any) -> None:
    """Print one JSON value."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def person(parser: argparse.ArgumentParser) -> None:
    """Let `--by` and `--json` stand behind the command too."""
    parser.add_argument("--by", default=argparse.SUPPRESS, metavar="NAME", help="who commands")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")


def person_and_reason(parser: argparse.ArgumentParser) -> None:
    """`person`, and the reason that every order needs."""
    parser.add_argument("--why", required=True, metavar="TEXT", help="the reason, kept in the record")
    person(parser)
