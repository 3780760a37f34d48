"""One question to the running gated, for every command of gatectl."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from gated import jsonlines
from gated.config import load_site


def ask(args: argparse.Namespace, do: str, **request: Any) -> Any:
    """Ask gated on its control socket. Raises GatedError when it is down, RequestRefused when it says no."""
    path = load_site(args.config).control_socket
    return asyncio.run(jsonlines.request(path, do, timeout_s=30.0, **request))


def show_json(value: Any) -> None:
    """Print one JSON value."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
