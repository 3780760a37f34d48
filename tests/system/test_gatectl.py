"""gatectl against a running gated, as an operator types it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from gated.errors import RequestRefused
from tests.system.site import BIN, GOOD_CARD, WITHIN_S, Site


class Ran(NamedTuple):
    code: int
    out: str
    err: str


async def gatectl(site: Site, *words: str) -> Ran:
    process = await asyncio.create_subprocess_exec(
        BIN / "gatectl",
        "--config",
        site.config,
        "--by",
        "guard.sato",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(WITHIN_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


async def test_status_for_people_and_programs(site: Site) -> None:
    await site.serving()
    ran = await gatectl(site, "status")
    assert ran.code == 3  # no emergency release answers
    lines = ran.out.splitlines()
    assert lines[0].startswith("test: gated 0.1.0, up ")
    assert any(line.split()[:3] == ["lane", "secured", "both"] for line in lines)
    assert any(line.split()[:3] == ["board", "relay_serial", "ok"] for line in lines)
    assert any(line.startswith("emergency release: link down, unknown - ") for line in lines)
    assert any(line.startswith("allowlist: 2 rows, loaded 2") for line in lines)
    ran = await gatectl(site, "status", "--json")
    assert json.loads(ran.out)["lanes"]["lane"]["state"] == "secured"


async def test_a_release_that_does_not_answer_stands_above_everything(site: Site) -> None:
    nowhere = site.config.with_name("nowhere.sock")
    site.config.with_name("release.toml").write_text(f'[release]\nsocket = "{nowhere}"\n')
    await site.serving()
    ran = await gatectl(site, "status")
    assert ran.code == 3
    assert (
        ran.out.splitlines()[0]
        == f"EMERGENCY RELEASE: {nowhere}: nobody answers there; is the service running?"
    )


async def test_assist_and_mode_are_done_and_recorded_with_who_and_why(site: Site) -> None:
    await site.serving()
    ran = await gatectl(site, "assist", "lane", "exit", "--why", "wheelchair")
    assert (ran.code, ran.out.strip()) == (0, "lane: released")
    told = (await site.record("assist"))["detail"]
    await site.record("granted_assist")
    assert told["by"] == "guard.sato" and told["why"] == "wheelchair" and told["uid"] == str(os.getuid())
    ran = await gatectl(site, "mode", "lane", "closed", "--why", "repair")
    assert (ran.code, ran.out.strip()) == (0, "lane: mode closed")
    site.reader.present(GOOD_CARD)
    await site.record("lane_mode")
    await site.record("denied_lane_closed")
    ran = await gatectl(site, "mode", "lane", "auto", "--why", "repaired")
    assert (ran.code, ran.out.strip()) == (0, "lane: mode both")


async def test_wrong_words_are_answered_in_sentences(site: Site) -> None:
    await site.serving()
    ran = await gatectl(site, "assist", "lan", "entry", "--why", "x")
    assert (ran.code, ran.err) == (1, "gatectl: there is no lane 'lan'; did you mean lane?\n")
    assert (await gatectl(site, "assist", "lane", "entry")).code == 2
    for request, sentence in (
        ({"do": "statsu"}, "gated does not know 'statsu'; did you mean status?"),
        ({"do": "mode", "lane": "lane", "mode": "open", "by": "x", "why": "y"}, "there is no mode 'open'"),
        ({"do": "assist", "lane": "lane", "direction": "entry", "by": "x"}, "'why' is required"),
        ({"do": "deny", "id": "xyz", "by": "x", "why": "y"}, "must be a keyed identifier"),
        ({"do": "rollcall", "area": "attic"}, "there is no area 'attic'; did you mean"),
        ({"do": "pass.register", "passes": "all", "by": "x"}, "register takes a list"),
        ({"do": "assist", "lane": ["lane"], "by": "x", "why": "y"}, "'lane' is required"),
    ):
        with pytest.raises(RequestRefused, match=sentence.split(";")[0]):
            await site.ask(**request)


async def test_reload_and_check_tell_the_errors(site: Site) -> None:
    await site.serving()
    assert (await gatectl(site, "reload")).out == "nothing changed\n"
    site.edit(lambda text: text.replace("passage_s", "pasage_s"))
    ran = await gatectl(site, "reload")
    assert ran.code == 1
    assert "lanes.lane.times.pasage_s: there is no such setting; did you mean passage_s?" in ran.err
    assert ran.err.splitlines()[-1] == "the old configuration stays in force"
    ran = await gatectl(site, "check")
    assert ran.code == 1 and "pasage_s" in ran.err and "Traceback" not in ran.err


async def test_events_and_rollcall(site: Site) -> None:
    await site.serving()
    site.reader.present(GOOD_CARD)
    await site.coils(c1=True)
    await site.walk_in()
    await site.record("completed")
    ran = await gatectl(site, "events", "--kind", "decision", "--json")
    (decision,) = [json.loads(line) for line in ran.out.splitlines()]
    assert decision["code"] == "granted"
    ran = await gatectl(site, "events", "--since", str(decision["seq"]), "--kind", "passage")
    assert ran.code == 0 and "completed" in ran.out and GOOD_CARD.hex() not in ran.out
    ran = await gatectl(site, "rollcall", "now", "main")
    assert "1 may be inside" in ran.out
    await site.stop()
    assert "stopped" in (await gatectl(site, "events")).out  # the journal is read without gated
    ran = await gatectl(site, "status")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"gatectl: {site.path}/gated.sock: nobody answers there; is the service running?\n"


async def test_a_denied_card_is_refused_at_once(site: Site) -> None:
    await site.serving()
    ran = await gatectl(site, "allowlist", "deny", "--card", GOOD_CARD.hex(), "--why", "lost")
    assert ran.code == 0, ran.err
    site.reader.present(GOOD_CARD)
    await site.record("denied", by="guard.sato")
    await site.record("denied_revoked")
    ran = await gatectl(site, "allowlist", "allow-again", "--card", GOOD_CARD.hex(), "--why", "found")
    assert ran.code == 0, ran.err
    await site.record("allowed_again")


async def test_a_new_list_is_in_force_at_once(site: Site) -> None:
    await site.serving()
    (site.path / "list.csv").write_text("technology,identifier,zones\nfelica,012E4CAAAAAAAAAA,*\n")
    ran = await gatectl(site, "allowlist", "load", str(site.path / "list.csv"))
    assert ran.code == 0, ran.err
    assert (await site.record("allowlist_swapped"))["detail"]["rows"] == "1"
    site.reader.present(GOOD_CARD)
    await site.record("denied_unknown_credential")


async def test_follow_shows_what_comes(site: Site) -> None:
    await site.serving()
    process = await asyncio.create_subprocess_exec(
        BIN / "gatectl",
        "--config",
        site.config,
        "events",
        "--follow",
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        assert b"started" in await process.stdout.readline()
        site.reader.present(GOOD_CARD)
        async for line in process.stdout:
            if b"granted" in line:
                break
    process.terminate()
    await process.wait()


async def test_what_is_asked_in_the_wrong_shape_is_refused(site: Site) -> None:
    await site.serving()
    for area in (["main"], {"main": 1}, 3):
        with pytest.raises(RequestRefused, match="there is no area"):
            await site.ask("rollcall", area=area)


async def test_no_word_of_a_command_reaches_a_terminal_as_a_control(site: Site) -> None:
    await site.serving()
    await site.ask("mode", lane="lane", mode="closed", by="guard\x1b[2J", why="a\nb\ud800")
    record = await site.record("lane_mode")
    assert (record["detail"]["by"], record["detail"]["why"]) == ("guard [2J", "a b?")


async def test_an_output_that_takes_nothing_is_a_sentence(site: Site) -> None:
    await site.serving()
    with Path("/dev/full").open("wb") as full:
        process = await asyncio.create_subprocess_exec(
            BIN / "gatectl", "--config", site.config, "status", stdout=full, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(WITHIN_S):
            _, err = await process.communicate()
    assert process.returncode == 1
    assert err.decode().splitlines() == ["gatectl: [Errno 28] No space left on device"]
