"""A scratch site: a copy of a demo site in a directory of its own, on free ports, with dates around today."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from gated.errors import GatedError
from gated.settings_file import read_toml

FILES = ("gated.toml", "release.toml", "people.toml", "cards.csv")
UDP_PORT = re.compile(r"(?<=udp:127\.0\.0\.1:)\d+")
TCP_PORT = re.compile(r"(?<=http://127\.0\.0\.1:)\d+")
DAY = re.compile(r"\{today([+-]\d+)?\}")
NIGHT = re.compile(r"(?<=\[schedules\.night\]\n)weekly = .*")
LONGEST_SOCKET = 100  # bytes of a Unix socket's path, a little under the kernel's 108


def template() -> Path:
    """The demo site of this checkout. Raises GatedError where there is none."""
    found = Path(__file__).resolve().parents[2] / "config" / "demo"
    if not (found / "gated.toml").exists():
        raise GatedError(
            "the demo site config/demo is not here: run from a checkout, or name a site with --from DIR"
        )
    return found


def make(source: Path, target: Path, now: datetime) -> None:
    """Copy the site `source` into the empty directory `target`. `now` is aware.

    Ports become free ones; {today+N} in cards.csv becomes a date N days from today; the schedule
    `night`, if there is one, becomes the minute that is twelve hours away, so that nobody who
    depends on it gets in at whatever hour this runs. Raises GatedError.
    """
    if len(bytes(target / "run" / "release.sock")) > LONGEST_SOCKET:
        raise GatedError(f"{target}: the path is too long for a socket; set TMPDIR to a shorter one")
    local = now.astimezone(ZoneInfo(read_toml(source / "gated.toml")["site"].get("timezone", "Asia/Tokyo")))
    far = local + timedelta(hours=12)
    minute = f"{far:%H:%M}-{far + timedelta(minutes=1):%H:%M}".replace("-00:00", "-24:00")
    for name in FILES:
        if not (source / name).exists():
            continue
        text = (source / name).read_text(encoding="utf-8")
        text = NIGHT.sub(f'weekly = ["mon-sun {minute}"]', text)
        text = DAY.sub(lambda m: str(local.date() + timedelta(days=int(m[1] or 0))), text)
        (target / name).write_text(_on_free_ports(text), encoding="utf-8")
    for folder in ("run", "state", "wires", "logs"):
        (target / folder).mkdir(mode=0o700)


def _on_free_ports(text: str) -> str:
    """Replace each port; all are held until the last is found, so that no two are the same."""
    with ExitStack() as held:

        def free(kind: socket.SocketKind) -> str:
            taken = held.enter_context(socket.socket(socket.AF_INET, kind))
            taken.bind(("127.0.0.1", 0))
            return str(taken.getsockname()[1])

        text = UDP_PORT.sub(lambda _: free(socket.SOCK_DGRAM), text)
        return TCP_PORT.sub(lambda _: free(socket.SOCK_STREAM), text)
