"""A site's keys and passes for the tests of this room."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gated.passes.claims import Pass, PassClass
from gated.passes.issue import Issued, issue
from gated.passes.keys import install_public
from gated.passes.verify import Verifier

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TOKYO = ZoneInfo("Asia/Tokyo")
DAY = date(2026, 11, 24)
A_PASS = Pass(
    id=bytes(range(8)),
    group=bytes(range(6)),
    i=1,
    n=3,
    zones=frozenset({"main"}),
    not_before=datetime(2026, 11, 23, 15, tzinfo=UTC),
    expires=datetime(2026, 11, 24, 15, tzinfo=UTC),
    pass_class=PassClass.SINGLE_ENTRY,
)


def a_pass(number: int, group: int = 1, of: int = 250, i: int = 1) -> Pass:
    return replace(A_PASS, id=number.to_bytes(8, "big"), group=group.to_bytes(6, "big"), i=i, n=of)


def issued(
    count: int = 3, pass_class: PassClass = PassClass.SINGLE_ENTRY, zones: str = "main"
) -> list[Issued]:
    return issue(KEY, count=count, zones=zones.split(), day=DAY, timezone=TOKYO, pass_class=pass_class)


@pytest.fixture(scope="session")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    directory: Path = tmp_path_factory.mktemp("keys") / "pass-keys"
    install_public(directory, KEY.public_key())
    return Verifier(directory)
