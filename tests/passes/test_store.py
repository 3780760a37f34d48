"""Single use, pass states and presence: durable, first write wins, nothing raises at the gate."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gated.core.events import PresenceEntry
from gated.errors import RequestRefused, StoreError
from gated.fleet import Fleet
from gated.passes import Store
from gated.passes.store import UNREGISTERED, PassStatus

from .conftest import A_PASS, a_pass

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
ID = A_PASS.id


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    with closing(Store(tmp_path / "passes.db", clock=NOW.timestamp)) as opened:
        yield opened


def entry(number: int, area: str = "joined", uses: int = 0) -> PresenceEntry:
    return PresenceEntry(number.to_bytes(16, "big"), area, NOW, "2026-11-24", uses)


async def test_it_is_a_fleet_and_keeps_what_it_commits(store: Store, tmp_path: Path) -> None:
    fleet: Fleet = store
    assert await fleet.claim(ID, "camera-1") == "won"
    assert store._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._writer.execute("PRAGMA secure_delete").fetchone() == (1,)


def test_a_store_that_would_not_keep_is_refused(tmp_path: Path) -> None:
    (tmp_path / "passes.db").write_bytes(b"junk" * 1000)
    with pytest.raises(StoreError, match="not a usable store"):
        Store(tmp_path / "passes.db")
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(Path("/proc/nothing/passes.db"))


async def test_a_pass_is_won_once(store: Store, tmp_path: Path) -> None:
    outcomes = await asyncio.gather(*(store.claim(ID, f"camera-{n}") for n in range(20)))
    assert sorted(outcomes) == ["used"] * 19 + ["won"]
    assert store.status(ID) == PassStatus(used=True)
    store.close()
    with closing(Store(tmp_path / "passes.db")) as again:
        assert again.status(ID).used
        assert await again.claim(ID, "camera-1") == "used"


async def test_states_of_a_registered_pass(store: Store) -> None:
    assert store.status(ID) == UNREGISTERED
    assert await store.register([(A_PASS, "bank")]) == 1
    assert store.status(ID) == PassStatus(registered=True)
    assert await store.register([(A_PASS, "bank")]) == 0
    assert await store.activate([ID, b"unknown."]) == 1
    assert store.status(ID) == PassStatus(registered=True, activated=True)
    assert await store.revoke([ID], "lost") == 1
    assert await store.revoke([ID], "again") == 0
    assert store.status(ID) == PassStatus(registered=True, activated=True, revoked=True)
    assert await store.activate([ID]) == 0
    (row,) = await store.find(ID.hex())
    assert (row.revoked_why, row.purpose, row.zones) == ("lost", "bank", "main")


async def test_a_revoked_pass_cannot_be_won(store: Store) -> None:
    await store.revoke([ID], "lost")
    assert await store.claim(ID, "camera-1") == "used"


async def test_a_pass_used_before_it_was_registered_stays_used(store: Store) -> None:
    assert await store.claim(ID, "camera-1") == "won"
    assert await store.register([(A_PASS, "bank")]) == 1
    assert store.status(ID) == PassStatus(registered=True, used=True)
    assert await store.claim(ID, "camera-1") == "used"


async def test_the_same_id_with_other_content_is_refused_whole(store: Store) -> None:
    await store.register([(a_pass(1), "bank")])
    with pytest.raises(RequestRefused, match="other content"):
        await store.register([(a_pass(2), "bank"), (a_pass(1, i=2), "bank")])
    assert store.status(a_pass(2).id) == UNREGISTERED
    assert await store.claim(a_pass(2).id, "camera-1") == "won"


async def test_a_locked_store_says_unknown_and_does_not_win_later(tmp_path: Path) -> None:
    path = tmp_path / "passes.db"
    with closing(Store(path, claim_timeout_s=0.1)) as store, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        first = asyncio.create_task(store.claim(ID, "camera-1"))
        await asyncio.wait({first})
        assert first.result() == "unknown"
        late = a_pass(5).id
        assert await store.claim(late, "camera-1") == "unknown"  # never had its turn
        other.execute("ROLLBACK")
        # A claim that never had its turn is not made after its caller left.
        assert await store.claim(late, "camera-1") == "won"


async def test_a_broken_store_says_unknown_shows_it_and_recovers(store: Store) -> None:
    store._writer.execute("PRAGMA query_only = ON")
    assert await store.claim(ID, "camera-1") == "unknown"
    await store.move(entry(1))
    assert store.fault is not None
    with pytest.raises(StoreError):
        await store.register([(A_PASS, "bank")])
    store._writer.execute("PRAGMA query_only = OFF")
    assert await store.claim(ID, "camera-1") == "won"
    assert store.fault is None
    assert await store.presence() == [entry(1)]  # what nobody awaited was kept and written


async def test_an_unreadable_status_is_an_error_with_a_name(store: Store) -> None:
    store._reader.close()
    with pytest.raises(StoreError):
        store.status(ID)
    assert store.fault is not None


async def test_presence_is_the_last_entry_of_each_and_survives(store: Store, tmp_path: Path) -> None:
    for uses in range(50):
        await store.move(entry(1, uses=uses))
        await store.move(entry(2, area="east", uses=uses))
    store.close()
    with closing(Store(tmp_path / "passes.db")) as again:
        found = sorted(await again.presence(), key=lambda e: e.identifier)
    assert found == [entry(1, uses=49), entry(2, area="east", uses=49)]


async def test_many_claims_share_few_commits(store: Store) -> None:
    before = store._writer.total_changes
    outcomes = await asyncio.gather(*(store.claim(n.to_bytes(8, "big"), "camera-1") for n in range(500)))
    assert outcomes == ["won"] * 500
    assert store._writer.total_changes == before + 500


async def test_old_rows_are_forgotten_and_leave_the_files(tmp_path: Path) -> None:
    canary = b"\xca\x7a\xca\x7acanary"[:8]
    old, clock = a_pass(1), NOW.timestamp()
    path = tmp_path / "passes.db"
    with closing(Store(path, clock=lambda: clock)) as store:
        await store.register([(old, "bank")])
        await store.claim(canary, "camera-1")
        await store.move(entry(1))
        assert await store.purge(NOW + timedelta(days=6)) == 0
        assert canary in path.read_bytes() + (tmp_path / "passes.db-wal").read_bytes()
        clock += 7 * 86400
        await store.claim(b"new pass", "camera-1")
        assert await store.purge(NOW + timedelta(days=7, hours=13)) == 3
        assert canary not in path.read_bytes() + (tmp_path / "passes.db-wal").read_bytes()
        assert store.status(old.id) == UNREGISTERED
        assert store.status(b"new pass").used
        assert await store.presence() == []
        with pytest.raises(ValueError, match="longer than it is valid"):
            await store.purge(NOW, timedelta(days=1))


CLAIMER = """
import asyncio, sys
from pathlib import Path
from gated.passes import Store

async def main():
    store = Store(Path(sys.argv[1]))
    number = 0
    while True:
        number += 1
        outcome = await store.claim(number.to_bytes(8, "big"), "camera-1")
        print(number, outcome, flush=True)

asyncio.run(main())
"""


async def test_sigkill_forgets_no_claim_that_was_answered(tmp_path: Path) -> None:
    path = tmp_path / "passes.db"
    with subprocess.Popen(
        [sys.executable, "-c", CLAIMER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(100)]
        process.kill()
        lines += process.stdout.read().splitlines(keepends=True)
    won = [int(line.split()[0]) for line in lines if line.endswith(" won\n")]
    assert len(won) >= 100
    with closing(Store(path)) as store:
        for number in won:
            assert await store.claim(number.to_bytes(8, "big"), "camera-1") == "used"


class Model:
    """What the states of a pass ought to be."""

    def __init__(self) -> None:
        self.registered = self.activated = self.revoked = self.used = False


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["register", "activate", "revoke", "claim", "reopen"]), st.integers(0, 2)),
        max_size=25,
    )
)
def test_any_order_of_calls_agrees_with_the_model(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    async def play() -> None:
        path = tmp_path_factory.mktemp("model") / "passes.db"
        store = Store(path)
        models = [Model() for _ in range(3)]
        try:
            for step, number in steps:
                model, p = models[number], a_pass(number)
                match step:
                    case "register":
                        assert await store.register([(p, "x")]) == (not model.registered)
                        model.registered = True
                    case "activate":
                        changes = model.registered and not model.revoked and not model.activated
                        assert await store.activate([p.id]) == changes
                        model.activated |= changes
                    case "revoke":
                        assert await store.revoke([p.id], "y") == (not model.revoked)
                        model.revoked = True
                    case "claim":
                        free = not model.used and not model.revoked
                        assert await store.claim(p.id, "c") == ("won" if free else "used")
                        model.used |= free
                    case "reopen":
                        store.close()
                        store = Store(path)
                for known, q in zip(models, (0, 1, 2), strict=True):
                    assert store.status(a_pass(q).id) == PassStatus(
                        known.registered, known.activated, known.revoked, known.used
                    )
        finally:
            store.close()

    asyncio.run(play())
