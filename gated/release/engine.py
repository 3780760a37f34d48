"""The release at work: devices in, machine, devices out; then the socket, the latch and the records.

The order on an alarm is the point of this module: `feed` first has the output boards opened, on the wire
where they can be told at once; whatever else the event asks for is kept back until they have been
written, or failed to be within KEEP_BACK_S.
"""

# Over 300 lines: the one place where events become outputs; cut in two, their order would be harder to see.

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from gated.errors import DriverFault, StoreError
from gated.journald import Log
from gated.ports import ContactBoard, Driver, RelayBoard
from gated.release import latch, records
from gated.release.aside import Aside
from gated.release.bequest import BEAT_S, Bequest
from gated.release.config import Line, ReleaseConfig
from gated.release.disk import OLD_TRAIL, TRAIL, Disk
from gated.release.machine import Machine
from gated.release.monitors import Monitors
from gated.release.outputs import OutputBoard
from gated.release.proven import Proven
from gated.release.reminders import Reminders
from gated.release.sensing import Sensing
from gated.release.signals import Signals, occasions
from gated.release.state import ReleaseState
from gated.release.testament import Testament
from gated.release.words import (
    Alarmed,
    Audit,
    Effect,
    Event,
    InputSeen,
    LatchRestored,
    LatchUnreadable,
    Now,
    Open,
    OutputDriven,
    Secure,
    Tick,
    WriteLatch,
)
from gated.supervisor import Device

KEEP_BACK_S = 0.05  # the longest that socket, latch and records wait for the outputs
STALE_S = 2.0  # a polled board that was not read for so long has lost its inputs
STUCK_S = 15.0  # a device that neither works nor fails for so long is stuck: no more watchdog
CLOSE_S = 0.5  # for a board that must not go to rest, before all others are stopped


def now() -> Now:
    """The time, as the machine takes it."""
    return Now(time.monotonic(), datetime.now(UTC))


class Release:
    """Everything of a running `gated-release` but its process: construct it in the running loop."""

    def __init__(self, config: ReleaseConfig, log: Log, aside: Aside, failed: Callable[[], None]) -> None:
        self.config = config
        self.realtime = self.memory_locked = False
        self.changed = asyncio.Event()  # replaced by a new one at each change
        self.drawn: tuple[float, ReleaseState] | None = None  # the snapshot, until something changes
        self.disk = Disk(config.state_dir, self._store_report)
        self.memory = Disk(config.socket.parent, self._memory_report)  # the second latch
        self.machine = Machine(config.plan, now())
        self.monitors = Monitors(config.monitors)
        self.proven = Proven(
            config.plan.inputs, config.plan.lanes, config.link_test_days, config.output_test_days
        )
        self.bequest = Bequest(lambda sentence: self._fault("survivor", sentence, "survivor"))
        self._testament = Testament(config, self.bequest)
        self._reminders = Reminders()
        self._notes: tuple[str, ...] = config.warnings
        self._log = log
        self._aside = aside
        self._failed = failed
        self._stopping = False
        self._faults: dict[str, str] = {}
        self._warned: list[str] = []
        self._kept: list[tuple[Effect, Now]] = []
        self._seen_active: dict[str, datetime] = {}
        self._release_kept: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tried_at: dict[str, float] = {}
        self._sensing = Sensing(config, self)
        self.boards: dict[str, OutputBoard] = {}
        self.outputs: dict[str, Device[RelayBoard]] = {}
        self.inputs: dict[str, Device[ContactBoard]] = {}
        self.lamps: dict[str, Device[RelayBoard]] = {}  # boards with nothing but signals
        self._advisory = {name for name in self._sensing.boards if self._sensing.only_warns(name)}
        self._signals = {
            name: Signals(name, signals, self._signal_report) for name, signals in _by_device(config.signals)
        }
        for name, coils in _by_device(config.coils):
            self.boards[name] = OutputBoard(name, coils, self, self._signals.get(name))
            self.outputs[name] = self._device(name, self._driving(name, self.boards[name]))
        for name in self._sensing.boards:
            self.inputs[name] = self._device(name, self._sensing.reader(name))
        for name, signals in self._signals.items():
            if name not in self.boards:
                self.lamps[name] = self._device(name, signals.use)
        self._reflexes = {  # the lanes of each input, as the machine will open them
            name: tuple(lane for lane in config.plan.lanes if lane in entry.lanes)
            for name, entry in config.plan.inputs.items()
        }
        for board in self.boards.values():
            for lanes in self._reflexes.values():
                board.expect(lanes)

    def _device(self, name: str, use: Callable[[Any], Awaitable[None]]) -> Device[Any]:
        device = self.config.devices[name]
        return Device(name, self._watched(name, device.driver), device.settings, use, self._device_report)

    def _watched(self, name: str, driver: Driver) -> Driver:
        """The driver, noting its end, and each attempt to open it: a sign of life while it is away."""

        @asynccontextmanager
        async def opening(settings: Any) -> AsyncIterator[Any]:
            self._tried_at[name] = time.monotonic()
            try:
                async with driver.open(settings) as port:
                    yield port
            finally:
                self._testament.closed(name)

        return replace(driver, open=opening)

    def _driving(self, name: str, board: OutputBoard) -> Callable[[RelayBoard], Awaitable[None]]:
        async def use(port: RelayBoard) -> None:
            if self._testament.opened(name, port):
                self._keep_back()
            await board.use(port)

        return use

    # Starting

    def restore(self) -> None:
        """Take up what was latched when the process last ran, here or there; before any device is opened."""
        lost: list[str] = []
        found: list[latch.Entries | None] = []
        for place in (self.config.state_dir, self.config.socket.parent):
            try:
                found.append(latch.read(place))
            except StoreError as error:
                lost.append(f"{place}: {error}")
        if not lost and found[0] is None and _has_records(self.config.state_dir):
            lost.append("its file is gone though this service ran here before")
        if entries := tuple(entry for entries in found for entry in entries or ()):
            self.feed(LatchRestored(entries))
        if lost:
            self.feed(LatchUnreadable("; ".join(lost)))
        elif any(entries != tuple(self.machine.latched.items()) for entries in found):
            # The same in both places; and before the first record, so that it never seems gone.
            self._write_latch()

    def run_devices(self) -> list[asyncio.Task[None]]:
        """Start serving every device, the outputs first."""
        devices: list[tuple[str, Device[Any]]] = [
            *self.outputs.items(),
            *self.inputs.items(),
            *self.lamps.items(),
        ]
        return [asyncio.create_task(device.run(), name=name) for name, device in devices]

    def start_stores(self) -> None:
        """Start what writes to disk, and take up the dates of proof when they were read."""
        self.memory.start()
        self.disk.start()
        self.disk.read_dates(self._dates_read)

    def _dates_read(self, data: bytes) -> None:
        self.proven.restore(data)
        self._keep_back()

    @property
    def armed(self) -> bool:
        """Every input is read and every output was commanded; or the alarm was driven to every output."""
        commanded = all(board.commanded for board in self.boards.values())
        readable = all(state.active is not None for state in self.machine.inputs.values())
        return commanded and (readable or bool(self.machine.latched))

    # Events

    def feed(self, event: Event) -> list[Effect]:
        """Give the machine an event and do what it asks: outputs first.

        An input that calls for release opens its lanes before the machine has even heard of it: the machine
        cannot but open them, unless that input is being inspected, and it takes longer the larger the site.
        """
        reflex = None
        if type(event) is InputSeen and event.active and event.input not in self.machine.inspections:
            reflex = self._reflexes[event.input]
            for board in self.boards.values():
                board.reflex(reflex)
        at = Now(time.monotonic(), datetime.now(UTC))
        self.drawn = None
        try:
            effects = self.machine.handle(event, at)
        except Exception as error:
            self.broken(event, error)
            return []
        if effects and type(effects[0]) in (Open, Secure):
            opening = []
            for effect in effects:
                if type(effect) is Open:
                    opening.append(effect.lane)
            if opening:
                lanes = tuple(opening)
                for board in self.boards.values():
                    board.open(lanes, posted=lanes == reflex)
            self._driven(effects, at)
            if self._release_kept is None:  # the outputs go as soon as this returns
                self._release_kept = asyncio.get_running_loop().call_later(KEEP_BACK_S, self._let_go)
        else:
            self._kept += [(effect, at) for effect in effects]
            self._set_timer()
            if effects or type(event) is not Tick:
                self._keep_back()
        if type(event) is InputSeen and event.active:
            self._seen_active[event.input] = at.utc
        return effects

    def rehearse(self, event: Event) -> None:
        """The reflex to an input that calls for release, on no wire: so that a real one is quick."""
        if type(event) is InputSeen and event.active:
            reflex = self._reflexes[event.input]
            for board in self.boards.values():
                board.rehearse(reflex)

    def _driven(self, effects: list[Effect], at: Now) -> None:
        for effect in effects:
            if isinstance(effect, Secure):
                for board in self.boards.values():
                    board.secure(effect.lane)
            elif not isinstance(effect, Open):
                self._kept.append((effect, at))

    def broken(self, what: object, error: Exception) -> None:
        """A fault of our own: stop, which leaves the outputs at rest, that is open."""
        self.say(Audit("failed", f"internal error on {what}: {type(error).__name__}: {error}", 1))
        self._failed()

    def monitored(self, name: str, trouble: bool | None, fault: str) -> None:
        """A contact that only warns was read."""
        at = now()
        audit = self.monitors.seen(name, trouble, fault, at)
        if audit is not None:
            self._kept.append((audit, at))
        self._keep_back()

    def _keep_back(self) -> None:
        """Let the rest go at once when the outputs are written, else when they are or KEEP_BACK_S is over."""
        if all(board.settled for board in self.boards.values()):
            self._let_go()
        elif self._release_kept is None:
            self._release_kept = asyncio.get_running_loop().call_later(KEEP_BACK_S, self._let_go)

    def _let_go(self) -> None:
        if self._release_kept is not None:
            self._release_kept.cancel()
            self._release_kept = None
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
        self.drawn = None
        kept, self._kept = self._kept, []
        if any(isinstance(effect, WriteLatch) for effect, _ in kept):
            self._write_latch()
        for effect, at in kept:
            if isinstance(effect, Alarmed):
                self.say(records.alarm(effect), at)
            elif isinstance(effect, Audit):
                self.say(effect, at)
        self._prove(kept)
        if self._signals:
            shown = occasions(self.machine, bool(self.faults))
            for signals in self._signals.values():
                signals.refresh(shown)
        self._set_timer()

    def _write_latch(self) -> None:
        data = latch.encode(self.machine.latched)
        self.memory.write_latch(data)
        self.disk.write_latch(data)

    def _prove(self, done: list[tuple[Effect, Now]]) -> None:
        """Keep the dates of what was seen to work."""
        news = self.proven.seen(self.proven.inputs, self._seen_active)
        self._seen_active = {}
        opened = {e.detail["lane"]: at.utc for e, at in done if isinstance(e, Audit) and e.code == "opened"}
        if self.proven.seen(self.proven.lanes, opened) or news:
            self.disk.write_dates(self.proven.encode())

    def say(self, audit: Audit, at: Now | None = None) -> None:
        """Put a record on the trail and into the log; never waits."""
        self.disk.record(records.line(audit, at or now()))
        entry = records.fields(audit)
        self._aside.say(lambda: self._log.write(audit.text, audit.priority, **entry))

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.machine.next_deadline
        if due is not None:
            self._timer = asyncio.get_running_loop().call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.feed(Tick())

    # Devices

    def board_changed(self, board: OutputBoard) -> None:
        """A board was written, lost, or found otherwise than commanded."""
        self.drawn = None
        for channel in board.refused:
            text = f"{board.name}: coil {channel} does not do as it is told"
            self._fault(f"{board.name}.{channel}", text, "device")
        for key in [k for k in self._faults if k.startswith(f"{board.name}.")]:
            if int(key.rpartition(".")[2]) not in board.refused:
                self._fault(key, None, "device")
        for lane in board.lanes:
            driven = all(b.driven(lane) for b in self.boards.values() if lane in b.lanes)
            if driven is not self.machine.lanes[lane].driven:
                self.feed(OutputDriven(lane, driven))
        if self._release_kept is not None:
            self._keep_back()

    def _device_report(self, name: str, fault: DriverFault | None) -> None:
        if self._stopping:
            return
        if fault is not None and name in self.inputs:
            self._sensing.lost(name)
        self._fault(name, None if fault is None else f"device {name}: {fault}", "device")

    def _signal_report(self, name: str, sentence: str | None) -> None:
        self._fault(f"signals of {name}", sentence, "device")

    def _store_report(self, what: str, sentence: str | None) -> None:
        self._fault(f"store {what}", sentence, "store")

    def _memory_report(self, what: str, sentence: str | None) -> None:
        self._fault(f"store {what} in memory", sentence, "store")

    def show(self, key: str, sentence: str | None) -> None:
        """Show a fault of the process itself (its socket, its lock), or take it back."""
        self._fault(f"store {key}", sentence, "store")

    def _fault(self, key: str, sentence: str | None, kind: str) -> None:
        """Show a fault or take it back, and record it when that is news."""
        if (sentence is None) is (key not in self._faults):
            return
        if sentence is None:
            del self._faults[key]
            self.say(Audit(f"{kind}_back", f"{key} works again", 5, {"device": key}))
        else:
            self._faults[key] = sentence
            self.say(Audit(f"{kind}_fault", sentence, 3, {"device": key}))
        self._keep_back()

    # Life

    def beat(self) -> None:
        """Tell the survivor that everything goes on, when it does, and again and again."""
        asyncio.get_running_loop().call_later(BEAT_S, self.beat)
        if self._stopping or self.check() is None:
            self.bequest.beat()

    def check(self) -> str | None:
        """What is stuck, or None when every loop goes on; gives up a polled board that went silent.

        Boards that open nothing (signals, monitors) are not worth opening the gates for.
        """
        at = time.monotonic()
        devices: list[tuple[str, Device[Any]]] = [*self.inputs.items(), *self.outputs.items()]
        for name, device in devices:
            port = device.port
            stuck = None
            if port is None:
                if at - self._tried_at.get(name, at) > STUCK_S:
                    stuck = f"{name} is neither open nor failing"
            elif name in self.boards:
                if at - self.boards[name].moved_at > STUCK_S:
                    stuck = f"the outputs of {name} do not move on"
            elif at - max(getattr(port, "read_at", at), self._tried_at[name]) > STUCK_S:
                stuck = f"the inputs of {name} do not move on"
            elif at - max(getattr(port, "read_at", at), self._tried_at[name]) > STALE_S:
                device.lost(DriverFault(f"{name}: its inputs were not read for {STALE_S:g} s"))
            if stuck and name not in self._advisory:
                return stuck
        return None

    def look_at_clock(self) -> None:
        """What time alone changes: tests that become due, and what stands for an hour; ask every second."""
        at = now()
        standing = [*self.faults, *self.monitors.warnings(), *self.machine.banners()]
        for text in self._reminders.due(standing, at.monotonic):
            self.say(Audit("reminder", f"still: {text}", 4), at)
        if (warned := self.proven.warnings(at.utc)) != self._warned:
            self._warned = warned
            self._keep_back()

    async def leave(self, *, failed: bool) -> None:
        """Get ready to stop: no held lane may be shut by the `rest` of its board. Then cancel the devices.

        After a fault of our own (`failed`) nobody knows what should be held, so everything is.
        """
        self._stopping = True
        held = frozenset(self.machine.lanes) if failed else self.machine.open_lanes
        boards = [self.outputs[name] for name in self._testament.stopping(held)]
        for board in boards:  # a board that is lost is not put to rest
            board.lost(DriverFault(f"{board.name}: left open, because this process stops in an alarm"))
        waiting = [asyncio.create_task(board.closed.wait()) for board in boards]
        if waiting:
            await asyncio.wait(waiting, timeout=CLOSE_S)

    def note(self, text: str | None) -> None:
        """Add a standing remark."""
        if text is not None:
            self._notes += (text,)
            self._keep_back()

    @property
    def notes(self) -> tuple[str, ...]:
        """Standing remarks on configuration and permissions."""
        return (*self._notes, *self._testament.notes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What needs a person soon, one sentence each."""
        return (*self.monitors.warnings(), *self._warned)

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that needs a person, one sentence each."""
        return (*self.machine.faults(), *self._faults.values())


def _has_records(directory: Path) -> bool:
    for name in (TRAIL, OLD_TRAIL):
        with suppress(OSError):
            if (directory / name).stat().st_size > 0:
                return True
    return False


T = TypeVar("T")


def _by_device(lines: Mapping[Line, T]) -> list[tuple[str, dict[int, T]]]:
    """What hangs on each device, by channel."""
    found: dict[str, dict[int, T]] = {}
    for (name, channel), what in lines.items():
        found.setdefault(name, {})[channel] = what
    return list(found.items())
