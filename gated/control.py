"""What gatectl may ask on the control socket; each command is recorded with the caller the kernel names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from gated.core.effects import RecordKind
from gated.core.events import AssistCommanded, LaneModeCommanded
from gated.core.model import Direction, LaneMode
from gated.errors import GatedError, RequestRefused
from gated.jsonlines import Peer
from gated.reload import Reloader
from gated.report import Report
from gated.rollcall.sheet import describe
from gated.runtime import Runtime
from gated.settings_file import near

Request = dict[str, Any]
Note = dict[str, str]

AUTO = "auto"
"""The mode that returns a lane to its plan and schedule."""

SERVES: dict[LaneMode | None, frozenset[Direction]] = {
    LaneMode.ENTRY: frozenset({Direction.ENTRY}),
    LaneMode.EXIT: frozenset({Direction.EXIT}),
    LaneMode.BOTH: frozenset(Direction),
    LaneMode.FREE_EXIT: frozenset(Direction),
}
"""The directions that a mode lets people through."""

WORDS = 500  # characters of a name or a reason


class Control:
    """Answers requests."""

    def __init__(self, runtime: Runtime, report: Report, reloader: Reloader) -> None:
        self._runtime = runtime
        self._report = report
        self._reloader = reloader
        self._verbs: dict[str, Callable[[Request, Note], Awaitable[Any]]] = {
            "status": self._status,
            "metrics": self._metrics,
            "rollcall": self._roll_call,
            "rollcall.look": self._look,
            "rollcall.close": self._close,
            "reload": self._reload,
            "mode": self._mode,
            "assist": self._assist,
            "allowlist.swap": self._swap,
            "deny": self._deny,
            "allow_again": self._allow_again,
            "pass.register": self._register,
            "pass.activate": self._activate,
            "pass.revoke": self._revoke,
            "pass.show": self._show,
        }

    async def answer(self, request: Request, peer: Peer) -> Any:
        """Answer one request of a peer. Raises RequestRefused with a sentence."""
        verb = self._verbs.get(request["do"])
        if verb is None:
            raise RequestRefused(f"gated does not know {request['do']!r}; {near(request['do'], self._verbs)}")
        note = {"uid": str(peer.uid), "pid": str(peer.pid)}
        for key in ("by", "why"):
            if request.get(key):
                note[key] = _text(request, key)
        return await verb(request, note)

    # ---- questions

    async def _status(self, request: Request, note: Note) -> Any:
        return self._report.status()

    async def _metrics(self, request: Request, note: Note) -> Any:
        return self._report.metrics()

    async def _roll_call(self, request: Request, note: Note) -> Any:
        area = request.get("area")
        areas = self._runtime.config.plan.areas
        if area is not None:
            _known("area", area, areas)
        entries = self._runtime.site.roll_call(area)
        self._tell("roll_call", note, area=area or "")
        return {
            "estimate": True,
            "inside": [
                {
                    "id": e.identifier.hex(),
                    "area": e.area,
                    "since": e.since.isoformat(timespec="seconds"),
                    "certain": e.certain,
                }
                for e in entries
            ],
        }

    async def _look(self, request: Request, note: Note) -> Any:
        """Record that somebody looks at a roll call, which they read from its file."""
        sheet = self._runtime.state.roll_calls.find(_text(request, "id"))
        how = _text(request, "how")
        _known("way to look", how, ("shown", "printed"))
        _text(request, "by")
        self._tell("roll_call_seen", note, roll_call=sheet.id, how=how)
        return describe(sheet)

    # ---- commands

    async def _close(self, request: Request, note: Note) -> Any:
        name, by, why = _text(request, "id"), _text(request, "by"), _text(request, "why")
        calls, now = self._runtime.state.roll_calls, self._runtime.clock.now()
        sheet = await calls.close(name, by, why, now.utc)
        self._tell("roll_call_closed", note, roll_call=sheet.id)
        return describe(sheet)

    async def _reload(self, request: Request, note: Note) -> Any:
        return {"changes": await self._reloader.reload(note)}

    async def _mode(self, request: Request, note: Note) -> Any:
        lane, by, why = self._lane(request), _text(request, "by"), _text(request, "why")
        word = _text(request, "mode")
        _known("mode", word, [AUTO, *LaneMode])
        mode = None if word == AUTO else LaneMode(word)
        for way in sorted(SERVES.get(mode, frozenset()) - self._runtime.wiring.lanes[lane].release.keys()):
            raise RequestRefused(f"{lane} has no relay release_{way}, so it cannot be {word}")
        self._runtime.handle(LaneModeCommanded(lane, mode, by, why), note=note)
        return {"lane": lane, "mode": str(self._runtime.site.lanes[lane].mode)}

    async def _assist(self, request: Request, note: Note) -> Any:
        lane, by, why = self._lane(request), _text(request, "by"), _text(request, "why")
        word = _text(request, "direction")
        _known("direction", word, list(Direction))
        if Direction(word) not in self._runtime.wiring.lanes[lane].release:
            raise RequestRefused(f"{lane} has no relay release_{word}")
        self._runtime.handle(AssistCommanded(lane, Direction(word), by, why), note=note)
        view = self._runtime.site.lanes[lane]
        return {"lane": lane, "state": str(view.state), "reason": view.reason}

    async def _swap(self, request: Request, note: Note) -> Any:
        try:
            rows = await asyncio.to_thread(self._runtime.state.cache.swap)
        except GatedError as error:
            self._tell("allowlist_refused", note, error=str(error))
            raise
        self._tell("allowlist_swapped", note, rows=str(rows))
        return {"rows": rows}

    async def _deny(self, request: Request, note: Note) -> Any:
        identifier, why = _hex(request, "id"), _text(request, "why")
        _text(request, "by")
        await asyncio.to_thread(self._runtime.state.cache.deny, identifier, why)
        self._tell("denied", note, id=identifier.hex())
        return {"denied": identifier.hex()}

    async def _allow_again(self, request: Request, note: Note) -> Any:
        identifier = _hex(request, "id")
        _text(request, "by"), _text(request, "why")
        if not await asyncio.to_thread(self._runtime.state.cache.allow_again, identifier):
            raise RequestRefused("that card has no deny entry made by hand")
        self._tell("allowed_again", note, id=identifier.hex())
        return {"allowed_again": identifier.hex()}

    async def _register(self, request: Request, note: Note) -> Any:
        result = await self._runtime.state.desk.register(request.get("passes") or [])
        self._tell("pass_registered", note, count=str(result["passes"]))
        return result

    async def _activate(self, request: Request, note: Note) -> Any:
        what = _text(request, "id")
        result = await self._runtime.state.desk.activate(what)
        self._tell("pass_activated", note, id=what)
        return result

    async def _revoke(self, request: Request, note: Note) -> Any:
        what, why = _text(request, "id"), _text(request, "why")
        result = await self._runtime.state.desk.revoke(what, why)
        self._tell("pass_revoked", note, id=what)
        return result

    async def _show(self, request: Request, note: Note) -> Any:
        return await self._runtime.state.desk.show(_text(request, "id"))

    # ---- helpers

    def _tell(self, code: str, note: Note, **detail: str) -> None:
        self._runtime.recorder.note(RecordKind.COMMAND, code, **detail, **note)

    def _lane(self, request: Request) -> str:
        lane = _text(request, "lane")
        _known("lane", lane, self._runtime.config.plan.lanes)
        return lane


def _text(request: Request, key: str) -> str:
    """A word or sentence that must be given. Raises RequestRefused."""
    value = request.get(key)
    if not isinstance(value, str) or not value.strip() or len(value) > WORDS:
        raise RequestRefused(f"{key!r} is required: one to {WORDS} characters of text")
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())


def _hex(request: Request, key: str) -> bytes:
    try:
        return bytes.fromhex(_text(request, key))
    except ValueError as error:
        raise RequestRefused(f"{key!r} must be a keyed identifier in hexadecimal") from error


def _known(what: str, word: Any, known: Collection[str]) -> None:
    if not isinstance(word, str) or word not in known:
        raise RequestRefused(f"there is no {what} {word!r}; {near(str(word), known)}")
