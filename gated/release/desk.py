"""What may be asked of the release over its socket: its state, and what persons may have it do.

Whether a person may is for the machine to say; here a request only becomes the event that it is. Words
that make no sense are refused here, with everything that is wrong with them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from gated import jsonlines
from gated.errors import RequestRefused
from gated.release.engine import Release
from gated.release.picture import picture
from gated.release.words import (
    DrillRequested,
    Event,
    InspectEnded,
    InspectRequested,
    OpenRequested,
    Refused,
    ResetRequested,
)

HEARTBEAT_S = 1.0
WATCHERS = 32
RETRY_S = 5.0
DURABLE_S = 5.0  # how long the answer to a person waits for its record to be on disk


class Asked:
    """The words of one request, taken one by one; what is wrong with them is gathered in `problems`."""

    def __init__(self, request: Mapping[str, Any], peer: jsonlines.Peer) -> None:
        self._request = request
        self.via = f"uid {peer.uid}, pid {peer.pid}"
        self.problems: list[str] = []

    def text(self, key: str, meaning: str) -> str:
        """A word or sentence that must be there, stripped of blanks; whether it may be empty others say."""
        value = self._request.get(key)
        if not isinstance(value, str):
            self.problems.append(f"it says {meaning} ({key})")
            return ""
        return value.strip()

    def lanes(self) -> frozenset[str]:
        """The lanes that are named; none named: none."""
        value = self._request.get("lanes") or []
        if not isinstance(value, list) or not all(isinstance(lane, str) for lane in value):
            self.problems.append("lanes is a list of names")
            return frozenset()
        return frozenset(value)

    def seconds(self) -> float:
        """`hours`, in seconds. That the machine can judge it, it is a number that has a size."""
        value = self._request.get("hours")
        try:
            hours = math.nan if isinstance(value, bool | str) else float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):  # a whole number may have a thousand digits
            hours = math.nan
        if not math.isfinite(hours):
            self.problems.append("it says for how long (hours, a number)")
            return 0.0
        return hours * 3600.0


class Verb(NamedTuple):
    """Something a person may have the release do: its name in a refusal, and the event that it is."""

    name: str
    event: Callable[[Asked], Event]


def _by(asked: Asked) -> str:
    return asked.text("by", "who asks")


def _why(asked: Asked) -> str:
    return asked.text("why", "the reason")


VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "open": Verb("open", lambda a: OpenRequested(_by(a), _why(a), a.lanes(), a.via)),
        "drill": Verb("drill", lambda a: DrillRequested(_by(a), _why(a), a.lanes(), a.via)),
        "inspect": Verb(
            "inspection",
            lambda a: InspectRequested(a.text("input", "which input"), _by(a), _why(a), a.seconds(), a.via),
        ),
        "inspect_end": Verb(
            "end of the inspection", lambda a: InspectEnded(a.text("input", "which input"), _by(a), a.via)
        ),
        "reset": Verb("reset", lambda a: ResetRequested(_by(a), _why(a), a.via)),
    }
)


class Desk:
    """Answers requests; reads the release, and changes it by nothing but what persons ask (`VERBS`)."""

    def __init__(self, release: Release) -> None:
        self._release = release
        self._watchers = 0

    async def serve(self) -> None:
        """Serve until cancelled; a socket that cannot be opened is a fault that is shown and tried again."""
        path = self._release.config.socket
        while True:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                async with jsonlines.serve(path, self.answer):
                    self._release.show("socket", None)
                    await asyncio.get_running_loop().create_future()
            except Exception as error:  # nothing that happens to a conversation may end the release
                self._release.show("socket", f"nobody can ask for the state: {error}")
            await asyncio.sleep(RETRY_S)

    async def answer(self, request: dict[str, Any], peer: jsonlines.Peer) -> Any:
        """Answer one request. Raises RequestRefused."""
        asked = request["do"]
        if asked == "status":
            return picture(self._release).to_json()
        if asked == "watch":
            if self._watchers >= WATCHERS:
                raise RequestRefused(f"{WATCHERS} are watching already")
            return self._watch()
        verb = VERBS.get(asked)
        if verb is None:
            known = ", ".join(["status", "watch", *VERBS])
            raise RequestRefused(f"{asked!r} is not something to ask; there are: {known}")
        return await self._do(verb, Asked(request, peer))

    async def _watch(self) -> AsyncIterator[dict[str, Any]]:
        """The state now, at each change, and once a second; a slow reader misses some, and delays nobody."""
        self._watchers += 1
        try:
            while True:
                changed = self._release.changed
                yield picture(self._release).to_json()
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await changed.wait()
                except TimeoutError:
                    pass
        finally:
            self._watchers -= 1

    async def _do(self, verb: Verb, asked: Asked) -> dict[str, Any]:
        event = verb.event(asked)
        if asked.problems:
            raise RequestRefused(f"{verb.name} refused: " + "; ".join(asked.problems))
        changed = self._release.changed
        effects = self._release.feed(event)
        recorded = await self._recorded(changed)
        refused = [reason for effect in effects if isinstance(effect, Refused) for reason in effect.reasons]
        if refused:
            raise RequestRefused(f"{verb.name} refused: " + "; ".join(refused))
        return {"recorded": recorded, "state": picture(self._release).to_json()}

    async def _recorded(self, changed: asyncio.Event) -> bool:
        """Whether the record of what was just fed is on disk; it is kept back until the outputs went."""
        try:
            async with asyncio.timeout(DURABLE_S):
                await changed.wait()
        except TimeoutError:
            return False
        return await self._release.stores.disk.durable(DURABLE_S)
