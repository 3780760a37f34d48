"""From bytes at the reader to what the site knows: never an exception, never a clear number at rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gated.allowlist import Cache, SiteKey
from gated.allowlist.load import build
from gated.core.model import CredentialKind
from gated.core.reasons import Reason
from gated.credentials import Resolver
from gated.journal import Journal
from gated.passes import Store, Verifier
from gated.passes.claims import PassClass
from gated.passes.keys import install_public
from gated.ports import Presentation, Technology

from .conftest import KEY, issued

CARD = bytes.fromhex("012e4cd8a3f10b77")


@dataclass
class Gate:
    path: Path
    key: SiteKey
    cache: Cache
    store: Store
    resolver: Resolver

    def show(self, payload: bytes, technology: Technology = Technology.QR) -> object:
        return self.resolver.resolve(Presentation(technology, payload, 0.0))


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    (tmp_path / "in.csv").write_text(f"technology,identifier,zones\nfelica,{CARD.hex()},main\n")
    state = tmp_path / "state"
    key = SiteKey.load_or_create(state / "site.key")
    build(tmp_path / "in.csv", state / "allowlist.db", key)
    install_public(state / "pass-keys", KEY.public_key())
    with closing(Cache(state / "allowlist.db", key)) as cache, closing(Store(state / "passes.db")) as store:
        verifier = Verifier(state / "pass-keys")
        yield Gate(state, key, cache, store, Resolver(cache, key, verifier, store))


def test_cards(gate: Gate) -> None:
    known = gate.resolver.resolve(Presentation(Technology.FELICA, CARD, 0.0))
    assert known.credential is not None
    assert known.identifier == gate.key.identify("felica", CARD)
    assert (known.credential.kind, known.credential.single_use) == (CredentialKind.CARD, False)
    other = gate.resolver.resolve(Presentation(Technology.ISO14443B, CARD, 0.0))
    assert (other.credential, other.refusal, len(other.identifier)) == (None, None, 16)
    empty = gate.resolver.resolve(Presentation(Technology.FELICA, b"", 0.0))
    assert (empty.identifier, empty.refusal) == (b"", Reason.DENIED_UNREADABLE)


@pytest.mark.parametrize(
    ("pass_class", "kind", "single"),
    [
        (PassClass.SINGLE_ENTRY, CredentialKind.VISITOR_PASS, True),
        (PassClass.RE_ENTRY, CredentialKind.VISITOR_PASS, False),
        (PassClass.STAFF_DAY, CredentialKind.STAFF_DAY_PASS, False),
    ],
)
async def test_a_pass_from_issue_to_use(
    gate: Gate, pass_class: PassClass, kind: CredentialKind, single: bool
) -> None:
    (one,) = issued(1, pass_class)
    presentation = Presentation(Technology.QR, one.code.encode(), 0.0)

    def now() -> tuple[bool, bool, bool]:
        found = gate.resolver.resolve(presentation)
        assert (found.identifier, found.refusal) == (one.claims.id, None)
        c = found.credential
        assert c is not None
        assert (c.id, c.kind, c.single_use) == (one.claims.id, kind, single)
        assert (c.rights.zones, c.rights.valid_from, c.rights.valid_until) == (
            frozenset({"main"}),
            one.claims.not_before,
            one.claims.expires,
        )
        return c.activated, c.used, c.denied

    assert now() == (False, False, False)  # signed, but this gate was never told of it
    await gate.store.register([(one.claims, "bank")])
    assert now() == (False, False, False)
    await gate.store.activate([one.claims.id])
    assert now() == (True, False, False)
    await gate.store.claim(one.claims.id, "camera-1")
    assert now() == (True, True, False)
    await gate.store.revoke([one.claims.id], "lost")
    assert now() == (True, True, True)


def test_an_unreadable_store_activates_nothing_and_makes_every_pass_win_a_claim(gate: Gate) -> None:
    (one,) = issued(1, PassClass.RE_ENTRY)
    gate.store._reader.close()
    found = gate.resolver.resolve(Presentation(Technology.QR, one.code.encode(), 0.0))
    assert found.credential is not None
    assert (found.credential.activated, found.credential.single_use) == (False, True)


def test_refused_codes_carry_their_reason(gate: Gate) -> None:
    code = issued(1)[0].code
    worn = code[:-6] + ("0" if code[-6] != "0" else "1") + code[-5:]
    for content, reason in ((b"https://example.org", Reason.DENIED_UNREADABLE), (worn.encode(), None)):
        found = gate.resolver.resolve(Presentation(Technology.QR, content, 0.0))
        assert (found.identifier, found.credential) == (b"", None)
        assert found.refusal in (
            {reason} if reason else {Reason.DENIED_BAD_SIGNATURE, Reason.DENIED_UNREADABLE}
        )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(Technology), st.binary(max_size=600))
def test_no_bytes_make_it_raise(gate: Gate, technology: Technology, payload: bytes) -> None:
    found = gate.resolver.resolve(Presentation(technology, payload, 0.0))
    assert found.credential is None or payload == CARD


async def test_no_clear_number_and_no_code_in_any_state_file(gate: Gate) -> None:
    (one,) = issued(1)
    for payload, technology in ((CARD, Technology.FELICA), (one.code.encode(), Technology.QR)):
        presentation = Presentation(technology, payload, 0.0)
        found = gate.resolver.resolve(presentation)
        with closing(Journal(gate.path / "journal")) as journal:
            journal.append(
                "decision", "granted", id=found.identifier, detail={"presented": repr(presentation)}
            )
    await gate.store.register([(one.claims, "bank")])
    await gate.store.claim(one.claims.id, "camera-1")
    gate.cache.deny(gate.key.identify("felica", CARD), "lost")
    files = [path for path in gate.path.rglob("*") if path.is_file()]
    assert {"allowlist.db", "deny.db", "passes.db", "site.key"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        for canary in (CARD, CARD.hex().encode(), CARD.hex().upper().encode(), one.code.encode()):
            assert canary not in content, path.name
