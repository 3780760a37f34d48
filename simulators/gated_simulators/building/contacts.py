"""The contacts of fire panel, receivers, buttons and power supply, and the lines to their boards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from gated.errors import RequestRefused
from gated_simulators.building.lines import Condition, Line
from gated_simulators.building.wiring import Alarm, Wiring

BOUNCE_S = 0.004
"""From one bounce of a contact to the next, seconds."""

FAULTS = {Condition.CUT: "cut", Condition.SHORT: "short"}


class Contacts:
    """Every alarm contact and monitor of a site; `note` hears of what happens to them."""

    def __init__(
        self, wiring: Wiring, rigs: Mapping[str, Any], note: Callable[[str, str, str], None]
    ) -> None:
        self.alarms: dict[str, bool] = {alarm.name: False for alarm in wiring.alarms}
        self.lines: dict[str, Line] = {
            name: Line(name, wire, wire.device in wiring.supervised) for name, wire in wiring.lines.items()
        }
        self._wiring = wiring
        self._rigs = rigs
        self._note = note
        self._parallel: dict[str, float] = {}  # the resistors as they were found
        self._transfer_stopped = False

    def join(self) -> None:
        """Connect every line to its board."""
        for line in self.lines.values():
            self._set(line)
            self._note("line", line.name, line.condition.value)
            self._note("contact", line.name, "rest")

    def line(self, name: str) -> Line:
        """The line of an input or monitor. Raises RequestRefused with the names there are."""
        try:
            return self.lines[name]
        except KeyError:
            raise RequestRefused(f"no line is called {name!r}; there are {', '.join(self.lines)}") from None

    def _set(self, line: Line) -> None:
        """Have the board at the end of a line find it as it is now."""
        rig, channel = self._rigs[line.where.device], line.where.channel
        rig.board.inputs[channel] = line.contact_closed if line.supervised else line.closed
        if line.supervised:
            circuit = rig.line(channel)
            circuit.fault = FAULTS.get(line.condition, "")
            wrong = line.condition is Condition.MISTERMINATED
            circuit.parallel = (
                circuit.series if wrong else self._parallel.setdefault(line.name, circuit.parallel)
            )

    def damage(self, name: str, condition: Condition) -> str:
        """Cut, short, wrongly terminate or restore a line; tells what that looks like at the board."""
        line = self.line(name)
        if condition is Condition.MISTERMINATED and not line.supervised:
            raise RequestRefused(f"{name} is a dry contact: its line has no resistors to confuse")
        line.condition = condition
        self._set(line)
        self._note("line", name, condition.value)
        return line.seen()

    def alarm(self, name: str, active: bool) -> None:
        """Bring an alarm contact into alarm or to rest."""
        alarm = self._wiring.alarm(name)
        self.alarms[alarm.name] = active
        self._contact(alarm)

    def _contact(self, alarm: Alarm) -> None:
        """Move an alarm's contact; a fire panel whose transfer is stopped leaves its own at rest."""
        active = self.alarms[alarm.name] and not (alarm.cause == "fire" and self._transfer_stopped)
        line = self.lines[alarm.name]
        line.active = active
        self._set(line)
        self._note("contact", alarm.name, "alarm" if active else "rest")

    def trouble(self, says: str, active: bool) -> None:
        """Bring the monitor that says this into trouble or to rest. Raises RequestRefused."""
        found = [monitor for monitor in self._wiring.monitors if monitor.says == says]
        if not found:
            raise RequestRefused(f"this site has no monitor that says {says}")
        for monitor in found:
            line = self.lines[monitor.name]
            line.active = active
            self._set(line)
            self._note("contact", monitor.name, "trouble" if active else "rest")

    def stop_transfer(self, stopped: bool) -> None:
        """Turn the panel's switch that keeps its fire contacts at rest. Raises RequestRefused."""
        self.trouble("transfer_stopped", stopped)
        self._transfer_stopped = stopped
        for alarm in self._wiring.alarms:
            if alarm.cause == "fire":
                self._contact(alarm)

    async def bounce(self, name: str, for_s: float) -> None:
        """Let the contact of a line bounce for so many seconds; it comes to rest where it belongs."""
        line = self.line(name)
        end = time.monotonic() + for_s
        self._note("line", name, "bouncing")
        try:
            while time.monotonic() < end:
                line.apart = not line.apart
                self._set(line)
                await asyncio.sleep(BOUNCE_S)
        finally:
            line.apart = False
            self._set(line)
            self._note("line", name, line.condition.value)
