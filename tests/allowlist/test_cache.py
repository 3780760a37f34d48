"""The list in use: swaps, deny entries, keys, and what a damaged file does."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.allowlist import Cache, SiteKey
from gated.allowlist.load import Entry, build_entries
from gated.core.model import AccessRights
from gated.errors import StoreError

KEY = SiteKey(bytes(range(32)))


def make(path: Path, *cards: bytes, zone: str = "main", key: SiteKey = KEY) -> Path:
    rights = AccessRights(frozenset({zone}))
    build_entries([Entry("felica", card, rights) for card in cards], path / "allowlist.db", key)
    return path / "allowlist.db"


def card(number: int) -> bytes:
    return number.to_bytes(8, "big")


def known(cache: Cache, number: int) -> bool:
    return cache.lookup(KEY.identify("felica", card(number))) is not None


def test_no_list_yet_knows_nobody_and_a_first_one_can_be_swapped_in(tmp_path: Path) -> None:
    with closing(Cache(tmp_path / "allowlist.db", KEY)) as cache:
        assert cache.rows == 0
        assert not known(cache, 1)
        make(tmp_path, card(1))
        assert not known(cache, 1)
        assert cache.swap() == 1
        assert known(cache, 1)


def test_the_old_list_serves_until_the_swap(tmp_path: Path) -> None:
    with closing(Cache(make(tmp_path, card(1)))) as cache:
        make(tmp_path, card(2), card(3))
        assert (known(cache, 1), known(cache, 2), cache.rows) == (True, False, 1)
        assert cache.swap() == 2
        assert (known(cache, 1), known(cache, 2)) == (False, True)


def test_a_damaged_new_list_leaves_the_old_one_in_force(tmp_path: Path) -> None:
    path = make(tmp_path, card(1))
    with closing(Cache(path, KEY)) as cache:
        draft = tmp_path / "junk"
        for content in (b"", b"junk" * 1000, path.read_bytes()[:5000]):
            draft.write_bytes(content)
            draft.replace(path)
            with pytest.raises(StoreError, match="gatectl allowlist load"):
                cache.swap()
            assert known(cache, 1)
    with pytest.raises(StoreError):
        Cache(path, KEY)


def test_a_gate_starts_with_a_damaged_list_and_says_so(tmp_path: Path) -> None:
    path = make(tmp_path, card(1))
    path.write_bytes(b"junk" * 1000)
    with closing(Cache(path, KEY, or_empty=True)) as cache:
        assert (known(cache, 1), cache.rows) == (False, 0)
        assert cache.fault is not None
        assert "gatectl allowlist load" in cache.fault
        make(tmp_path, card(1))
        assert cache.swap() == 1
        assert known(cache, 1)
        assert cache.fault is None


def test_a_list_of_another_key_is_refused(tmp_path: Path) -> None:
    other = SiteKey(bytes(32))
    path = make(tmp_path, card(1), key=other)
    with pytest.raises(StoreError, match="another site key"):
        Cache(path, KEY)


def test_lookups_go_on_while_lists_are_swapped(tmp_path: Path) -> None:
    path = make(tmp_path, *(card(n) for n in range(200)))
    stop = threading.Event()
    with closing(Cache(path, KEY)) as cache:

        def swap() -> None:
            while not stop.is_set():
                cache.swap()

        swapping = threading.Thread(target=swap)
        swapping.start()
        try:
            assert all(known(cache, n % 200) for n in range(5000))
        finally:
            stop.set()
            swapping.join()
        assert cache.fault is None


def test_a_deny_entry_beats_the_list_at_once_and_outlives_it(tmp_path: Path) -> None:
    path = make(tmp_path, card(1))
    identifier, stranger = KEY.identify("felica", card(1)), KEY.identify("felica", card(9))
    with closing(Cache(path, KEY)) as cache:
        cache.deny(identifier, "lost")
        cache.deny(stranger, "stolen")
        found, unlisted = cache.lookup(identifier), cache.lookup(stranger)
        assert found is not None
        assert found.denied
        assert found.rights.zones == {"main"}
        assert unlisted is not None
        assert unlisted.denied
        make(tmp_path, card(1), card(2))
        cache.swap()
        found = cache.lookup(identifier)
        assert found is not None
        assert found.denied
    with closing(Cache(path, KEY)) as cache:
        found = cache.lookup(identifier)
        assert found is not None
        assert found.denied
        assert cache.allow_again(identifier)
        assert not cache.allow_again(identifier)
        found = cache.lookup(identifier)
        assert found is not None
        assert not found.denied
    with closing(Cache(path, KEY)) as cache:
        found = cache.lookup(identifier)
        assert found is not None
        assert not found.denied


def test_a_deny_entry_that_cannot_be_kept_is_in_force_and_told(tmp_path: Path) -> None:
    path = make(tmp_path, card(1))
    identifier = KEY.identify("felica", card(1))
    with closing(Cache(path, KEY)) as cache:
        (tmp_path / "deny.db").mkdir()
        with pytest.raises(StoreError):
            cache.deny(identifier, "lost")
        found = cache.lookup(identifier)
        assert found is not None
        assert found.denied


def test_the_deny_store_is_durable_by_its_pragmas(tmp_path: Path) -> None:
    with closing(Cache(tmp_path / "allowlist.db")) as cache:
        cache.deny(bytes(16), "lost")
    with closing(sqlite3.connect(tmp_path / "deny.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_list_file_is_dense_and_ordered(tmp_path: Path) -> None:
    numbers = random.Random(1).sample(range(10**9), 2000)
    path = make(tmp_path, *map(card, numbers))
    assert path.stat().st_size < 2000 * 60
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_key_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "site.key"
    key = SiteKey.load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    again = SiteKey.load_or_create(path)
    assert again.id == key.id
    assert again.identify("felica", b"x") == key.identify("felica", b"x")
    assert path.read_bytes().hex() not in repr(key)
    path.chmod(0o640)
    with pytest.raises(StoreError, match="chmod 0600"):
        SiteKey.load_or_create(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(StoreError, match="32 bytes, not 5"):
        SiteKey.load_or_create(path)


def test_many_first_uses_at_once_agree_on_one_key(tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(SiteKey.load_or_create(tmp_path / "site.key").id))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_belongs_to_the_owner_of_the_directory(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 1234)
    SiteKey.load_or_create(tmp_path / "site.key")
    with closing(Cache(make(tmp_path, card(1)))) as cache:
        cache.deny(bytes(16), "lost")
    assert {path.stat().st_uid for path in tmp_path.iterdir()} == {1234}


@given(st.binary(min_size=1, max_size=32), st.binary(min_size=1, max_size=32))
def test_identifiers_differ_by_card_technology_and_key(one: bytes, two: bytes) -> None:
    other = SiteKey(bytes(32))
    assert (KEY.identify("felica", one) == KEY.identify("felica", two)) == (one == two)
    assert KEY.identify("felica", one) != KEY.identify("iso14443a", one)
    assert KEY.identify("felica", one) != other.identify("felica", one)
    assert len(KEY.identify("felica", one)) == 16
