"""Another configuration while people pass."""

from __future__ import annotations

import signal

import pytest

from gated.errors import RequestRefused
from tests.system.site import GOOD_CARD, STRANGER, Site


def swapped(text: str, one: str, other: str) -> str:
    return text.replace(one, "\0").replace(other, one).replace("\0", other)


async def test_a_bad_file_changes_nothing_and_every_error_is_told(site: Site) -> None:
    await site.serving()
    site.edit(lambda text: text.replace('inner = "main"', 'inner = "man"').replace("passage_s", "pasage_s"))
    with pytest.raises(RequestRefused) as refused:
        await site.ask("reload", by="guard")
    assert "there is no area 'man'; did you mean main?" in str(refused.value)
    assert "lanes.lane.times.pasage_s: there is no such setting" in str(refused.value)
    record = await site.record("reload_refused")
    assert record["detail"]["by"] == "guard" and record["detail"]["uid"].isdigit()
    site.reader.present(GOOD_CARD)
    await site.coils(c1=True)


async def test_a_good_file_is_applied_and_unchanged_devices_go_on(site: Site) -> None:
    await site.serving()
    site.reader.present(GOOD_CARD)
    await site.coils(c1=True)
    site.edit(lambda text: text.replace("signal_s = 0.5", "signal_s = 3.0") + "[areas.west]\n")
    answer = await site.ask("reload", by="guard")
    assert answer["changes"] == ["plan and wiring replaced"]
    assert [c.energised for c in site.board.board.history if c.channel == 1] == [True]  # the grant goes on
    status = await site.ask("status")
    assert {name: device["opened"] for name, device in status["devices"].items()} == {
        "reader": 1,
        "board": 1,
        "sensors": 1,
    }
    site.reader.remove()
    await site.walk_in()
    await site.coils(c1=False)
    assert (await site.ask("status"))["occupancy"] == {"main": 1, "west": 0}


async def test_sighup_reloads(site: Site) -> None:
    await site.serving()
    assert site.daemon is not None
    site.daemon.send_signal(signal.SIGHUP)
    record = await site.record("reload_applied")
    assert record["detail"]["changes"] == "nothing changed"
    assert record["detail"]["by"] == "SIGHUP"
    assert record["detail"]["config"] == (await site.ask("status"))["config"]["digest"]


async def test_a_changed_device_is_opened_again_and_keeps_what_is_commanded(site: Site) -> None:
    await site.serving()
    site.edit(lambda text: text.replace("channels = 4", "channels = 4\nbaudrate = 19200"))
    answer = await site.ask("reload", by="guard")
    assert answer["changes"] == ["device board opened again"]
    await site.devices_ok()
    site.reader.present(GOOD_CARD)
    await site.coils(c1=True)


async def test_a_lamp_moved_to_another_coil_takes_its_light_along(site: Site) -> None:
    site.edit(lambda text: text.replace("signal_s = 0.5", "signal_s = 60.0"))
    await site.serving()
    site.reader.present(STRANGER)
    await site.coils(c4=True)
    site.edit(lambda text: swapped(text, "channel = 3,", "channel = 4,"))
    await site.ask("reload", by="guard")
    await site.coils(c3=True, c4=False)


async def test_what_needs_a_restart_is_refused(site: Site) -> None:
    await site.serving()
    site.edit(lambda text: text.replace('state_dir = "state"', 'state_dir = "elsewhere"'))
    with pytest.raises(RequestRefused, match="state_dir: cannot change while gated runs"):
        await site.ask("reload", by="guard")
    assert not (site.path / "elsewhere").exists()
