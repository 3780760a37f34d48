"""Runs as root inside a booted Debian 12: installs gated as a site would and proves its units.

Standard library only. Prints one line a check; exits 1 when one failed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

SOURCE = Path("/src")
SITE = Path("/etc/gated")
BIN = "/opt/gated/bin"
UNITS = Path("/etc/systemd/system")
failures = 0


def run(*command: str, check: bool = True) -> str:
    """The output of a command; its whole output is shown when it fails."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and ran.returncode != 0:
        print(f"FAIL  {' '.join(command)} (exit {ran.returncode})\n{ran.stdout}{ran.stderr}", flush=True)
        print(run("journalctl", "--no-pager", "-n", "60", "-o", "short-monotonic", check=False))
        sys.exit(1)
    return ran.stdout


def until(what: str, test: Callable[[], Any], within_s: float = 15.0) -> Any:
    """Wait for an effect; a check that did not come true in time is a failure that names what was seen."""
    global failures
    started = time.monotonic()
    seen: Any = None
    while time.monotonic() - started < within_s:
        try:
            seen = test()
        except (ValueError, KeyError, IndexError) as error:
            seen = f"{type(error).__name__}: {error}"
        else:
            if seen:
                print(f"ok    {what} ({time.monotonic() - started:.1f} s)", flush=True)
                return seen
        time.sleep(0.05)
    failures += 1
    print(f"FAIL  {what}: not within {within_s} s, last seen {seen!r}", flush=True)
    print(run("journalctl", "--no-pager", "-n", "40", "-o", "short-monotonic", check=False), flush=True)
    return seen


def check(what: str, true: bool) -> None:
    """A check of what was already seen."""
    global failures
    failures += not true
    print(f"{'ok   ' if true else 'FAIL '} {what}", flush=True)


def coils(state: str, since: float) -> dict[str, float]:
    """The lanes whose emergency coil went to this state since then, and when first (CLOCK_MONOTONIC)."""
    found: dict[str, float] = {}
    for line in run("journalctl", "--no-pager", "-o", "cat", "-u", "building.service").splitlines():
        at, _, what = line.partition(" ")
        if what.startswith("coil ") and what.endswith(f".may_shut {state}") and float(at) >= since:
            found.setdefault(what.split()[1].removesuffix(".may_shut"), float(at))
    return found


def gatectl(*words: str) -> Any:
    """The JSON answer of a gatectl query, asked as the service's user."""
    command = [
        "runuser",
        "-u",
        "gated",
        "--",
        f"{BIN}/gatectl",
        "--config",
        str(SITE / "gated.toml"),
        "--json",
    ]
    return json.loads(run(*command, *words, check=False) or "{}")


def gatesim(*words: str) -> str:
    """A technician's act on the simulated building."""
    return run(f"{BIN}/gatesim", *words, "--site", str(SITE))


def building() -> Any:
    """What is seen at the far ends of the wires."""
    return json.loads(run(f"{BIN}/gatesim", "status", "--json", "--site", str(SITE), check=False) or "{}")


def show(unit: str, key: str) -> str:
    """One property of a unit."""
    return run("systemctl", "show", "-P", key, unit).strip()


def replaced(unit: str, pid: str) -> bool:
    """True when the unit runs again, as another process."""
    return show(unit, "MainPID") not in (pid, "0") and show(unit, "ActiveState") == "active"


def entries(unit: str, field: str, value: str) -> list[dict[str, Any]]:
    """The journal's entries of a unit that carry a field."""
    lines = run(
        "journalctl", "-o", "json", "--no-pager", f"_SYSTEMD_UNIT={unit}", f"{field}={value}", check=False
    )
    return [json.loads(line) for line in lines.splitlines()]


def install() -> None:
    """As docs/operator.md says: a virtual environment, users, directories, units, a site."""
    run("python3", "-m", "venv", "/opt/gated")
    run(
        f"{BIN}/pip",
        "install",
        "--quiet",
        "--require-hashes",
        "--no-deps",
        "-r",
        str(SOURCE / "requirements.lock"),
    )
    run(f"{BIN}/pip", "install", "--quiet", "--no-deps", "gated")
    for name in ("sysusers", "tmpfiles"):
        place = Path(f"/etc/{name}.d")
        place.mkdir(exist_ok=True)
        shutil.copy(SOURCE / f"systemd/gated.{name}.conf", place / "gated.conf")
    run("systemd-sysusers")
    run("systemd-tmpfiles", "--create", "gated.conf")
    for unit in ("gated", "gated-release"):
        shutil.copy(SOURCE / f"systemd/{unit}.service", UNITS)
        # The container's wires are pseudo terminals; a real site's are the classes the unit names.
        drop = UNITS / f"{unit}.service.d"
        drop.mkdir()
        (drop / "wires.conf").write_text("[Service]\nDeviceAllow=char-pts rw\n")
    run("mount", "-o", "remount,mode=666", "/dev/pts")
    make_site()
    run("systemctl", "daemon-reload")


def make_site() -> None:
    """The demo site under /etc/gated, its state and sockets where the units have them."""
    make = (
        "import datetime, pathlib, sys; from gated_simulators import scratch;"
        "scratch.make(*map(pathlib.Path, sys.argv[1:]), datetime.datetime.now(datetime.UTC))"
    )
    run(f"{BIN}/python", "-c", make, str(SOURCE / "config/demo"), str(SITE))
    places = {
        "run/gated.sock": "/run/gated/gated.sock",
        "run/release.sock": "/run/gated-release/release.sock",
        '"state/release"': '"/var/lib/gated-release"',
        '"state"': '"/var/lib/gated"',
    }
    for name in ("gated.toml", "release.toml"):
        text = (SITE / name).read_text()
        for there, here in places.items():
            text = text.replace(there, here)
        (SITE / name).write_text(text)
    run("chown", "-R", "root:gated", str(SITE))
    run("chmod", "-R", "u=rwX,g=rX,o=", str(SITE))


def outlived(signal: str, within_s: float) -> None:
    """Every lane opens when gated-release is killed or stopped, by its survivor, before it is back."""
    until("every lane is held", lambda: all(lane["may_shut"] for lane in building()["lanes"].values()))
    until("gated-release has a survivor", lambda: gatectl("release", "status")["outlived_by"])
    lanes = building()["lanes"].keys()
    pid, begun = show("gated-release", "MainPID"), time.monotonic()
    run("kill", f"-{signal}", pid)
    until(f"gated-release comes back after SIG{signal}", partial(replaced, "gated-release", pid))
    opened, back = (
        coils("at rest", begun),
        int(show("gated-release", "ExecMainStartTimestampMonotonic")) / 1e6,
    )
    took = max(opened.values(), default=begun) - begun
    check(
        f"SIG{signal} opened {', '.join(opened)} in {took:.3f} s, {within_s:g} s at most, "
        f"and before it was back ({back - begun:.3f} s)",
        opened.keys() == lanes and took <= within_s and begun + took < back,
    )


def main() -> int:
    """Install, start, disturb, stop."""
    install()
    print("ok    installed from the lock file without a network", flush=True)
    run("systemd-run", "--unit=building", f"{BIN}/gatesim", "run", "--plain", "--site", str(SITE))
    until("the far ends of the wires are held", building)

    run("systemctl", "start", "--no-block", "gated-release")
    until("gated-release is armed and says so", lambda: show("gated-release", "ActiveState") == "active")
    run("systemctl", "start", "--no-block", "gated")
    until("gated serves", lambda: show("gated", "ActiveState") == "active")
    until("gatectl sees the release link", lambda: gatectl("status")["release"]["phase"] == "normal")

    cards = SITE / "cards.csv"
    run(
        "runuser",
        "-u",
        "gated",
        "--",
        f"{BIN}/gatectl",
        "--config",
        str(SITE / "gated.toml"),
        "allowlist",
        "load",
        str(cards),
    )
    gatesim("card", "lane-1", "aoki")
    found = until(
        "a decision reaches journald with its fields",
        lambda: entries("gated.service", "GATED_REASON", "granted"),
    )
    if found and not all(found[0].get(k) for k in ("GATED_LANE", "GATED_EVENT", "MESSAGE_ID")):
        until("the entry names lane, event and message id", lambda: False, 0.1)

    pid = show("gated", "MainPID")
    run("kill", "-KILL", pid)
    until("gated comes back after SIGKILL", partial(replaced, "gated", pid))
    pid = show("gated", "MainPID")
    run("kill", "-STOP", pid)
    until("the watchdog replaces a hung gated", partial(replaced, "gated", pid), 25.0)
    outlived("KILL", 0.2)
    outlived("STOP", 2.0)

    gatesim("trip", "fire-panel", "--for", "0.1")
    until(
        "a fire pulse opens every lane",
        lambda: all(lane["flap"] == 1.0 for lane in building()["lanes"].values()),
    )
    alarm = time.monotonic()
    run("systemctl", "restart", "--no-block", "gated-release")
    until(
        "the alarm outlives a restart of gated-release",
        lambda: gatectl("status")["release"]["phase"] == "alarm",
    )

    run("systemctl", "stop", "gated-release")
    check("stopped in an alarm it ends cleanly", show("gated-release", "Result") == "success")
    check("and no coil shut a lane since the alarm", not coils("energised", alarm))

    run("systemctl", "stop", "gated")
    until(
        "SIGTERM leaves gated's relays at rest",
        lambda: not any(lane["released"] or lane["lamps"] for lane in building()["lanes"].values()),
    )
    if show("gated", "Result") != "success":
        until("gated stopped cleanly", lambda: False, 0.1)
    print(f"{'FAIL' if failures else 'ok'}    {failures} failure(s)", flush=True)
    return 1 if failures else 0


sys.exit(main())
