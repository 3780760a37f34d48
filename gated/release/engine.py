"""The release at work: devices in, machine, devices out; then the socket, the latch and the records.

The order on an alarm is the point of this module: `_feed` first kicks the output boards, and whatever
else the event asks for is kept back until they have been written, or failed to be within KEEP_BACK_S.
"""

# Over 300 lines: the one place where events become outputs; cut in two, their order would be harder to see.

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gated.errors import DriverFault, StoreError
from gated.journald import Log
from gated.ports import ContactBoard, Driver, RelayBoard
from gated.release import latch, records
from gated.release.aside import Aside
from gated.release.config import Line, ReleaseConfig, Wire
from gated.release.disk import TRAIL, Disk
from gated.release.machine import Machine
from gated.release.outputs import OutputBoard
from gated.release.words import (
    Alarmed,
    Audit,
    ClearSeen,
    Effect,
    Event,
    FeedbackSeen,
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


def now() -> Now:
    """The time, as the machine takes it."""
    return Now(time.monotonic(), datetime.now(UTC))


class Release:
    """Everything of a running `gated-release` but its process: construct it in the running loop."""

    def __init__(self, config: ReleaseConfig, log: Log, aside: Aside, failed: Callable[[], None]) -> None:
        self.config = config
        self.notes: tuple[str, ...] = config.warnings
        self.realtime = False
        self.changed = asyncio.Event()  # replaced by a new one at each change
        self.disk = Disk(config.state_dir, self._store_report)
        self.machine = Machine(config.plan, now())
        self._log = log
        self._aside = aside
        self._failed = failed
        self._faults: dict[str, str] = {}
        self._kept: list[tuple[Effect, Now]] = []
        self._release_kept: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tried_at: dict[str, float] = {}
        self._sensed: dict[Line, bool | None] = {}  # what each sensor of a lane said last
        self.boards: dict[str, OutputBoard] = {}
        self.outputs: dict[str, Device[RelayBoard]] = {}
        self.inputs: dict[str, Device[ContactBoard]] = {}
        for name in dict.fromkeys(device for device, _ in config.coils):
            coils = {channel: coil for (device, channel), coil in config.coils.items() if device == name}
            board = self.boards[name] = OutputBoard(name, coils, self)
            self.outputs[name] = self._device(name, board.use)
        for name in dict.fromkeys(device for device, _ in config.wires):
            self.inputs[name] = self._device(name, self._reader(name))

    def _device(self, name: str, use: Callable[[Any], Awaitable[None]]) -> Device[Any]:
        device = self.config.devices[name]
        return Device(name, self._watched(name, device.driver), device.settings, use, self._device_report)

    def _watched(self, name: str, driver: Driver) -> Driver:
        """The driver, noting each attempt to open it: a sign of life while the device is away."""

        @asynccontextmanager
        async def opening(settings: Any) -> AsyncIterator[Any]:
            self._tried_at[name] = time.monotonic()
            async with driver.open(settings) as port:
                yield port

        return replace(driver, open=opening)

    # Starting

    def restore(self) -> None:
        """Take up what was latched when the process last ran; before any device is opened."""
        try:
            found = latch.read(self.config.state_dir)
        except StoreError as error:
            self.feed(LatchUnreadable(str(error)))
            return
        if found is None:
            if _has_records(self.config.state_dir / TRAIL):
                self.feed(LatchUnreadable("its file is gone though this service ran here before"))
            else:
                self.disk.write_latch(
                    latch.encode({})
                )  # before the first record, so that it never seems gone
        elif found:
            self.feed(LatchRestored(found))

    def run_devices(self) -> list[asyncio.Task[None]]:
        """Start serving every device, the outputs first."""
        devices: list[tuple[str, Device[Any]]] = [*self.outputs.items(), *self.inputs.items()]
        return [asyncio.create_task(device.run(), name=name) for name, device in devices]

    @property
    def armed(self) -> bool:
        """Every input is read and every output was commanded; or the alarm was driven to every output."""
        commanded = all(board.commanded for board in self.boards.values())
        readable = all(state.active is not None for state in self.machine.inputs.values())
        return commanded and (readable or bool(self.machine.latched))

    # Events

    def feed(self, event: Event) -> list[Effect]:
        """Give the machine an event and do what it asks: outputs first."""
        at = now()
        try:
            effects = self.machine.handle(event, at)
        except Exception as error:  # a fault of our own: stop, which leaves the outputs at rest, that is open
            self.say(Audit("failed", f"internal error on {event}: {type(error).__name__}: {error}", 1))
            self._failed()
            return []
        driving = False
        for effect in effects:
            if isinstance(effect, Open | Secure):
                self._command(effect.lane, isinstance(effect, Open))
                driving = True
            else:
                self._kept.append((effect, at))
        if not driving:
            self._set_timer()
            if effects or not isinstance(event, Tick):
                self._keep_back()
        elif self._release_kept is None:  # the outputs go as soon as this returns
            self._release_kept = asyncio.get_running_loop().call_later(KEEP_BACK_S, self._let_go)
        return effects

    def _command(self, lane: str, opens: bool) -> None:
        for board in self.boards.values():
            if lane in board.lanes:
                board.command(lane, opens)

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
        kept, self._kept = self._kept, []
        if any(isinstance(effect, WriteLatch) for effect, _ in kept):
            self.disk.write_latch(latch.encode(self.machine.latched))
        for effect, at in kept:
            if isinstance(effect, Alarmed):
                self.say(records.alarm(effect), at)
            elif isinstance(effect, Audit):
                self.say(effect, at)
        self._set_timer()

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

    def _reader(self, name: str) -> Callable[[ContactBoard], Awaitable[None]]:
        wires = {channel: wire for (device, channel), wire in self.config.wires.items() if device == name}

        async def use(port: ContactBoard) -> None:
            async for contact in port.contacts():
                wire = wires.get(contact.channel)
                if wire is not None:
                    self._wire_seen((name, contact.channel), wire, contact.closed)
                    await asyncio.sleep(0)  # the output boards go before the next reading

        return use

    def _wire_seen(self, line: Line, wire: Wire, closed: bool | None) -> None:
        means = None if closed is None else closed is wire.closed_means
        if wire.kind == "input":
            self.feed(InputSeen(wire.name, means))
            return
        self._sensed[line] = means
        event = FeedbackSeen if wire.kind == "open" else ClearSeen
        self.feed(event(wire.name, self._together(wire)))

    def _together(self, wire: Wire) -> bool | None:
        """What the lane's sensors of one kind say: a lane of two flaps is open, or clear, when both are."""
        alike = [at for at, w in self.config.wires.items() if (w.kind, w.name) == (wire.kind, wire.name)]
        said = [self._sensed.get(at) for at in alike]
        return False if False in said else None if None in said else True

    def board_changed(self, board: OutputBoard) -> None:
        """A board was written, lost, or found otherwise than commanded."""
        for channel in board.refused:
            self._fault(f"{board.name}.{channel}", f"{board.name}: coil {channel} does not do as it is told")
        for key in [k for k in self._faults if k.startswith(f"{board.name}.")]:
            if int(key.rpartition(".")[2]) not in board.refused:
                self._fault(key, None)
        for lane in board.lanes:
            driven = all(b.driven(lane) for b in self.boards.values() if lane in b.lanes)
            if driven is not self.machine.lanes[lane].driven:
                self.feed(OutputDriven(lane, driven))
        if self._release_kept is not None:
            self._keep_back()

    def _device_report(self, name: str, fault: DriverFault | None) -> None:
        if fault is not None and name in self.inputs:
            for line, wire in self.config.wires.items():
                if line[0] == name:
                    self._wire_seen(line, wire, None)
        self._fault(name, None if fault is None else f"device {name}: {fault}")

    def _store_report(self, what: str, sentence: str | None) -> None:
        self._fault(f"store {what}", sentence)

    def _fault(self, key: str, sentence: str | None) -> None:
        """Show a fault or take it back, and record it when that is news."""
        if (sentence is None) is (key not in self._faults):
            return
        store = "store" if key.startswith("store") else "device"
        if sentence is None:
            del self._faults[key]
            self.say(Audit(f"{store}_back", f"{key} works again", 5, {"device": key}))
        else:
            self._faults[key] = sentence
            self.say(Audit(f"{store}_fault", sentence, 3, {"device": key}))
        self._keep_back()

    def show(self, key: str, sentence: str | None) -> None:
        """Show a fault of the process itself (its socket, its lock), or take it back."""
        self._fault(f"store {key}", sentence)

    # Life

    def check(self) -> str | None:
        """What is stuck, or None when every loop goes on; gives up a polled board that went silent."""
        at = time.monotonic()
        devices: list[tuple[str, Device[Any]]] = [*self.inputs.items(), *self.outputs.items()]
        for name, device in devices:
            port = device.port
            if port is None:
                if at - self._tried_at.get(name, at) > STUCK_S:
                    return f"{name} is neither open nor failing"
            elif name in self.boards:
                if at - self.boards[name].moved_at > STUCK_S:
                    return f"the outputs of {name} do not move on"
            elif at - max(getattr(port, "read_at", at), self._tried_at[name]) > STUCK_S:
                return f"the inputs of {name} do not move on"
            elif at - max(getattr(port, "read_at", at), self._tried_at[name]) > STALE_S:
                device.lost(DriverFault(f"{name}: its inputs were not read for {STALE_S:g} s"))
        return None

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that needs a person, one sentence each."""
        return (*self.machine.faults(), *self._faults.values())


def _has_records(trail: Path) -> bool:
    try:
        return trail.stat().st_size > 0
    except OSError:
        return False
