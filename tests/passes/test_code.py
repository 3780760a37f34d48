"""The code of a pass: base45, the strict envelope, the claims; against vectors, an oracle and mutations."""

# Over 300 lines: one file for one format: its vectors, its refusals and its oracle are read together.

from __future__ import annotations

import random
import warnings
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from gated.core.reasons import Reason
from gated.errors import InputError, StoreError
from gated.passes import base45, cose
from gated.passes.claims import Pass, PassClass, pack, unpack
from gated.passes.issue import issue
from gated.passes.keys import install_public, kid_for, load_or_create_private
from gated.passes.picture import modules
from gated.passes.verify import Verifier

from .conftest import A_PASS, DAY, KEY, TOKYO, issued

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the oracle imports what `cryptography` has deprecated
    import cwt
    from cwt.cose_key_interface import COSEKeyInterface

KID = kid_for(KEY.public_key())
REFUSED = {Reason.DENIED_UNREADABLE, Reason.DENIED_BAD_SIGNATURE}


def signed(payload: bytes) -> bytes:
    return base45.encode(cose.sign(payload, KID, KEY)).encode()


# ---- base45


@pytest.mark.parametrize(
    ("data", "text"),  # RFC 9285, 4.3 and 4.4
    [
        (b"AB", "BB8"),
        (b"Hello!!", "%69 VD92EX0"),
        (b"base-45", "UJCLQE7W581"),
        (b"ietf!", "QED8WEX0"),
        (b"", ""),
    ],
)
def test_base45_vectors(data: bytes, text: str) -> None:
    assert base45.encode(data) == text
    assert base45.decode(text.encode()) == data


@pytest.mark.parametrize(
    "text", [b"A", b"BB8A", b"GGW", b":::", b"ab8", b"BB8\n", b"V5", b"::", b"\xff\xff\xff"]
)
def test_base45_refuses(text: bytes) -> None:
    assert base45.decode(text) is None


@given(st.binary(max_size=300))
def test_base45_round_trip_and_there_is_one_text_for_each_content(data: bytes) -> None:
    assert base45.decode(base45.encode(data).encode()) == data
    decoded = base45.decode(data)
    assert decoded is None or base45.encode(decoded).encode() == data


# ---- the oracle


def oracle_key(private: bool) -> COSEKeyInterface:
    if private:
        pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    else:
        pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return cwt.COSEKey.from_pem(pem.decode(), kid=KID)


def today() -> date:
    return datetime.now(UTC).date()


def test_the_oracle_accepts_what_we_issue() -> None:
    (one,) = issue(KEY, count=1, zones=["main"], day=today(), timezone=ZoneInfo("UTC"))
    token = base45.decode(one.code.encode())
    assert token is not None
    claims = cwt.decode(token, oracle_key(private=False))
    assert (claims[3], claims[7]) == ("main", one.claims.id)
    assert claims[-65537] == [one.claims.group, 1, 1, 0]


def test_we_accept_what_the_oracle_issues_in_our_profile(verifier: Verifier) -> None:
    payload = pack(A_PASS)
    coder = cwt.COSE.new(alg_auto_inclusion=False, kid_auto_inclusion=False)
    token = coder.encode_and_sign(
        payload, oracle_key(private=True), protected={1: -8, 4: KID}, unprotected={}
    )
    assert token == cose.sign(payload, KID, KEY)
    assert verifier.verify(base45.encode(token).encode()) == A_PASS


@pytest.mark.parametrize(
    ("protected", "unprotected"),
    [({1: -8}, {4: KID}), ({4: KID}, {1: -8}), ({1: -8, 4: KID}, {3: "x"}), ({1: -8, 4: KID, 3: "x"}, {})],
)
def test_other_envelopes_of_the_oracle_are_not_ours(
    verifier: Verifier, protected: dict[int, object], unprotected: dict[int, object]
) -> None:
    coder = cwt.COSE.new(alg_auto_inclusion=False, kid_auto_inclusion=False)
    token = coder.encode_and_sign(
        pack(A_PASS), oracle_key(private=True), protected=protected, unprotected=unprotected
    )
    assert verifier.verify(base45.encode(token).encode()) is Reason.DENIED_UNREADABLE


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_we_accept_the_oracle_accepts_and_no_mutation_passes_either(data: st.DataObject) -> None:
    token = bytearray(cose.sign(pack(A_PASS), KID, KEY))
    for _ in range(data.draw(st.integers(0, 2))):
        place = data.draw(st.integers(0, len(token) - 1))
        token[place] = data.draw(st.integers(0, 255))
    ours = cose.verify(bytes(token), {KID: KEY.public_key()})
    try:
        cwt.COSE.new().decode(bytes(token), oracle_key(private=False))
        theirs = True
    except Exception:
        theirs = False
    assert isinstance(ours, bytes) <= theirs
    if bytes(token) == cose.sign(pack(A_PASS), KID, KEY):
        assert ours == pack(A_PASS)
        assert theirs
    else:
        assert ours in REFUSED


# ---- mutations


def test_mutated_codes_are_refused_each_with_a_reason(verifier: Verifier) -> None:
    """30,000 mutations, as text and as bytes: none is accepted, none raises."""
    source = random.Random(45)
    code = signed(pack(A_PASS))
    token = base45.decode(code)
    assert token is not None
    seen = set()
    for round_ in range(30_000):
        mutated = bytearray(code if round_ % 2 else token)
        for _ in range(source.randint(1, 3)):
            place = source.randrange(len(mutated))
            match source.randrange(5):
                case 0:
                    mutated[place] ^= 1 << source.randrange(8)
                case 1:
                    mutated[place] = source.choice(base45._ALPHABET if round_ % 2 else bytes(range(256)))
                case 2:
                    del mutated[place]
                case 3:
                    mutated.insert(place, source.randrange(256))
                case 4:
                    del mutated[place:]
            if not mutated:
                break
        text = bytes(mutated) if round_ % 2 else base45.encode(bytes(mutated)).encode()
        if text == code:
            continue
        found = verifier.verify(text)
        assert found in REFUSED
        seen.add(found)
    assert seen == REFUSED


@given(st.binary(max_size=600))
def test_any_bytes_are_unreadable(verifier: Verifier, content: bytes) -> None:
    assert verifier.verify(content) is Reason.DENIED_UNREADABLE
    assert verifier.verify(base45.encode(content).encode()) is Reason.DENIED_UNREADABLE


def test_a_signature_of_the_wrong_kind() -> None:
    payload = pack(A_PASS)
    token = cose.sign(payload, KID, KEY)
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(token[-32:], "little") + order  # the same point, S not reduced
    malleable = token[:-32] + scalar.to_bytes(32, "little")
    other = Ed25519PrivateKey.generate()
    keys = {KID: KEY.public_key()}
    assert cose.verify(token, keys) == payload
    assert cose.verify(malleable, keys) is Reason.DENIED_BAD_SIGNATURE
    assert cose.verify(cose.sign(payload, KID, other), keys) is Reason.DENIED_BAD_SIGNATURE
    assert cose.verify(cose.sign(payload, b"none", KEY), keys) is Reason.DENIED_BAD_SIGNATURE


# ---- claims: signed, and still not of the profile


def test_claims_round_trip_in_every_class() -> None:
    for pass_class in PassClass:
        p = replace(A_PASS, pass_class=pass_class, zones=frozenset({"new", "main", "本館"}), i=250, n=250)
        assert unpack(pack(p)) == p


CLAIMS = {3: "main", 4: 1_795_446_000, 5: 1_795_359_600, 7: bytes(8), -65537: [bytes(6), 1, 3, 0]}


@pytest.mark.parametrize(
    "change",
    [
        {3: ""},
        {3: "new main"},
        {3: "main main"},
        {3: " main"},
        {3: "ma\nin"},
        {3: ["main"]},
        {4: 1_795_446_000.0},
        {4: 1_795_359_600},
        {4: 1_795_359_600 + 37 * 3600},
        {5: 0},
        {5: True},
        {7: bytes(7)},
        {7: "12345678"},
        {-65537: [bytes(6), 0, 3, 0]},
        {-65537: [bytes(6), 4, 3, 0]},
        {-65537: [bytes(6), 1, 251, 0]},
        {-65537: [bytes(6), 1, 3, 3]},
        {-65537: [bytes(6), 1, 3, False]},
        {-65537: [bytes(6), 1, 3]},
        {-65537: [bytes(5), 1, 3, 0]},
        {-65537: {}},
        {6: 1_795_359_600},
        {-70_000: 1},
    ],
)
def test_claims_out_of_the_profile(verifier: Verifier, change: dict[int, object]) -> None:
    payload = cbor2.dumps({**CLAIMS, **change}, canonical=True)
    assert verifier.verify(signed(payload)) is Reason.DENIED_UNREADABLE


def test_claims_in_another_encoding(verifier: Verifier) -> None:
    good = cbor2.dumps(CLAIMS, canonical=True)
    assert isinstance(verifier.verify(signed(good)), Pass)
    unordered = cbor2.dumps(dict(reversed(CLAIMS.items())))
    long_length = good.replace(b"\x64main", b"\x78\x04main")
    indefinite = b"\xbf" + good[1:] + b"\xff"
    trailing = good + b"\x00"
    twice = b"\xa6" + good[1:] + b"\x03\x64main"
    tagged = b"\xd8\x3d" + good
    big = good.replace(bytes.fromhex("041a"), bytes.fromhex("041b00000000"))
    for payload in (unordered, long_length, indefinite, trailing, twice, tagged, big):
        assert payload != good
        assert verifier.verify(signed(payload)) is Reason.DENIED_UNREADABLE


@given(st.binary(min_size=cose.MIN_PAYLOAD, max_size=cose.MAX_PAYLOAD))
def test_any_signed_payload_is_refused_without_an_exception(verifier: Verifier, payload: bytes) -> None:
    assert verifier.verify(signed(payload)) is Reason.DENIED_UNREADABLE


# ---- issue


def test_a_group_of_three(verifier: Verifier) -> None:
    group = issued(3)
    passes = [verifier.verify(one.code.encode()) for one in group]
    assert passes == [one.claims for one in group]
    assert [(one.claims.i, one.claims.n) for one in group] == [(1, 3), (2, 3), (3, 3)]
    assert len({one.claims.id for one in group}) == 3
    assert len({one.claims.group for one in group}) == 1
    assert all(one.code not in repr(one) for one in group)
    assert group[0].claims.not_before == datetime(2026, 11, 23, 15, tzinfo=UTC)
    assert group[0].claims.expires == datetime(2026, 11, 24, 15, tzinfo=UTC)


def test_the_day_of_a_dst_change_has_25_hours() -> None:
    (one,) = issue(KEY, count=1, zones=["main"], day=date(2026, 10, 25), timezone=ZoneInfo("Europe/Berlin"))
    assert one.claims.expires - one.claims.not_before == timedelta(hours=25)


def test_codes_are_at_most_45_modules() -> None:
    assert modules(issued(1, zones="main")[0].code) == 41
    assert modules(issued(250, zones="main")[249].code) <= 45
    assert modules(issued(1, zones="main new west east")[0].code) <= 45
    with pytest.raises(InputError, match="fewer zones"):
        issued(1, zones="a-rather-long-name-of-one-zone another-one-that-is-long")
    for count in (0, 251):
        with pytest.raises(InputError, match="1 to 250"):
            issue(KEY, count=count, zones=["main"], day=DAY, timezone=TOKYO)


# ---- keys


def test_a_key_installed_later_is_found_and_a_removed_one_forgotten(tmp_path: Path) -> None:
    directory = tmp_path / "pass-keys"
    verifier = Verifier(directory)
    code = issued(1)[0].code.encode()
    assert verifier.verify(code) is Reason.DENIED_BAD_SIGNATURE
    path = install_public(directory, KEY.public_key())
    assert isinstance(verifier.verify(code), Pass)
    path.unlink()
    verifier.reload()
    assert verifier.verify(code) is Reason.DENIED_BAD_SIGNATURE


def test_raw_keys_work_and_junk_is_told(tmp_path: Path) -> None:
    (tmp_path / "raw.pub").write_bytes(KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    (tmp_path / "junk.pub").write_bytes(b"junk")
    verifier = Verifier(tmp_path)
    assert verifier.kids == {KID}
    assert len(verifier.problems) == 1
    assert "junk.pub" in verifier.problems[0]


def test_the_signing_key_is_private(tmp_path: Path) -> None:
    path = tmp_path / "reception.key"
    key = load_or_create_private(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert kid_for(load_or_create_private(path).public_key()) == kid_for(key.public_key())
    path.chmod(0o644)
    with pytest.raises(StoreError, match="chmod 0600"):
        load_or_create_private(path)
    path.chmod(0o600)
    path.write_text("junk")
    with pytest.raises(StoreError, match="not an unencrypted Ed25519 key"):
        load_or_create_private(path)
