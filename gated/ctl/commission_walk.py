"""Doing one step of a commissioning: tells the technician what to do, and watches the release meanwhile.

Every time is measured by the release itself (from its command to the confirmation) or by this program's
clock as the state arrives; where a person's hand is within the time, its name says so.
"""

# Over 300 lines: a method for each kind of step, and what they share.

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import TypeVar

from gated.ctl import console
from gated.ctl.commission_steps import FAILED, PASSED, Result, Step, wired
from gated.ctl.follow import NotSeen, until
from gated.ctl.output_test import open_lane, refuse, relock_lane
from gated.errors import GatedError
from gated.release import client
from gated.release.config import ReleaseConfig
from gated.release.state import ReleaseState

T = TypeVar("T")

CUT_S = 10.0
"""Longest wait for a cut line to be seen."""

UNREADABLE = ("cut", "short", "undefined", "unknown")


class Failed(GatedError):
    """The step did not show what it should."""


class Walk:
    """Does steps; `by` resets, `wait_s` is how long a person may take for what they are asked to do."""

    def __init__(self, config: ReleaseConfig, by: str, wait_s: float) -> None:
        self._config = config
        self._path = config.socket
        self._by = by
        self._wait_s = wait_s
        self._measured: dict[str, float] = {}
        self._seen: list[str] = []

    def do(self, step: Step) -> Result:
        """The result of a step; raises console.Left when the person left."""
        self._measured, self._seen = {}, []
        kinds: dict[str, Callable[[str], None]] = {
            "trip": self._trip,
            "pulse": self._pulse,
            "cut": self._cut,
            "wire": self._wire,
            "open": self._open,
            "cable": self._cable,
            "power": self._power,
            "kill": lambda _: self._end("kill -KILL {}"),
            "hang": lambda _: self._end("kill -STOP {}"),
            "box": self._box,
        }
        outcome = PASSED
        try:
            self._normal()
            kinds[step.kind](step.subject)
        except console.Left:
            raise
        except GatedError as error:
            outcome = FAILED
            self._note(str(error))
        except KeyboardInterrupt:
            outcome = FAILED
            self._note("given up by the technician")
        at = datetime.now(UTC).isoformat(timespec="seconds")
        return Result(outcome, at, dict(self._measured), tuple(self._seen))

    # What the steps share

    def _note(self, line: str) -> None:
        self._seen.append(line)
        console.say(f"  {line}")

    def _ms(self, name: str, value: float) -> None:
        self._measured[name] = round(value, 1)
        console.say(f"  {name}: {value:.1f} ms")

    def _until(
        self,
        seen: Callable[[ReleaseState], T | None],
        otherwise: str,
        within_s: float | None = None,
        first: Callable[[], Awaitable[object]] | None = None,
    ) -> T:
        limit = self._wait_s if within_s is None else within_s
        return asyncio.run(until(self._path, seen, limit, lambda _: otherwise, first))

    def _state(self) -> ReleaseState:
        return asyncio.run(client.status(self._path))

    def _normal(self) -> None:
        """Armed and nothing latched, or it is made so. Raises GatedError."""
        state = self._state()
        if state.causes:
            causes = ", ".join(f"{cause.cause} ({cause.input})" for cause in state.causes)
            if not console.yes(f"  Latched: {causes}. Is everything at rest, and shall {self._by} reset?"):
                raise Failed("an alarm is latched")
            self._relock()
        self._until(
            lambda s: True if s.armed and s.phase == "normal" and not _open_lanes(s) else None,
            "the release is not armed and normal with every lane shut; see: gatectl release status",
        )

    def _relock(self) -> None:
        """Reset, and measure when each lane is relocked, from the order. Raises GatedError."""
        held = self._state().open_lanes
        begun, shut = time.monotonic(), dict[str, float]()

        def seen(state: ReleaseState) -> bool | None:
            for lane in held:
                if state.lanes[lane].commanded == "may_shut":
                    shut.setdefault(lane, time.monotonic() - begun)
            return True if not state.causes and len(shut) == len(held) else None

        async def reset() -> None:
            await client.request(self._path, "reset", by=self._by, why="commissioning")

        self._until(seen, "the lanes were not relocked", first=reset)
        for lane, seconds in shut.items():
            self._ms(f"{lane} relocked after the reset", seconds * 1000)

    def _opened(self, state: ReleaseState, lanes: Iterable[str]) -> bool:
        """All confirmed open. Raises Failed when one is to be opened by hand."""
        found = {lane: state.lanes[lane] for lane in lanes}
        if by_hand := [name for name, lane in found.items() if lane.open_by_hand]:
            raise Failed(f"OPEN BY HAND: {', '.join(by_hand)}")
        return all(
            lane.commanded == "open" and lane.opened_ms is not None and lane.observed != "shut"
            for lane in found.values()
        )

    def _lanes_opened(self, state: ReleaseState, lanes: Iterable[str]) -> None:
        for name in lanes:
            lane = state.lanes[name]
            how = "seen" if lane.observed == "open" else "written"
            self._ms(f"{name} command to open {how}", lane.opened_ms or 0.0)

    def _witness(self, lanes: Iterable[str]) -> None:
        if not console.yes(f"  Witness: open, in both directions: {', '.join(sorted(lanes))}?"):
            raise Failed("the witness did not see every gate open in both directions")
        self._seen.append("the witness saw the gates open in both directions")

    def _did_they_open(self, when: str, lanes: Iterable[str]) -> None:
        """What the gates did; that they did not open is a failure, and on record."""
        if not console.yes(f"  Witness: did {', '.join(sorted(lanes))} open {when}?"):
            raise Failed(f"the gates did not open {when}")
        self._note(f"the gates opened {when}")

    def _lanes_of(self, board: str) -> set[str]:
        return {coil.lane for (name, _), coil in self._config.coils.items() if name == board}

    # Inputs

    def _trip(self, name: str) -> None:
        lanes = sorted(self._config.plan.inputs[name].lanes)
        active_at: list[float] = []

        def seen(state: ReleaseState) -> ReleaseState | None:
            if state.inputs[name].state == "active" and not active_at:
                active_at.append(time.monotonic())
            return state if active_at and self._opened(state, lanes) else None

        console.say(f"  Trip {name} now, and leave it so.")
        state = self._until(seen, f"{name} was not seen active, or the lanes not open, in {self._wait_s:g} s")
        self._ms(
            "input heard of to every lane confirmed, by the clock of gatectl",
            (time.monotonic() - active_at[0]) * 1000,
        )
        self._lanes_opened(state, lanes)
        self._witness(lanes)
        console.say(f"  Clear {name} now.")
        state = self._until(
            lambda s: s if s.inputs[name].state == "clear" else None, f"{name} did not become clear"
        )
        self._latched(state, lanes)
        self._relock()

    def _latched(self, state: ReleaseState, lanes: Iterable[str]) -> None:
        if not state.causes or not set(lanes) <= state.open_lanes:
            raise Failed("the alarm did not stay latched when its input was clear")
        self._note("latched: the lanes stayed open with the input clear")

    def _pulse(self, name: str) -> None:
        lanes = sorted(self._config.plan.inputs[name].lanes)

        def seen(state: ReleaseState) -> ReleaseState | None:
            latched = any(cause.input == name for cause in state.causes)
            clear = state.inputs[name].state == "clear"
            return state if latched and clear and self._opened(state, lanes) else None

        console.say(f"  Trip {name} for a moment, a second or less.")
        state = self._until(seen, f"a pulse of {name} was not seen and latched in {self._wait_s:g} s")
        self._lanes_opened(state, lanes)
        self._latched(state, lanes)
        self._relock()

    def _cut(self, name: str) -> None:
        console.ask(f"  Press Enter, then cut the line of {name} within a second.")
        begun = time.monotonic()

        def lost(state: ReleaseState) -> ReleaseState | None:
            return state if state.inputs[name].state != "clear" else None

        try:
            state = self._until(lost, f"a cut line is not seen (waited {CUT_S:g} s)", CUT_S)
        except NotSeen as error:
            console.ask("  Nothing was seen. Join the line again, then press Enter.")
            raise Failed(str(error)) from None
        self._ms("Enter to the cut being seen, with the hand", (time.monotonic() - begun) * 1000)
        how = state.inputs[name].state
        self._note(f"seen as {how if how in UNREADABLE else 'an alarm'}")
        # What becomes of it comes after fault_after_s, and must be seen before the line is joined.
        if how == "active" or self._config.plan.inputs[name].open_on_fault:
            lanes = sorted(self._config.plan.inputs[name].lanes)
            self._until(lambda s: True if self._opened(s, lanes) else None, "the lanes did not open", CUT_S)
            self._note("its lanes opened")
        else:
            told = (f"input {name}:", f"input {name} ")
            self._until(lambda s: _fault_of(s, told), "no fault was shown", CUT_S)
            self._note("its lanes held, and a fault was shown")
        console.say(f"  Join the line of {name} again.")
        joined = f"{name} was not seen clear again"
        state = self._until(lambda s: s if s.inputs[name].state == "clear" else None, joined)
        if state.causes:
            self._relock()

    # Outputs and devices

    def _wire(self, subject: str) -> None:
        """With the release's contact bridged, only the other contact can open the loop."""
        name, lane = wired(self._config)[subject]
        console.ask(
            f"  Bridge the release's contact in the loop of {lane}, at its terminals, then press Enter."
        )
        try:
            console.say(f"  Trip {name} now, and leave it so.")
            self._until(
                lambda s: True if lane in s.open_lanes else None,
                f"{name} latched nothing at {lane} in {self._wait_s:g} s",
            )
            self._did_they_open(f"by {name} alone, the release's contact bridged", [lane])
        finally:
            console.say(f"  Clear {name} now.")
            console.ask(f"  TAKE THE BRIDGE of {lane} OUT, then press Enter.")
        self._until(
            lambda s: True if s.inputs[name].state == "clear" else None, f"{name} did not become clear"
        )
        if not console.yes(f"  Witness: is {lane} open now, by the release alone?"):
            raise Failed(f"{lane} is shut though the release holds it open: is the bridge still in?")
        self._note(f"the bridge is out: the release alone holds {lane} open")
        self._relock()

    def _open(self, lane: str) -> None:
        refuse(self._state(), lane)
        found = asyncio.run(open_lane(self._path, lane, self._by, "commissioning"))
        self._ms(f"{lane} command to open", found["opened_ms"])
        self._note(f"open, {found['seen']}")
        self._witness([lane])
        asyncio.run(relock_lane(self._path, lane, self._by, "commissioning", self._wait_s))
        if not console.yes(f"  Witness: is {lane} shut again?"):
            raise Failed(f"{lane} was relocked and is not shut")

    def _cable(self, device: str) -> None:
        known = set(self._state().faults)
        console.ask(f"  Press Enter, then pull the data cable of {device} within a second.")
        begun = time.monotonic()

        def fault(state: ReleaseState) -> str | None:
            return next((f for f in state.faults if f not in known and device in f), None)

        sentence = self._until(fault, f"no fault of {device} was shown in {self._wait_s:g} s")
        self._ms("Enter to the fault being shown, with the hand", (time.monotonic() - begun) * 1000)
        self._note(sentence)
        if lanes := self._lanes_of(device):
            opened = console.yes(f"  Witness: did {', '.join(sorted(lanes))} open?")
            self._note(f"with the cable out the gates {'opened' if opened else 'STAYED AS THEY WERE'}")
        self._mended(f"Plug {device} in again.", device)

    def _mended(self, instruction: str, device: str) -> None:
        console.say(f"  {instruction}")
        state = self._until(
            lambda s: s if s.armed and not any(device in fault for fault in s.faults) else None,
            f"{device} did not come back",
        )
        if state.causes:
            self._relock()

    def _power(self, board: str) -> None:
        console.ask(f"  Switch off the power of {board} alone, wait 5 s, then press Enter.")
        try:
            self._did_they_open(f"without the power of {board}", self._lanes_of(board))
        finally:
            self._mended(f"Switch the power of {board} on again.", board)

    # The process and the box

    def _end(self, command: str) -> None:
        pid = self._state().pid
        console.say(f"  As root, now: {command.format(pid)}")
        try:
            self._until(lambda s: True if s.pid != pid else None, f"process {pid} still runs")
        except NotSeen:
            raise
        except GatedError:  # it broke off, or fell silent, as it should
            pass
        silent = time.monotonic()
        asyncio.run(self._comes_back(pid, silent))
        console.say("  The gates may have shut since, as no alarm is latched.")
        self._did_they_open("when it ended", self._config.plan.lanes)
        if self._state().causes:
            self._relock()

    async def _comes_back(self, pid: int, silent: float) -> None:
        deadline = silent + self._wait_s
        while time.monotonic() < deadline:
            try:
                await until(
                    self._path,
                    lambda s: True if s.pid != pid and s.armed else None,
                    deadline - time.monotonic(),
                    lambda _: "gated-release runs again and is not armed",
                )
            except NotSeen:
                raise
            except GatedError:
                await asyncio.sleep(0.05)  # nobody serves there yet
                continue
            self._ms("gated-release silent to armed again", (time.monotonic() - silent) * 1000)
            return
        raise Failed(f"gated-release did not come back in {self._wait_s:g} s")

    def _box(self, _: str) -> None:
        console.say(
            "  Switch off the power of the box. That ends this program: call it again when the box is up,",
            "  come back to this step, and answer then.",
        )
        if not console.yes("  Was the box without power just now?"):
            raise Failed("the box was not without power")
        self._did_they_open("when the box lost its power", self._config.plan.lanes)


def _open_lanes(state: ReleaseState) -> list[str]:
    """Lanes whose contact still says open: of their next opening it could say nothing."""
    return [name for name, lane in state.lanes.items() if lane.observed == "open"]


def _fault_of(state: ReleaseState, told: tuple[str, ...]) -> bool | None:
    return True if any(fault.startswith(told) for fault in state.faults) else None
