"""The unit files under the real systemd-analyze, in a root that holds nothing but them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def test_there_are_two_services() -> None:
    assert [u.name for u in UNITS] == ["gated-release.service", "gated.service"]


@needs_systemd
def test_verify_prints_nothing(tmp_path: Path) -> None:
    # verify wants to see the commands; give it copies that name a program every machine has
    copies = []
    for unit in UNITS:
        copy = tmp_path / unit.name
        copy.write_text(
            unit.read_text()
            .replace("/opt/gated/bin/gated-release", "/bin/true")
            .replace("/opt/gated/bin/gated", "/bin/true")
        )
        copies.append(str(copy))
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *copies], capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", 0)


@needs_systemd
@pytest.mark.parametrize(("unit", "worst"), [("gated-release.service", 10), ("gated.service", 20)])
def test_the_sandbox_is_as_tight_as_stated(unit: str, worst: int) -> None:
    ran = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={worst}", str(SYSTEMD / unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-300:] + ran.stderr
