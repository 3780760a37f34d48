"""Measure the stores, each beside a rival in the same run.

Every function returns plain figures (p50, p99, p999, max, n and the unit in the name of the table) for the
project's bench; none asserts a time.
"""

# Over 300 lines: one measurement after another, each with its rival.

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gated.allowlist import Cache, SiteKey
from gated.allowlist.load import Entry, build, build_entries
from gated.core.model import AccessRights, Credential
from gated.credentials import Resolver
from gated.journal import Journal
from gated.passes import Store, Verifier
from gated.passes.issue import Issued, issue
from gated.passes.keys import install_public
from gated.passes.picture import modules
from gated.ports import Presentation, Technology
from gated_simulators.bench.figures import Figures, spread

A = TypeVar("A")
KEY_BYTES = bytes(range(32))
KEY = SiteKey(KEY_BYTES)
PACE_S = 0.0002
MAIN = AccessRights(frozenset({"main"}))


def timed(call: Callable[[A], Any], items: Iterable[A]) -> list[float]:
    """How long the call took with each item, seconds."""
    took = []
    for item in items:
        started = time.perf_counter()
        call(item)
        took.append(time.perf_counter() - started)
    return took


@contextmanager
def _place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gated-bench-") as name:
        yield Path(name)


def idm(number: int) -> bytes:
    """Spread like real numbers, known by their ordinal: a bijection on 64 bits."""
    return (number * 0x9E3779B97F4A7C15 % (1 << 64)).to_bytes(8, "big")


def make_list(path: Path, rows: int) -> None:
    """An allowlist of the cards idm(0) to idm(rows - 1), good in the area `main`."""
    build_entries((Entry("felica", idm(number), MAIN) for number in range(rows)), path, KEY)


def measure_lookup(rows: int = 1_000_000, lookups: int = 50_000) -> Figures:
    """Card number -> keyed identifier -> Credential, microseconds; half of the cards are unknown.

    Rivals: a dict that holds the same Credentials' terms, and SQLite as one would first write it (a new
    cursor and text for each question, no mmap, page cache of 2 MB).
    """
    with _place() as place:
        path = place / "allowlist.db"
        make_list(path, rows)
        source = random.Random(7)
        cards = [idm(source.randrange(2 * rows)) for _ in range(lookups)]
        with closing(Cache(path, KEY)) as cache:
            ours = timed(lambda card: cache.lookup(KEY.identify("felica", card)), cards)
        with closing(sqlite3.connect(path)) as plain:

            def unprepared(card: bytes) -> Credential | None:
                identifier = KEY.identify("felica", card)
                row = plain.execute(
                    f"SELECT p.zones, e.denied FROM entry e JOIN profile p ON p.id = e.profile "
                    f"WHERE e.id = x'{identifier.hex()}'"
                ).fetchone()
                if row is None:
                    return None
                return Credential(
                    identifier, rights=AccessRights(frozenset(row[0].split())), denied=bool(row[1])
                )

            rival_sqlite = timed(unprepared, cards)
        table = {KEY.identify("felica", idm(number)): 0 for number in range(rows)}

        def from_dict(card: bytes) -> Credential | None:
            identifier = KEY.identify("felica", card)
            return Credential(identifier, rights=MAIN) if identifier in table else None

        rival_dict = timed(from_dict, cards)
        return {
            "lookup_us": spread(ours, 1e6),
            "rival": {"dict_us": spread(rival_dict, 1e6), "sqlite_unprepared_us": spread(rival_sqlite, 1e6)},
            "rows": rows,
        }


_BUILDER = """
import sys
from pathlib import Path
from gated_simulators.bench.stores import make_list
while True:
    make_list(Path(sys.argv[1]), int(sys.argv[2]))
    print("built", flush=True)
"""


def measure_swap(rows: int = 1_000_000, swaps: int = 20) -> Figures:
    """Swap a full list in a worker thread while the gate looks cards up and another process builds a list.

    `visible_ms`: from the call to the first lookup that the new list answers. `lookup_us`: the lookups
    meanwhile. Rival: the same files swapped on the thread that looks up, as a simple daemon would.
    """
    with _place() as place:
        path, lists = place / "allowlist.db", (place / "a.db", place / "b.db")
        make_list(lists[0], rows)
        make_list(lists[1], rows - 1)  # so that one card tells which list answers
        last = KEY.identify("felica", idm(rows - 1))
        source = random.Random(7)
        some = [KEY.identify("felica", idm(source.randrange(2 * rows))) for _ in range(1000)]
        path.hardlink_to(lists[0])
        visible: list[float] = []
        during: list[float] = []
        inline: list[float] = []

        def put(turn: int) -> None:
            draft = place / "draft"
            draft.hardlink_to(lists[turn % 2])
            draft.replace(path)

        with closing(Cache(path, KEY)) as cache:
            builder = subprocess.Popen(
                [sys.executable, "-c", _BUILDER, str(place / "built.db"), str(rows)], stdout=subprocess.PIPE
            )
            try:
                for turn in range(1, swaps + 1):
                    put(turn)
                    worker = threading.Thread(target=cache.swap)
                    expected = turn % 2 == 0
                    asked = time.perf_counter()
                    worker.start()
                    seen = False
                    while worker.is_alive() or not seen:
                        time.sleep(PACE_S)  # a gate looks up now and then; it does not spin
                        for identifier in some[turn::100]:
                            started = time.perf_counter()
                            cache.lookup(identifier)
                            during.append(time.perf_counter() - started)
                        if not seen and (cache.lookup(last) is not None) == expected:
                            seen = True
                            visible.append(time.perf_counter() - asked)
                    worker.join()
                for turn in range(swaps + 1, 2 * swaps + 1):
                    put(turn)
                    inline += timed(lambda _: cache.swap(), [turn])
            finally:
                builder.kill()
                builder.communicate()
        return {
            "visible_ms": spread(visible, 1e3),
            "lookup_us": spread(during, 1e6),
            "rival": {"swap_on_the_loop_ms": spread(inline, 1e3)},
            "rows": rows,
        }


def measure_load(rows: int = 1_000_000) -> Figures:
    """`gatectl allowlist load` of a CSV file: seconds and peak memory, in a process of its own."""
    with _place() as place:
        source = place / "list.csv"
        with source.open("w") as file:
            file.write("technology,identifier,zones,schedule,valid_until\n")
            for number in range(rows):
                file.write(f"felica,{idm(number).hex()},main new,office,2027-03-31\n")
        code = (
            "import sys; from pathlib import Path; from gated_simulators.bench import stores as b;"
            "b._load_once(Path(sys.argv[1]))"
        )
        answer = subprocess.run([sys.executable, "-c", code, str(source)], check=True, capture_output=True)
        return {**json.loads(answer.stdout), "rows": rows, "csv_mib": round(source.stat().st_size / 2**20, 1)}


def _peak_mib() -> int:
    """The most this process had resident (VmHWM: unlike ru_maxrss, not inherited)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def _load_once(source: Path) -> None:
    before = _peak_mib()
    started = time.perf_counter()
    build(source, source.with_name("allowlist.db"), KEY, zones={"main", "new"}, schedules={"office"})
    seconds = time.perf_counter() - started
    print(json.dumps({"load_s": round(seconds, 2), "peak_mib": _peak_mib(), "before_mib": before}))


def measure_journal(records: int = 20_000) -> Figures:
    """One record to the page cache, microseconds, while groups are flushed beside it.

    Rival: the same record written and flushed before going on.
    """

    async def run(place: Path) -> tuple[list[float], list[float]]:
        with closing(Journal(place / "journal")) as journal:
            flusher = asyncio.create_task(journal.flush_forever())
            appends, durable = [], []
            for number in range(records):
                started = time.perf_counter()
                seq = journal.append(
                    "decision",
                    "granted",
                    lane="lane-1",
                    access_point="reader-1",
                    direction="entry",
                    id=bytes(16),
                )
                appends.append(time.perf_counter() - started)
                if number % 50 == 0:
                    started = time.perf_counter()
                    await journal.durable(seq)
                    durable.append(time.perf_counter() - started)
            flusher.cancel()
            await asyncio.gather(flusher, return_exceptions=True)
        return appends, durable

    with _place() as place:
        appends, durable = asyncio.run(run(place))
        descriptor = os.open(place / "rival", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        line = bytes(200)

        def flushed(_: int) -> None:
            os.write(descriptor, line)
            os.fdatasync(descriptor)

        rival = timed(flushed, range(1000))
        os.close(descriptor)
        return {
            "append_us": spread(appends, 1e6),
            "durable_us": spread(durable, 1e6),
            "rival": {"write_and_flush_us": spread(rival, 1e6)},
        }


def measure_passes(passes: int = 2_000) -> Figures:
    """Verify a code and look its state up (microseconds), claim it durably (milliseconds), its modules.

    Rival of the claim: the same insert with a commit on the event loop's own thread.
    """
    key = Ed25519PrivateKey.generate()
    day: date = datetime.now(UTC).date()
    codes: list[Issued] = []
    while len(codes) < passes:
        codes += issue(key, count=200, zones=["main"], day=day, timezone=UTC)

    async def run(place: Path) -> tuple[list[float], list[float]]:
        install_public(place / "pass-keys", key.public_key())
        with (
            closing(Cache(place / "allowlist.db", KEY)) as cache,
            closing(Store(place / "passes.db")) as store,
        ):
            resolver = Resolver(cache, KEY, Verifier(place / "pass-keys"), store)
            await store.register([(one.claims, "bank") for one in codes])
            shown = [Presentation(Technology.QR, one.code.encode(), 0.0) for one in codes]
            resolves = timed(resolver.resolve, shown)
            claims = []
            for one in codes:
                started = time.perf_counter()
                await store.claim(one.claims.id, "camera-1")
                claims.append(time.perf_counter() - started)
            return resolves, claims

    with _place() as place:
        resolves, claims = asyncio.run(run(place))
        with closing(sqlite3.connect(place / "rival.db", isolation_level=None)) as rival:
            rival.executescript(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                "CREATE TABLE used (id BLOB PRIMARY KEY) WITHOUT ROWID"
            )
            inline = timed(lambda one: rival.execute("INSERT INTO used VALUES (?)", (one.claims.id,)), codes)
    return {
        "resolve_pass_us": spread(resolves, 1e6),
        "claim_ms": spread(claims, 1e3),
        "rival": {"claim_on_the_loop_ms": spread(inline, 1e3)},
        "modules": modules(codes[0].code),
    }
