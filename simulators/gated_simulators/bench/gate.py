"""From a card's answer to its relay command at the far end of the daemon's wires; the same for passes.

The daemon runs three times at once, all but one idle: plainly; on a disk whose flush takes 10 ms; and with
two cameras that look at a hall. Trials take turns in blocks of 50, so that whatever else the machine does
falls on all alike, and beside them on a script as people write it, on both disks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gated.errors import GatedError
from gated.passes.issue import Issued, issue, registration
from gated.passes.keys import install_public, kid_for
from gated_simulators.bench.figures import Figures, spread
from gated_simulators.bench.site import PULSE_S, Helper, Shared, Site, helper
from gated_simulators.bench.slow_flush import FLUSH_S, build_shim, slowed

BLOCK = 50
WARM_UP = 20
MISSED = 0.01  # share of trials without an answer that is a failed measurement
RIVAL = "a script: nfcpy, SQLite, event committed, pyserial"
PASS_RIVAL = "a script: zxing-cpp, cwt, claim committed, pyserial"
CAMERA_FPS = 30


@dataclass
class Subject:
    """Who is measured, through which far end, and what came of it."""

    far: Helper
    before: Callable[[], Awaitable[Any]] | None = None
    after: Callable[[], Awaitable[Any]] | None = None
    seconds: list[float] = field(default_factory=list)
    missed: int = 0

    async def block(self, cards: list[str], keep: bool = True) -> None:
        """Some trials; `keep` False warms up."""
        if self.before:
            await self.before()
        answer = await self.far.ask({"cards": cards})
        if self.after:
            await self.after()
        if keep:
            self.seconds += answer["seconds"]
            self.missed += answer["missed"]

    def figures(self, name: str) -> Figures:
        """Milliseconds. Raises GatedError when too many trials had no answer."""
        asked = len(self.seconds) + self.missed
        if not asked or self.missed > MISSED * asked:
            raise GatedError(f"{name}: {self.missed} of {asked} cards had no answer")
        return spread(self.seconds, 1e3) | {"missed": self.missed}


async def measure_cards(shared: Shared, trials: int, rival_trials: int) -> dict[str, Figures]:
    """card_to_relay_ms, card_to_relay_slow_flush_ms and card_to_relay_cameras_ms."""
    async with AsyncExitStack() as running:
        shim = build_shim(shared.place)
        sites: dict[str, Site] = {}
        subjects: dict[str, Subject] = {}
        for name in ("plain", "slow_flush", "cameras"):
            site = sites[name] = Site(shared, name, cameras=2 * (name == "cameras"))
            far = await running.enter_async_context(site.far_end())
            subject = subjects[name] = Subject(far)
            if site.cameras:
                await running.enter_async_context(_hall(site, subject))
            command = slowed(site.command, shim) if name == "slow_flush" else site.command
            await running.enter_async_context(site.gated(command))
            await site.devices_work()
        for name in ("rival", "rival_slow_flush"):
            if name == "rival_slow_flush" and shim is None:
                continue  # its flushes are SQLite's
            site = Site(shared, name)
            far = await running.enter_async_context(site.far_end())
            around = slowed([], shim) if name == "rival_slow_flush" else []
            await running.enter_async_context(helper("script", _settings(shared, site), around))
            subjects[name] = Subject(far)
        await _take_turns(shared, subjects, trials, rival_trials)
        found = {name: subject.figures(name) for name, subject in subjects.items()}
        for name, site in sites.items():
            found[name]["as_gated_tells"] = (await site.ask("metrics"))["latency_ms"]["card"]
    return _figures(found, covered=shim is not None)


async def _take_turns(shared: Shared, subjects: dict[str, Subject], trials: int, rival_trials: int) -> None:
    for turn, subject in enumerate(subjects.values()):
        await subject.block(shared.cards(WARM_UP, seed=turn), keep=False)
    rounds = max(1, trials // BLOCK)
    for turn in range(rounds):
        for place, (name, subject) in enumerate(subjects.items()):
            wanted = rival_trials if name.startswith("rival") else trials
            count = wanted * (turn + 1) // rounds - wanted * turn // rounds
            await subject.block(shared.cards(count, seed=100 + turn * len(subjects) + place))


@asynccontextmanager
async def _hall(site: Site, subject: Subject) -> AsyncIterator[None]:
    """Two cameras in front of a hall; their frames flow only while it is this subject's turn."""
    async with helper("farend", {"cameras": site.cameras, "fps": site.fps}, ["nice"]) as cameras:
        await cameras.line()

        async def flow() -> None:
            await cameras.ask({"idle": True})
            await asyncio.sleep(0.5)  # the decoding is under way

        subject.before = flow
        subject.after = lambda: cameras.ask({"idle": False})
        yield


def _settings(shared: Shared, site: Site) -> dict[str, Any]:
    return {
        "readers": site.readers,
        "board": str(site.board),
        "list": str(shared.list_file),
        "events": str(site.path / "events.db"),
        "pulse_s": PULSE_S,
    }


def _figures(found: dict[str, Figures], covered: bool) -> dict[str, Figures]:
    plain = found["plain"] | {"rival": {"name": RIVAL, **found["rival"]}}
    slow = found["slow_flush"] | {"flush_ms": FLUSH_S * 1e3, "sqlite_flushes_slowed": covered}
    if "rival_slow_flush" in found:
        slow["rival"] = {"name": RIVAL, **found["rival_slow_flush"]}
    cameras = found["cameras"]
    for other in (slow, cameras):
        other["over_plain"] = {key: round(other[key] / plain[key], 3) for key in ("p50", "p99")}
    return {
        "card_to_relay_ms": plain,
        "card_to_relay_slow_flush_ms": slow,
        "card_to_relay_cameras_ms": cameras,
    }


async def measure_passes(shared: Shared, passes: int) -> dict[str, Figures]:
    """pass_to_relay_ms: as the daemon tells it, from the decoded frame to the relay command handed over.

    That includes the signature, the state of the pass and its durable claim. At most 1000 passes.
    """
    key = Ed25519PrivateKey.generate()
    site = Site(shared, "passes", readers=0, cameras=1, fps=CAMERA_FPS)
    install_public(site.path / "state" / "pass-keys", key.public_key())
    async with site.far_end(with_cameras=True, realtime=False) as far:
        async with site.gated():
            await site.devices_work()
            codes = await _issued(site, key, passes)
            answer = await far.ask({"codes": codes})
            ours = (await site.ask("metrics"))["latency_ms"]["pass"]
        if answer["missed"] > MISSED * passes or ours["n"] < passes - answer["missed"]:
            raise GatedError(f"passes: {answer['missed']} of {passes} codes had no answer")
        settings = _settings(shared, site) | {"readers": [], "camera": site.cameras[0]}
        async with helper("script", settings | _public(key)) as script:
            await far.ask({"codes": [one.code for one in _issue(key, 1)]})
            await far.ask({"codes": [one.code for one in _issue(key, passes)]})
            rival = spread((await script.finish())[1:])
    seen = spread(answer["seconds"], 1e3)
    return {"pass_to_relay_ms": ours | {"shown_to_relay": seen, "rival": {"name": PASS_RIVAL, **rival}}}


def _issue(key: Ed25519PrivateKey, count: int) -> list[Issued]:
    issued: list[Issued] = []
    while len(issued) < count:
        size = min(100, count - len(issued))
        issued += issue(key, count=size, zones=["main"], day=datetime.now(UTC).date(), timezone=UTC)
    return issued


async def _issued(site: Site, key: Ed25519PrivateKey, count: int) -> list[str]:
    """Codes that reception issued, registered and activated."""
    issued = _issue(key, count)
    for group in dict.fromkeys(one.claims.group for one in issued):
        ours = [one for one in issued if one.claims.group == group]
        await site.ask("pass.register", by="bench", passes=[registration(one, "bench") for one in ours])
        await site.ask("pass.activate", by="bench", id=group.hex())
    return [one.code for one in issued]


def _public(key: Ed25519PrivateKey) -> dict[str, str]:
    public = key.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"key": pem.decode(), "kid": kid_for(public).hex()}
