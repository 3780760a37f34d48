"""The asyncio shell around the core: events in, effects out, in the order the core gave them.

The path of a card has no queue and no wait: reader task -> resolver -> core -> journal (page cache) ->
relay board's task. Logs, claims and stored moves come after.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from gated.boards import Board
from gated.clock import Clock
from gated.config import Config, DeviceConfig
from gated.core.effects import (
    Effect,
    EmergencyEnded,
    FreezeRollCall,
    Record,
    RecordKind,
    RedeemPass,
    ReleaseLane,
    SecureLane,
    SignalUser,
    StoreMove,
)
from gated.core.events import (
    ContactChanged,
    CredentialPresented,
    DeadlinePassed,
    DeviceFaulted,
    DeviceRestored,
    EmergencyReported,
    Event,
    PlanChanged,
    PresenceEntry,
    PresenceRestored,
    RedemptionAnswered,
    RedemptionOutcome,
)
from gated.core.lane import LaneState
from gated.core.model import Direction, Signal
from gated.core.site import Site
from gated.errors import DriverFault, GatedError
from gated.latency import Latency
from gated.logs import log
from gated.ports import ContactBoard, Kind, Presentation, Reader
from gated.recorder import Recorder
from gated.rollcall.clerk import Clerk
from gated.rollcall.keeper import Place
from gated.state import State
from gated.wiring import Wiring


@dataclass(frozen=True, slots=True)
class Presented:
    """When a credential was read (monotonic seconds), and whose statistics its wait belongs to."""

    at: float
    latency: Latency

    def written(self) -> None:
        """Its relay command was handed over."""
        self.latency.add(time.monotonic() - self.at)


class Runtime:
    """Runs one site: what the devices tell becomes events, what the core wants becomes commands."""

    def __init__(self, config: Config, state: State, clock: Clock, crashed: bool = False) -> None:
        """`crashed`: the last process ended without leaving its relays at rest."""
        self.config = config
        self.state = state
        self.clock = clock
        self.site = Site(config.plan)
        self.wiring = Wiring(config.lanes)
        self.recorder = Recorder(state.journal)
        self.clerk = Clerk(state.roll_calls, self.recorder, lambda: state.journal.seq)
        self.decisions: Counter[str] = Counter()
        self.card_latency = Latency()
        self.pass_latency = Latency()
        self._boards: dict[str, Board] = {}
        self._released: dict[str, frozenset[Direction]] = {}  # as commanded, by lane
        self._signals: dict[str, Signal] = {}
        self._contacts: dict[tuple[str, int], bool | None] = {}  # last heard, closed or not
        self._emergency: EmergencyReported | None = None
        self._moves: asyncio.Queue[PresenceEntry] = asyncio.Queue()
        self._working: set[str] = set()  # devices
        self._unsettled = {
            lane for lane, wires in config.lanes.items() if crashed or wires.open_without_power
        }
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Tell the core what the stores remember, and begin to store moves."""
        self.handle(self.clerk.resumed(self.state.last_alive))
        self.handle(PresenceRestored(tuple(await self.state.fleet.presence())))
        self._spawn(self._store_moves())

    async def stop(self) -> None:
        """Finish what was asked of the stores and stop the timer; the devices are already closed."""
        if self._timer is not None:
            self._timer.cancel()
        while not self._moves.empty():
            await self._store(self._moves.get_nowait())
        await self.clerk.finish()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- events in

    def use(self, device: DeviceConfig) -> Callable[[Any], Awaitable[None]]:
        """What to do with a device while it is open."""
        if device.driver.kind is Kind.READER:
            return partial(self._read, device.name)
        if device.driver.kind is Kind.RELAY:
            return self._boards.setdefault(device.name, Board()).use
        return partial(self._watch, device.name)

    async def _read(self, name: str, reader: Reader) -> None:
        async for presentation in reader.presentations():
            self.present(name, presentation)

    def present(self, access_point: str, presentation: Presentation) -> None:
        """A credential was read: decide and act before returning."""
        found = self.state.resolver.resolve(presentation)
        event = CredentialPresented(access_point, found.identifier, found.credential, found.refusal)
        self.handle(event, Presented(presentation.at, self.card_latency))

    async def _watch(self, name: str, board: ContactBoard) -> None:
        async for contact in board.contacts():
            self._contact(name, contact.channel, contact.closed)

    def _contact(self, device: str, channel: int, closed: bool | None) -> None:
        self._contacts[device, channel] = closed
        wired = self.wiring.contact(device, channel, closed)
        if wired is not None:
            self.handle(ContactChanged(*wired))

    def device_changed(self, name: str, fault: DriverFault | None) -> None:
        """The supervisor's report: a device is lost, or works."""
        if fault is None:
            self._working.add(name)
            self.handle(DeviceRestored(name))
            self._settle()
            return
        self._working.discard(name)
        self.handle(DeviceFaulted(name, str(fault)))
        for device, channel in list(self._contacts):
            if device == name:
                self._contact(device, channel, None)

    def emergency(self, event: EmergencyReported) -> None:
        """The state of the emergency release."""
        self._emergency = event
        self.handle(event)
        self._settle()

    @property
    def holding_open(self) -> frozenset[str]:
        """Devices whose coils hold a lane open in an emergency, as its second path."""
        held = [lane for lane in self._held_open if self._released.get(lane) and lane in self.wiring.lanes]
        return frozenset(c.device for lane in held for c in self.wiring.lanes[lane].release.values())

    @property
    def _held_open(self) -> frozenset[str]:
        return self._emergency.open_lanes if self._emergency else frozenset()

    def _settle(self) -> None:
        """Secure each lane that may stand released at the start though nobody released it.

        That is: after a crash, as the dead process left it; or wired so that it opens without power. Only
        when the release has said that the lane may be shut, its board is there and the core holds it
        secured. On every other start no relay is written before somebody passes.
        """
        if self._emergency is None and self.config.release_socket is not None:
            return
        for lane in sorted(self._unsettled - self._held_open):
            boards = {coil.device for coil in self.wiring.lanes[lane].release.values()}
            if boards <= self._working and self.site.lanes[lane].state is LaneState.SECURED:
                self.recorder.note(RecordKind.AUDIT, "lane_secured_at_start", lane)
                self._release(lane, frozenset(), None)
                self._command(self.wiring.signal(lane, Signal.OFF))

    def apply(self, config: Config) -> None:
        """Run on another configuration from now on; its devices are started and stopped elsewhere."""
        before, after = self.wiring, Wiring(config.lanes)
        self.config, self.wiring = config, after
        self.state.roll_calls.keep_days = config.site.roll_call_days
        for device in self._boards.keys() - config.devices.keys():
            del self._boards[device]
        for device, coils in before.abandoned(after, self._held_open).items():
            board = self._boards.get(device, Board())
            board.command({c: rest for c, rest in coils.items() if board.commanded.get(c, rest) != rest})
        self._unsettled &= config.lanes.keys()
        self.handle(PlanChanged(config.plan))
        for lane in [lane for lane, wires in after.lanes.items() if before.lanes.get(lane) != wires]:
            if lane in self._released:
                self._command(after.release(lane, self._released[lane]))
            if lane in self._signals:
                self._command(after.signal(lane, self._signals[lane]))
        for (device, channel), closed in list(self._contacts.items()):
            if before.contact(device, channel, closed) != after.contact(device, channel, closed):
                self._contact(device, channel, closed)

    def handle(
        self, event: Event, presented: Presented | None = None, note: Mapping[str, str] | None = None
    ) -> None:
        """Let the core decide about an event and do what it says; `note` is added to command records."""
        now = self.clock.now()
        try:
            effects = self.site.handle(event, now)
        except Exception as error:  # a bug of ours: the gate goes on, and it is recorded and shown
            log.error(f"{type(event).__name__} could not be handled: {error!r}", event_code="internal_error")
            what = {"event": type(event).__name__, "error": type(error).__name__}
            self.recorder.note(RecordKind.FAULT, "internal_error", **what)
            effects = []
        self._execute(effects, now.utc, presented, note)
        self._arm(now.monotonic)

    # ---- effects out

    def _execute(
        self,
        effects: list[Effect],
        utc: datetime,
        presented: Presented | None,
        note: Mapping[str, str] | None,
    ) -> None:
        for effect in effects:
            match effect:
                case Record(kind, code):
                    self.recorder.write(effect, note if kind is RecordKind.COMMAND else None, utc)
                    if kind is RecordKind.DECISION:
                        self.decisions[code] += 1
                case ReleaseLane(lane, directions):
                    self._release(lane, directions, presented)
                case SecureLane(lane):
                    self._release(lane, frozenset(), None)
                case SignalUser(lane, signal):
                    self._signals[lane] = signal
                    self._command(self.wiring.signal(lane, signal))
                case RedeemPass():
                    at = presented.at if presented else time.monotonic()
                    self._spawn(self._claim(effect, Presented(at, self.pass_latency)))
                case StoreMove(entry):
                    self._moves.put_nowait(entry)
                case FreezeRollCall():
                    site = self.config.site
                    self.clerk.freeze(effect, Place(site.name, site.timezone, self.config.titles))
                case EmergencyEnded():
                    self.clerk.emergency_ended(effect)

    def _release(self, lane: str, directions: frozenset[Direction], presented: Presented | None) -> None:
        self._unsettled.discard(lane)
        self._released[lane] = directions
        self._command(self.wiring.release(lane, directions), presented.written if presented else None)

    def _command(
        self, commands: Mapping[str, Mapping[int, bool]], written: Callable[[], None] | None = None
    ) -> None:
        for device, coils in commands.items():
            self._boards.setdefault(device, Board()).command(coils, written)
            written = None  # the first board tells the time

    async def _claim(self, redeem: RedeemPass, presented: Presented) -> None:
        """Ask the arbiter; nobody waits for it but this pass, and the core has a time-out for it."""
        try:
            outcome: str = await self.state.fleet.claim(redeem.identifier, redeem.access_point)
        except GatedError as error:
            log.error(str(error), event_code="claim_failed", access_point=redeem.access_point)
            outcome = RedemptionOutcome.UNKNOWN
        self.handle(RedemptionAnswered(redeem.claim, outcome), presented)

    async def _store_moves(self) -> None:
        while True:
            await self._store(await self._moves.get())

    async def _store(self, entry: PresenceEntry) -> None:
        try:
            await self.state.fleet.move(entry)
        except GatedError as error:
            log.error(str(error), event_code="move_not_stored")
            self.recorder.note(RecordKind.FAULT, "move_not_stored", error=str(error))

    def _arm(self, earliest: float) -> None:
        """Let the timer ring at the core's next deadline, not before `earliest`."""
        due = self.site.next_deadline
        if self._timer is not None:
            if due is not None and self._timer.when() == due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:  # the loop's clock is CLOCK_MONOTONIC, as the core's
            self._timer = asyncio.get_running_loop().call_at(max(due, earliest), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.handle(DeadlinePassed())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
