"""Between the runtime and the roll calls: what the core asks for becomes files and journal records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from gated.core.effects import EmergencyEnded, FreezeRollCall, RecordKind
from gated.core.events import Resumed
from gated.recorder import Recorder
from gated.rollcall.keeper import Place, RollCalls


class Clerk:
    """Does its work in tasks, one roll call after the other; nobody at a gate waits for any of it."""

    def __init__(self, calls: RollCalls, recorder: Recorder, seq: Callable[[], int]) -> None:
        """`seq` tells the number of the journal's last record."""
        self._calls = calls
        self._recorder = recorder
        self._seq = seq
        self._tasks: set[asyncio.Task[None]] = set()

    def resumed(self, last_alive: datetime | None) -> Resumed:
        """What the core has to know of the process before this one."""
        lasting = self._calls.lasting
        if lasting is None:
            return Resumed(last_alive)
        frozen = datetime.fromisoformat(max(lasting.frozen_at, lasting.alarm_at))
        return Resumed(last_alive, frozen, lasting.drill)

    def freeze(self, effect: FreezeRollCall, place: Place) -> None:
        """Make the roll call; its records follow when it is on the disk."""
        self._spawn(self._freeze(effect, place, self._seq()))

    def emergency_ended(self, effect: EmergencyEnded) -> None:
        """Note in the roll call that the gates were let go."""
        self._spawn(self._calls.emergency_over(effect.at))

    def removed(self, name: str) -> None:
        """A roll call reached the end of its retention."""
        self._recorder.note(RecordKind.AUDIT, "roll_call_removed", roll_call=name)

    async def finish(self) -> None:
        """Until everything that was asked for is done."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _freeze(self, effect: FreezeRollCall, place: Place, seq: int) -> None:
        sheet, took_s = await self._calls.freeze(effect, place, seq)
        self._recorder.note(
            RecordKind.ALARM,
            "roll_call_made",
            roll_call=sheet.id,
            drill="yes" if sheet.drill else "",
            inside=str(len(sheet.people)),
            in_doubt=str(sheet.in_doubt),
            kept_s="unknown" if sheet.late_s is None else f"{sheet.late_s + took_s:.3f}",
        )
        if self._calls.fault:
            self._recorder.note(RecordKind.FAULT, "roll_call_not_kept", error=self._calls.fault)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # a bug of ours: the gates go on, and it is recorded
            self._recorder.note(
                RecordKind.FAULT, "internal_error", event="roll call", error=type(error).__name__
            )
