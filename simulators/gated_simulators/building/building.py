"""The simulated building: rigs at the far ends of the wires, and what hangs on them.

Coils move flaps and lamps, people darken beams, panels close contacts. Everything that happens is noted in
order, so that a scenario can ask later what was seen here, whatever the daemons say of themselves.
"""

# Over 300 lines: the far ends of one site and what moves between them.

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from gated.errors import GatedError, RequestRefused
from gated.wiring import Coil, Input
from gated_simulators.building.contacts import Contacts
from gated_simulators.building.turnstile import Happening, Turnstile, Way
from gated_simulators.building.wiring import LaneWires, Wiring
from gated_simulators.rigs import rig_module

TICK_S = 0.02
STATES = ("coil", "lamp", "signal", "flap", "beam", "contact", "line", "output", "wire")
"""What has a state, so that only a change of it is news."""
KEPT = 1_000
"""How many happenings stay at hand for those who watch."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that happened: number `n`, at CLOCK_MONOTONIC `at`, to what, and how it is since."""

    n: int
    at: float
    what: str  # one of STATES, or passed, turned_back, forced, waiting, hold, free
    name: str
    state: str


class SimLane:
    """A lane: its wires, its mechanics, and the boards that both hang on."""

    def __init__(self, wires: LaneWires, turnstile: Turnstile) -> None:
        self.wires = wires
        self.turnstile = turnstile
        self.lamps: dict[str, bool] = {name: False for name in wires.coils if name.startswith("signal_")}
        self.answered = asyncio.Event()  # a lamp was switched on: people take their card away


class Building:
    """Every rig and lane of a site; use it inside `open_building`."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.rigs: dict[str, Any] = {}  # by device
        self.seen: list[Seen] = []
        self.contacts = Contacts(wiring, self.rigs, self.note)
        self.signals: dict[str, bool] = dict.fromkeys(wiring.signals, False)
        self.failed: dict[str, str] = {}  # outputs, and how each fails
        self._stuck: dict[tuple[str, int], bool] = {}  # relays that do not move, and where they stay
        self.wires_cut: set[str] = set()
        self.stalled: set[str] = set()
        self.news = asyncio.Condition()
        self.stir = asyncio.Event()
        self.lanes = {wires.id: SimLane(wires, Turnstile()) for wires in wiring.lanes}
        self._states: dict[tuple[str, str], str] = {}
        self._count = 0

    # -- what was seen -------------------------------------------------------------------------------------

    def note(self, what: str, name: str, state: str, at: float | None = None) -> None:
        """Note a happening; a state that is no news is not noted."""
        if what in STATES:
            if self._states.get((what, name)) == state:
                return
            self._states[what, name] = state
        self._count += 1
        self.seen.append(Seen(self._count, time.monotonic() if at is None else at, what, name, state))
        if len(self.seen) > KEPT:
            del self.seen[: KEPT // 2]
        self.stir.set()

    def states(self) -> dict[str, dict[str, str]]:
        """The state of everything that has one, by what and name."""
        found: dict[str, dict[str, str]] = {}
        for (what, name), state in self._states.items():
            found.setdefault(what, {})[name] = state
        return found

    async def watch(self) -> AsyncIterator[dict[str, Any]]:
        """The state of everything now, as if just seen, then each new thing as it happens."""
        last, now = self._count, time.monotonic()
        for (what, name), state in list(self._states.items()):
            yield asdict(Seen(last, now, what, name, state))
        while True:
            for item in [seen for seen in self.seen if seen.n > last]:
                last = item.n
                yield asdict(item)
            async with self.news:
                while self._count <= last:
                    await self.news.wait()

    # -- rigs ----------------------------------------------------------------------------------------------

    def rig(self, device: str) -> Any:
        """The rig of a device. Raises RequestRefused with the names there are."""
        try:
            return self.rigs[device]
        except KeyError:
            raise RequestRefused(
                f"no device is called {device!r}; there are {', '.join(sorted(self.rigs))}"
            ) from None

    def lane(self, name: str) -> SimLane:
        """A lane by its id. Raises RequestRefused with the names there are."""
        try:
            return self.lanes[name]
        except KeyError:
            raise RequestRefused(f"no lane is called {name!r}; there are {', '.join(self.lanes)}") from None

    def set_input(self, where: Input, active: bool) -> None:
        """Close or open an input contact of a board."""
        self.rigs[where.device].board.inputs[where.channel] = active == where.when

    def coil(self, coil: Coil) -> bool:
        """Whether a relay is energised now, as what hangs on it finds."""
        where = (coil.device, coil.channel)
        return self._stuck.get(where, bool(self.rigs[coil.device].board.coils.get(coil.channel, False)))

    def fail(self, output: str, how: str | None) -> None:
        """Have an emergency relay or a signal fail, or work again (None). Raises RequestRefused.

        "stuck": the board acknowledges and the relay does not move; "refuses": the board answers with an
        exception; "silent": its whole board does nothing and says nothing.
        """
        coils = {**self.wiring.outputs, **self.wiring.signals}
        if output not in coils:
            raise RequestRefused(f"no output is called {output!r}; there are {', '.join(coils)}")
        coil = coils[output]
        rig, where = self.rigs[coil.device], (coil.device, coil.channel)
        if how in ("refuses", "silent") and not hasattr(rig, "silent"):
            raise RequestRefused(f"{coil.device} never answers: its relays can only be stuck")
        self._stuck.pop(where, None)
        if how == "stuck":
            self._stuck[where] = self.coil(coil)
        if hasattr(rig, "silent"):
            rig.silent = how == "silent"
            if how == "refuses":
                rig.refusing.add(coil.channel)
            else:
                rig.refusing.discard(coil.channel)
        if how:
            self.failed[output] = how
        else:
            self.failed.pop(output, None)
        self.note("output", output, how or "repaired")
        self.on_coils(coil.device)

    # -- the mechanics -------------------------------------------------------------------------------------

    def on_coils(self, device: str, commanded: int | None = None) -> None:
        """A command for a coil arrived at a board: move what hangs on it, and note what changed."""
        now = time.monotonic()
        for name, coil in self.wiring.signals.items():
            if coil.device == device:
                self.signals[name] = self.coil(coil) == coil.when
                self.note("signal", name, "on" if self.signals[name] else "off", now)
        for lane in self.lanes.values():
            mine = lane.wires.all_coils()
            if not any(c.device == device for c in mine.values()):
                continue
            for role, coil in mine.items():
                energised = self.coil(coil)
                self.note("coil", f"{lane.wires.id}.{role}", "energised" if energised else "at rest", now)
                if role in lane.lamps:
                    self._lamp(lane, role, energised == coil.when)
                    if lane.lamps[role] and coil.device == device and coil.channel == commanded:
                        lane.answered.set()  # also when the lamp was on for somebody before
            self._tell(lane, lane.turnstile.command(now, self._released(lane), self._may_shut(lane)))
        self.stir.set()

    def _lamp(self, lane: SimLane, role: str, on: bool) -> None:
        lane.lamps[role] = on
        name = f"{lane.wires.id}.{role.removeprefix('signal_')}"
        self.note("lamp", name, "on" if on else "off")

    def _released(self, lane: SimLane) -> frozenset[Way]:
        ways: tuple[Way, ...] = ("entry", "exit")
        coils = lane.wires.coils
        return frozenset(
            way for way in ways if (coil := coils.get(f"release_{way}")) and self.coil(coil) == coil.when
        )

    def _may_shut(self, lane: SimLane) -> bool:
        return all(self.coil(coil) == coil.when for coil in lane.wires.may_shut)

    def advance(self) -> bool:
        """Move people and flaps to now; True while anything still moves."""
        now = time.monotonic()
        for lane in self.lanes.values():
            self._tell(lane, lane.turnstile.advance(now))
        return any(lane.turnstile.moving for lane in self.lanes.values())

    def _tell(self, lane: SimLane, happenings: list[Happening]) -> None:
        name, mechanics = lane.wires.id, lane.turnstile
        for event in happenings:
            if event.what not in ("opened", "shut"):
                self.note(event.what, f"{name}.{event.way}", "", event.at)
        flap = "open" if mechanics.flap_open else "shut" if mechanics.flap_shut else "moving"
        self.note("flap", name, flap)
        beams: dict[str, bool] = {"entry": mechanics.beam("entry"), "exit": mechanics.beam("exit")}
        for end, dark in beams.items():
            self.note("beam", f"{name}.{end}", "dark" if dark else "clear")
        states = {"beam_entry": beams["entry"], "beam_exit": beams["exit"], "flap_open": mechanics.flap_open}
        for role, active in states.items():
            if role in lane.wires.inputs:
                self.set_input(lane.wires.inputs[role], active)
        for feedback in lane.wires.open_feedback:
            self.set_input(feedback, mechanics.flap_open)

    async def live(self) -> None:
        """Let time pass in the building until cancelled; sleeps while nothing moves."""
        while True:
            self.stir.clear()
            moving = self.advance()
            async with self.news:
                self.news.notify_all()
            if moving:
                await asyncio.sleep(TICK_S)
            else:
                await self.stir.wait()

    def status(self) -> dict[str, Any]:
        """The picture of the building now."""
        return {
            "lanes": {
                name: {
                    "title": lane.wires.title,
                    "flap": round(lane.turnstile.flap, 2),
                    "hold": lane.turnstile.hold,
                    "lamps": [r.removeprefix("signal_") for r, on in lane.lamps.items() if on],
                    "people": [
                        {"way": p.way, "at_m": round(p.front, 2), "leaving": p.leaving}
                        for p in lane.turnstile.people
                    ],
                    "passed": dict(lane.turnstile.passed),
                    "beams": [end for end in ("entry", "exit") if lane.turnstile.beam(end)],
                    "may_shut": lane.turnstile.may_shut,
                    "released": sorted(lane.turnstile.released),
                }
                for name, lane in self.lanes.items()
            },
            "alarms": dict(self.contacts.alarms),
            "troubles": {
                monitor.name: self.contacts.lines[monitor.name].active for monitor in self.wiring.monitors
            },
            "lines": {name: line.condition.value for name, line in self.contacts.lines.items()},
            "outputs": dict.fromkeys(self.wiring.outputs, "good") | self.failed,
            "signals": dict(self.signals),
            "devices": {
                name: "cut" if name in self.wires_cut else "stalled" if name in self.stalled else "joined"
                for name in self.rigs
            },
            "seen": self._count,
        }


@asynccontextmanager
async def open_building(wiring: Wiring) -> AsyncIterator[Building]:
    """Open the far end of every wire of a site and let the building live.

    Raises GatedError when a device has no rig, or its end of the wire cannot be taken.
    """
    building = Building(wiring)
    by_port: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        for name, settings in wiring.devices.items():
            port = str(getattr(settings, "port", name))
            if port not in by_port:
                try:
                    module = rig_module(type(settings))
                except ImportError as error:
                    raise GatedError(f"{name}: there is no rig for its driver ({error})") from error
                try:
                    by_port[port] = await stack.enter_async_context(module.open_rig(settings))
                except (OSError, ValueError) as error:
                    why = getattr(error, "strerror", None) or error
                    raise GatedError(f"{name}: the far end of its wire cannot be held: {why}") from error
            building.rigs[name] = by_port[port]
        for rig in by_port.values():
            if hasattr(rig, "on_command"):
                names = {name for name, other in building.rigs.items() if other is rig}
                rig.on_command.append(_listener(building, names))
        building.contacts.join()
        for device in wiring.devices:
            if hasattr(building.rigs[device], "board"):
                building.on_coils(device)
        living = asyncio.create_task(building.live())
        try:
            yield building
        finally:
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)


def _listener(building: Building, devices: set[str]) -> Callable[[int, bool], None]:
    def heard(channel: int, _energised: bool) -> None:
        for device in devices:
            building.on_coils(device, channel)

    return heard
