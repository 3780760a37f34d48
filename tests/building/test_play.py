"""gatesim as a technician runs it: real processes, a building, a scenario."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gated.errors import RequestRefused
from gated_simulators import client, scratch
from gated_simulators.building.wiring import sim_socket
from gated_simulators.processes import entry_point, serving_pid

DEMO = str(scratch.template())
SCENARIO = """
title = "an unpowered lane"
[[step]]
part = "1 walking"
do = "walk lane-1"
expect = [
  {{ beam = "lane-1.entry", is = "dark" }},
  {{ passed = "lane-1", way = "{way}", within_s = 3.0 }},
  {{ flap = "lane-1", is = "shut", never = true, within_s = 0.1 }},
]
"""


async def gatesim(*words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        entry_point("gatesim"), *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30.0):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def standing(site: Path) -> AsyncIterator[Path]:
    """A site whose building stands, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        entry_point("gatesim"), "run", "--plain", "--site", str(site), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(30.0):
        assert b"the building stands" in await process.stdout.readline()
    drained = asyncio.create_task(process.stdout.read())
    yield site
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(10.0):
        assert await process.wait() == 0
        await drained
    assert not sim_socket(site).exists()
    assert not any((site / "wires").iterdir())


async def test_a_scenario_that_holds_ends_with_0_and_one_that_fails_with_1(
    standing: Path, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(SCENARIO.format(way="entry"))
    bad.write_text(SCENARIO.format(way="exit"))
    status, out, err = await gatesim("play", str(good), "--site", str(standing))
    assert (status, err) == (0, "")
    assert "All 3 expectations held" in out
    status, out, _ = await gatesim("play", str(bad), "--site", str(standing))
    assert status == 1
    assert "1 of 3 expectations did not hold" in out
    assert "observed: 0 passed" in out


async def test_one_shot_commands(standing: Path) -> None:
    site = str(standing)
    assert await gatesim("hold", "lane-1", "shut", "--site", site) == (0, "", "")
    status, out, _ = await gatesim("status", "--json", "--site", site)
    assert status == 0
    assert json.loads(out)["lanes"]["lane-1"]["hold"] == "shut"
    assert (await gatesim("free", "lane-1", "--site", site))[0] == 0
    status, out, err = await gatesim("walk", "lane-9", "--site", site)
    assert (status, out) == (1, "")
    assert err == "gatesim: no lane is called 'lane-9'; there are lane-1, lane-2\n"
    assert serving_pid(sim_socket(standing)) != os.getpid()
    for code, piece in (("A" * 5000, "1 to 2000 bytes; this one has 5000"), ("", "this one has 0")):
        status, _, err = await gatesim("code", "lane-1", code, "--site", site)
        assert status == 1 and piece in err
    with pytest.raises(RequestRefused, match="card needs 'card'"):
        await client.ask(standing, "card", {"lane": "lane-1"})


async def test_a_second_building_of_a_site_leaves_the_first_its_wires(standing: Path) -> None:
    before = {wire.name: wire.readlink() for wire in (standing / "wires").iterdir()}
    status, _, err = await gatesim("run", "--plain", "--site", str(standing))
    assert status == 1
    assert "a building stands at" in err and "Traceback" not in err
    assert {wire.name: wire.readlink() for wire in (standing / "wires").iterdir()} == before


async def test_a_wire_that_cannot_be_held_is_told_in_a_sentence(site: Path) -> None:
    port = int(re.findall(r"http://127.0.0.1:(\d+)", (site / "gated.toml").read_text())[0])
    with socket.create_server(("127.0.0.1", port)):
        status, _, err = await gatesim("run", "--plain", "--site", str(site))
    assert status == 1
    assert err.startswith("gatesim: camera-1: the far end of its wire cannot be held: Address already in use")


async def test_a_building_that_was_killed_is_no_building(site: Path) -> None:
    (site / "run").mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(sim_socket(site)))
    status, _, err = await gatesim("walk", "lane-1", "--site", str(site))
    assert status == 1
    assert "no building is running at" in err and "gatesim run --site" in err


@pytest.mark.parametrize(
    ("words", "status", "piece"),
    [
        (("play", "no-such"), 1, "no such scenario of ours; there are by-hand, demo"),
        (("walk", "lane-1", "--site", "/"), 2, "holds no gated.toml"),
        (("dance",), 2, "invalid choice"),
        (("trip", "fire", "--for", "long", "--site", DEMO), 2, "'long' is not a number"),
        (("code", "lane-1", "@/no/such", "--site", DEMO), 1, "cannot be read: No such file or directory"),
    ],
)
async def test_misuse_is_told_in_a_sentence(words: tuple[str, ...], status: int, piece: str) -> None:
    found, _, err = await gatesim(*words)
    assert found == status
    assert piece in err
    assert "Traceback" not in err


async def test_a_scenario_with_errors_is_refused_whole(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text('title = "t"\n[[step]]\ndo = "crad"\n[[step]]\nexpect = [{ flap = "lane-1" }]\n')
    status, out, err = await gatesim("play", str(broken))
    assert (status, out) == (1, "")
    assert "2 error(s)" in err and "Traceback" not in err
