"""`gatectl reset` and `gatectl release status` against a running service."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

import pytest

from gated.ctl import release
from gated.errors import GatedError, RequestRefused
from tests.release.harness import FIRE, HELD, OPEN, site


def run(path: Path, *words: str, by: str = "sato", as_json: bool = False) -> int:
    parser = argparse.ArgumentParser()
    release.add(parser.add_subparsers())
    given = argparse.Namespace(release_config=path / "release.toml", by=by, json=as_json)
    args = parser.parse_args(words, given)
    return int(args.run(args))


async def test_status_then_reset_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with site(tmp_path) as here:
        await here.armed()
        here.pulse(FIRE, 0.1)
        await here.coils(OPEN)
        await here.state(lambda s: s.phase == "alarm" and s.inputs["panel"].state == "clear")
        assert await asyncio.to_thread(run, tmp_path, "release", "status") == 0
        said = capsys.readouterr().out
        assert "ALARM  armed" in said
        assert "lane-1      commanded open, observed unknown  (fire)" in said
        with pytest.raises(RequestRefused, match="mallory"):
            await asyncio.to_thread(run, tmp_path, "reset", "--why", "x", "--by", "mallory")
        assert await asyncio.to_thread(run, tmp_path, "reset", "--why", "false alarm") == 0
        assert capsys.readouterr().out.startswith("reset by sato; lane-1, lane-2 will be shut")
        await here.coils(HELD)
        await here.state(lambda s: s.phase == "normal")
        await asyncio.to_thread(run, tmp_path, "release", "status", as_json=True)
        assert json.loads(capsys.readouterr().out)["phase"] == "normal"


async def test_nobody_there_is_one_sentence(tmp_path: Path) -> None:
    async with site(tmp_path):
        with pytest.raises(GatedError, match="nobody answers there; is the service running"):
            await asyncio.to_thread(run, tmp_path, "release", "status")
