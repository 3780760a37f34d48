"""A code scanner in the building in place of a camera: the same act, another device."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gated import config
from gated.errors import RequestRefused
from gated_simulators import client
from gated_simulators.building import acts, commands, people, wiring
from gated_simulators.building.building import Building, open_building

SCANNER = 'driver = "reader_qr_serial"\nport = "wires/scanner-1"\nframing = "stx_cr"\nbcc = "content"\n'


@pytest.fixture
async def scanning(site: Path) -> AsyncIterator[Building]:
    """The building of the demo, with a scanner for the camera of lane 1."""
    text = (site / "gated.toml").read_text()
    before, found, rest = text.partition("[devices.camera-1]\n")
    assert found
    _, blank, rest = rest.partition("\n\n")
    (site / "gated.toml").write_text(before + found + SCANNER + blank + rest)
    opening = open_building(wiring.read(site))
    async with (
        opening as opened,
        acts.serve(opened, people.load(site / "people.toml"), wiring.sim_socket(site)),
    ):
        yield opened


async def test_a_code_is_held_under_the_scanner_of_a_lane(scanning: Building, site: Path) -> None:
    device = config.load(site / "gated.toml").devices["camera-1"]
    async with asyncio.timeout(10.0), device.driver.open(device.settings) as reader:
        await client.act(site, commands.parse("code lane-1 A-VISITOR"))
        presented = await anext(aiter(reader.presentations()))
    assert presented.payload == b"A-VISITOR"
    assert scanning.rig("camera-1").held.readings


async def test_what_only_a_camera_sees_is_refused(scanning: Building, site: Path) -> None:
    del scanning
    with pytest.raises(RequestRefused, match="camera-1 is a scanner: only a camera sees blur"):
        await client.act(site, commands.parse("code lane-1 A-VISITOR --blur 2"))
