"""The release at work: devices in, machine, devices out; then the socket, the latch and the records.

The order on an alarm is the point of this module: `feed` first has the output boards opened, on the wire
where they can be told at once; whatever else the event asks for is kept back until they have been
written, or failed to be within KEEP_BACK_S.
"""

# Over 300 lines: the one place where events become outputs; cut in two, their order would be harder to see.

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from gated.errors import DriverFault
from gated.journald import Log
from gated.ports import ContactBoard, RelayBoard
from gated.release import records
from gated.release.aside import Aside
from gated.release.bequest import BEAT_S, Bequest
from gated.release.config import Line, ReleaseConfig
from gated.release.life import Life
from gated.release.machine import Machine
from gated.release.monitors import Monitors
from gated.release.outputs import OutputBoard
from gated.release.reminders import Reminders
from gated.release.sensing import Sensing
from gated.release.signals import Signals, occasions
from gated.release.state import ReleaseState
from gated.release.stores import Stores
from gated.release.testament import Testament
from gated.release.words import (
    Alarmed,
    Audit,
    Effect,
    Event,
    InputSeen,
    Now,
    Open,
    OutputDriven,
    Secure,
    Tick,
    WriteLatch,
)
from gated.supervisor import Device

KEEP_BACK_S = 0.05  # the longest that socket, latch and records wait for the outputs
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
        self.stores = Stores(config, self._store_report, self._keep_back)
        self.machine = Machine(config.plan, now())
        self.monitors = Monitors(config.monitors)
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
        self._release_kept: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.life = Life(lambda name, text: self._fault(f"driver of {name}", text, "device"))
        self._sensing = Sensing(config, self)
        self.boards: dict[str, OutputBoard] = {}
        self.outputs: dict[str, Device[RelayBoard]] = {}
        self.inputs: dict[str, Device[ContactBoard]] = {}
        self.lamps: dict[str, Device[RelayBoard]] = {}  # boards with nothing but signals
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
        def lost(fault: DriverFault) -> None:
            device.lost(fault)

        driver, settings = self.config.devices[name]
        watched = self.life.watched(name, driver, lost, lambda: self._testament.closed(name))
        device: Device[Any] = Device(name, watched, settings, use, self._device_report)
        return device

    def _driving(self, name: str, board: OutputBoard) -> Callable[[RelayBoard], Awaitable[None]]:
        async def use(port: RelayBoard) -> None:
            self._testament.opened(name, port)
            self._keep_back()
            await board.use(port)

        return use

    # Starting

    def restore(self) -> None:
        """Take up what was latched when the process last ran, here or there; before any device is opened."""
        for event in self.stores.latched():
            self.feed(event)
        self.stores.even_out(self.machine.latched)

    def run_devices(self) -> list[asyncio.Task[None]]:
        """Start serving every device, the outputs first."""
        devices: list[tuple[str, Device[Any]]] = [
            *self.outputs.items(),
            *self.inputs.items(),
            *self.lamps.items(),
        ]
        return [asyncio.create_task(device.run(), name=name) for name, device in devices]

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
            self.stores.active(event.input, at.utc)
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
        for device in self.outputs.values():
            if device.port is None:  # it may be good again since it was last tried
                device.hurry()

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
            self.stores.write_latch(self.machine.latched)
        for effect, at in kept:
            if isinstance(effect, Alarmed):
                self.say(records.alarm(effect), at)
            elif isinstance(effect, Audit):
                self.say(effect, at)
        self.stores.prove(kept)
        if self._signals:
            shown = occasions(self.machine, bool(self.faults))
            for signals in self._signals.values():
                signals.refresh(shown)
        self._set_timer()

    def say(self, audit: Audit, at: Now | None = None) -> None:
        """Put a record on the trail and into the log; never waits."""
        self.stores.disk.record(records.line(audit, at or now()))
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
        if what == "trail" and sentence is None and (lost := self.stores.disk.lost()):
            text = (
                f"{lost} records found no room while the trail could not be written; journald may have them"
            )
            self.say(Audit("store_fault", text, 3, {"device": "store trail", "lost": str(lost)}))

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
        """What is stuck that may hold a gate, or None; a polled board that fell silent is given up."""
        return self.life.check(self.boards, self.inputs, self._sensing.lost)

    def look_at_clock(self) -> None:
        """What time alone changes: tests that become due, and what stands for an hour; ask every second."""
        at = now()
        standing = [*self.faults, *self.monitors.warnings(), *self.machine.banners()]
        for text in self._reminders.due(standing, at.monotonic):
            self.say(Audit("reminder", f"still: {text}", 4), at)
        if (warned := self.stores.proven.warnings(at.utc)) != self._warned:
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
    def unbequeathed(self) -> tuple[str, ...]:
        """Output boards that nobody would open if this process died now."""
        return self._testament.unbequeathed

    @property
    def warnings(self) -> tuple[str, ...]:
        """What needs a person soon, one sentence each."""
        return (*self.monitors.warnings(), *self._warned)

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that needs a person, one sentence each."""
        return (*self.machine.faults(), *self._faults.values())


T = TypeVar("T")


def _by_device(lines: Mapping[Line, T]) -> list[tuple[str, dict[int, T]]]:
    """What hangs on each device, by channel."""
    found: dict[str, dict[int, T]] = {}
    for (name, channel), what in lines.items():
        found.setdefault(name, {})[channel] = what
    return list(found.items())
