"""gatectl allowlist and gatectl pass, against the stores behind a real control socket."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import cv2
import pytest
import zxingcpp

from gated import jsonlines
from gated.allowlist import Cache, SiteKey
from gated.credentials import Resolver
from gated.ctl import allowlist, passes
from gated.errors import GatedError, InputError, RequestRefused
from gated.passes import Desk, Store, Verifier
from gated.ports import Presentation, Technology

CARD = "012e4cd8a3f10b77"
TOML = """
[site]
name = "test"
timezone = "Asia/Tokyo"
state_dir = "state"
control_socket = "gated.sock"

[passes]
activation = "{activation}"

[areas.joined]
zones = ["main", "new"]

[areas.east]

[schedules.office]
weekly = ["mon-fri 07:00-21:00"]

[devices.board-1]
driver = "relay_serial"
port = "board-1"
protocol = "lcus"
channels = 4

[lanes.lane-1]
outer = "outside"
inner = "joined"

[lanes.lane-1.relays]
release_entry = {{ device = "board-1", channel = 1, energised = "released" }}
release_exit = {{ device = "board-1", channel = 2, energised = "released" }}
"""


@dataclass
class Daemon:
    """The stores behind a control socket, as gated serves them."""

    cache: Cache
    store: Store
    resolver: Resolver
    asked: list[dict[str, Any]]

    def show(self, code: str) -> Any:
        return self.resolver.resolve(Presentation(Technology.QR, code.encode(), 0.0))

    async def answer(self, request: dict[str, Any], peer: jsonlines.Peer) -> Any:
        self.asked.append(request)
        desk = Desk(self.store)
        match request["do"]:
            case "allowlist.swap":
                return {"rows": await asyncio.to_thread(self.cache.swap)}
            case "deny":
                self.cache.deny(bytes.fromhex(request["id"]), request["why"])
                return {}
            case "allow_again":
                return {"removed": self.cache.allow_again(bytes.fromhex(request["id"]))}
            case "pass.register":
                return await desk.register(request["passes"])
            case "pass.activate":
                return await desk.activate(request["id"])
            case "pass.revoke":
                return await desk.revoke(request["id"], request["why"])
            case "pass.show":
                return await desk.show(request["id"])
        raise RequestRefused(f"no verb {request['do']}")


@asynccontextmanager
async def serving(site: Path) -> AsyncIterator[Daemon]:
    state = site / "state"
    key = SiteKey.load_or_create(state / "site.key")
    with closing(Cache(state / "allowlist.db", key)) as cache, closing(Store(state / "passes.db")) as store:
        resolver = Resolver(cache, key, Verifier(state / "pass-keys"), store)
        daemon = Daemon(cache, store, resolver, [])
        async with jsonlines.serve(site / "gated.sock", daemon.answer):
            yield daemon


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "gated.toml").write_text(TOML.format(activation="required"))
    return tmp_path


@pytest.fixture(autouse=True)
def _fresh_stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "stdin", io.StringIO(CARD + "\n"))
    yield


def gatectl(site: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    allowlist.add(subparsers)
    passes.add(subparsers)
    args = parser.parse_args(words)
    args.config, args.json, args.by = site / "gated.toml", True, "sato"
    return int(args.run(args))


async def ask(site: Path, *words: str) -> None:
    assert await asyncio.to_thread(gatectl, site, *words) == 0


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


async def test_load_is_in_force_at_once(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "list.csv").write_text(f"technology,identifier,zones,schedule\nfelica,{CARD},main east,office\n")
    async with serving(site) as daemon:
        await ask(site, "allowlist", "load", str(site / "list.csv"))
        assert daemon.cache.rows == 1
        assert daemon.asked == [{"do": "allowlist.swap", "by": "sato"}]
    result = told(capsys)
    assert (result["rows"], result["denied"], result["in_force"]) == (1, 0, True)


def test_load_without_gated_and_a_bad_list(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "list.csv").write_text(f"technology,identifier,zones\nfelica,{CARD},main\n")
    (site / "bad.csv").write_text(f"technology,identifier,zones\nfelica,{CARD},west\n")
    assert gatectl(site, "allowlist", "load", str(site / "list.csv")) == 0
    assert told(capsys)["in_force"] is False
    with pytest.raises(InputError, match="line 2: column zones: no zone is called 'west'") as caught:
        gatectl(site, "allowlist", "load", str(site / "bad.csv"))
    assert CARD not in str(caught.value)
    with closing(Cache(site / "state" / "allowlist.db")) as cache:
        assert cache.rows == 1


async def test_deny_and_allow_again_at_the_running_gate(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(site) as daemon:
        await ask(site, "allowlist", "deny", "--card", CARD.upper(), "--why", "lost")
        result = told(capsys)
        found = daemon.cache.lookup(bytes.fromhex(result["id"]))
        assert found is not None
        assert found.denied
        await ask(site, "allowlist", "allow-again", "--why", "found")  # the card number from stdin
        assert daemon.cache.lookup(bytes.fromhex(result["id"])) is None
        assert CARD not in json.dumps(daemon.asked)


def test_deny_without_gated_counts_when_it_starts(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gatectl(site, "allowlist", "deny", "--card", "-", "--why", "lost")
    result = told(capsys)
    assert result["in_force"] is False
    with closing(Cache(site / "state" / "allowlist.db")) as cache:
        found = cache.lookup(bytes.fromhex(result["id"]))
        assert found is not None
        assert found.denied
    gatectl(site, "allowlist", "allow-again", "--card", CARD, "--why", "found")
    with pytest.raises(GatedError, match="no deny entry"):
        gatectl(site, "allowlist", "allow-again", "--card", CARD, "--why", "found")
    with pytest.raises(InputError, match="is not hexadecimal") as caught:
        gatectl(site, "allowlist", "deny", "--card", CARD[:-1] + "x", "--why", "lost")
    assert CARD[:-1] not in str(caught.value)


async def test_issue_activate_show_revoke(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(site) as daemon:
        await ask(
            site,
            "pass",
            "issue",
            "--count",
            "3",
            "--zone",
            "main new",
            "--purpose",
            "bank",
            "--out",
            str(site / "out"),
        )
        result = told(capsys)
        assert [(c["i"], c["n"]) for c in result["codes"]] == [(1, 3), (2, 3), (3, 3)]
        assert (result["zones"], result["activated"], result["registered"]) == (["main", "new"], False, True)
        for code in result["codes"]:
            assert Path(code["png"]).read_bytes().startswith(b"\x89PNG")
            assert "<svg" in Path(code["svg"]).read_text()
            seen = zxingcpp.read_barcodes(cv2.imread(code["png"], cv2.IMREAD_GRAYSCALE))
            assert [barcode.bytes for barcode in seen] == [code["code"].encode()]
            found = daemon.show(code["code"])
            assert found.identifier.hex() == code["pass"]
            assert not found.credential.activated
        await ask(site, "pass", "activate", result["group"])
        assert all(daemon.show(code["code"]).credential.activated for code in result["codes"])
        await ask(site, "pass", "revoke", result["codes"][1]["pass"], "--why", "lost")
        capsys.readouterr()
        await ask(site, "pass", "show", result["group"][:8])
        shown = told(capsys)
        assert [p["state"] for p in shown["passes"]] == ["activated", "revoked", "activated"]
        assert result["codes"][0]["code"] not in json.dumps(daemon.asked)


async def test_a_staff_day_pass_for_another_day(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tomorrow = datetime.now(ZoneInfo("Asia/Tokyo")).date() + timedelta(days=1)
    words = f"pass issue --zone east --purpose forgot --kind staff --activate --date {tomorrow}".split()
    async with serving(site) as daemon:
        await ask(site, *words)
        result = told(capsys)
        credential = daemon.show(result["codes"][0]["code"]).credential
    assert (credential.activated, credential.single_use) == (True, False)
    assert credential.rights.valid_from.astimezone(ZoneInfo("Asia/Tokyo")).date() == tomorrow
    assert result["valid_from"] == f"{tomorrow}T00:00:00+09:00"


def test_nothing_is_issued_that_the_gate_does_not_know(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pass", "issue", "--zone", "main", "--purpose", "bank"]
    with pytest.raises(GatedError, match="no pass was issued"):
        gatectl(site, *words)
    assert capsys.readouterr().out == ""
    (site / "gated.toml").write_text(TOML.format(activation="off"))
    assert gatectl(site, *words) == 0
    result = told(capsys)
    assert result["registered"] is False
    assert len(result["codes"]) == 1


def test_what_issue_refuses(site: Path) -> None:
    with pytest.raises(InputError) as caught:
        gatectl(site, "pass", "issue", "--zone", "mian", "--purpose", " ")
    assert len(caught.value.problems) == 2
    with pytest.raises(InputError, match="that day is over"):
        gatectl(site, *["pass", "issue", "--zone", "main", "--purpose", "bank", "--date", "2020-01-01"])
    with pytest.raises(InputError, match="1 to 250"):
        gatectl(site, *["pass", "issue", "--zone", "main", "--purpose", "bank", "--count", "251"])
    with pytest.raises(SystemExit):
        gatectl(site, *["pass", "issue", "--zone", "main", "--purpose", "bank", "--date", "tomorrow"])


def test_keygen_makes_one_key(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gatectl(site, "pass", "keygen")
    first = told(capsys)["kid"]
    gatectl(site, "pass", "keygen")
    assert told(capsys)["kid"] == first
    assert (site / "state" / "reception.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (site / "state" / "pass-keys").iterdir()] == [f"{first}.pub"]


async def test_the_terminal_shows_codes_and_short_ids(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    passes.add(parser.add_subparsers())
    args = parser.parse_args(["pass", "issue", "--count", "2", "--zone", "main", "--purpose", "bank"])
    args.config, args.json, args.by = site / "gated.toml", False, "sato"
    async with serving(site):
        assert await asyncio.to_thread(args.run, args) == 0
    text = capsys.readouterr().out
    assert "1 of 2   pass " in text
    assert "2 of 2   pass " in text
    assert "inactive; next: gatectl pass activate " in text
    assert "▀" in text or "▄" in text
