"""What may be asked of the release over its socket: watch, status, reset."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from gated import jsonlines
from gated.errors import RequestRefused
from gated.release.engine import Release
from gated.release.picture import picture
from gated.release.words import Refused, ResetRequested

HEARTBEAT_S = 1.0
WATCHERS = 32
RETRY_S = 5.0
DURABLE_S = 5.0  # how long the answer to a reset waits for its record to be on disk


class Desk:
    """Answers requests; reads the release, and changes it by nothing but a reset."""

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
        match request:
            case {"do": "status"}:
                return picture(self._release).to_json()
            case {"do": "watch"}:
                if self._watchers >= WATCHERS:
                    raise RequestRefused(f"{WATCHERS} are watching already")
                return self._watch()
            case {"do": "reset", "by": str(by), "why": str(why)}:
                return await self._reset(by.strip(), why.strip(), peer)
            case {"do": "reset"}:
                raise RequestRefused("a reset says who resets (by) and the reason (why)")
            case _:
                raise RequestRefused(
                    f"{request['do']!r} is not something to ask; there are: watch, status, reset"
                )

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

    async def _reset(self, by: str, why: str, peer: jsonlines.Peer) -> dict[str, Any]:
        effects = self._release.feed(ResetRequested(by, why, f"uid {peer.uid}, pid {peer.pid}"))
        recorded = await self._release.disk.durable(DURABLE_S)
        refused = [reason for effect in effects if isinstance(effect, Refused) for reason in effect.reasons]
        if refused:
            raise RequestRefused("reset refused: " + "; ".join(refused))
        return {"recorded": recorded, "state": picture(self._release).to_json()}
