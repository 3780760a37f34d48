"""Relay boards that speak Modbus RTU: coils by functions 01 (read), 05 and 0F (write)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated

from pydantic import Field, model_validator

from gated.ports import Driver, DriverFault, Kind, LastWill, RelayTraits, Settings
from gated_drivers._codecs.modbus_rtu import (
    MOST_BITS_READ,
    MOST_BITS_WRITTEN,
    Request,
    bits,
    read_coils,
    write_coils,
)
from gated_drivers._modbus_bus import Bus, Done, Refused, bus
from gated_drivers._modbus_rehearsal import Rehearsal
from gated_drivers._modbus_watchdog import HostWatchdog
from gated_drivers._rest import at_rest

Address = Annotated[int, Field(ge=0, le=65535)]
LOOK_S = 0.5  # gated and gated-release ask a relay board this often, at the least
MOST_KEPT = 64  # commands whose frames are kept ready; a site has few


class ModbusRelaySettings(Settings):
    """Where the board is and how it is left."""

    port: str = Field(min_length=1, description="serial device, best by its /dev/serial/by-id name")
    unit: int = Field(1, ge=1, le=247, description="the board's number on the line")
    baudrate: int = Field(9600, ge=300, le=1_000_000, description="bits per second, 8N1")
    timeout_s: float = Field(0.3, gt=0, le=10, description="an answer later than this is a fault; seconds")
    turnaround_s: float = Field(
        0.0, ge=0, le=0.1, description="silence kept on the line before each request, where boards need it; s"
    )
    rest: dict[Address, bool] = Field(
        default_factory=dict, description="coils commanded on closing, by address; others stay as they are"
    )
    host_watchdog: HostWatchdog | None = Field(
        None, description="how the board is told to drop its coils when nobody speaks to it any more"
    )

    @model_validator(mode="after")
    def _watchdog_fits(self) -> ModbusRelaySettings:
        if self.host_watchdog is None:
            return self
        shortest = LOOK_S + 2 * self.timeout_s
        if self.host_watchdog.silence_s < shortest:
            raise ValueError(
                f"host_watchdog: after {self.host_watchdog.silence_s:g} s the board would drop its coils "
                f"while all is well; with timeout_s = {self.timeout_s:g} it needs at least {shortest:g} s"
            )
        if held := sorted(channel for channel, energised in self.rest.items() if energised):
            raise ValueError(
                f"rest energises coil {held[0]}, which host_watchdog drops soon after; remove one"
            )
        return self


class ModbusRelayBoard:
    """A PromptRelayBoard and a MortalRelayBoard; coils are numbered by address, from 0."""

    def __init__(self, line: Bus, settings: ModbusRelaySettings) -> None:
        self._line = line
        self._settings = settings
        self._known = set(settings.rest)  # and those that the board acknowledged: it has them
        self._rehearsal: tuple[Rehearsal, ModbusRelayBoard] | None = None
        self._ready: dict[tuple[tuple[int, bool], ...], list[tuple[Request, Done]]] = {}

    @property
    def damaged(self) -> int:
        """What came over the line and was no answer, of any of its devices."""
        return self._line.damaged

    def post(self, coils: Mapping[int, bool]) -> None:
        """Write the command now, or next; several frames where coils are no neighbours.

        A coil that the board refuses, or that no board has, keeps no other from its command.
        """
        for request, done in self._ready.get(tuple(coils.items())) or self._made(coils):
            self._line.post(request, self._settings.timeout_s, done)

    def rehearse(self, coils: Mapping[int, bool]) -> None:
        """Go through `post` on a line to nobody: what is rehearsed right before an alarm is quick in it."""
        if self._rehearsal is None:
            stage = Rehearsal(self._settings.baudrate)
            self._rehearsal = stage, ModbusRelayBoard(stage.line, self._settings)
        stage, double = self._rehearsal
        double.post(coils)
        stage.drain()

    def close(self) -> None:
        """Give back what rehearsals took."""
        if self._rehearsal is not None:
            self._rehearsal[0].close()

    def _posted(self, request: Request, data: bytes, fault: DriverFault | None) -> None:
        if isinstance(fault, Refused) and len(request.states) > 1:
            for alone in self._alone(request):
                self._line.post(alone, self._settings.timeout_s, _unheard)

    async def switch(self, coils: Mapping[int, bool]) -> None:
        """Command coils, neighbours in one frame; returns when the board has acknowledged."""
        requests = [request for request, _ in self._made(coils)]
        faults: list[BaseException | None] = []
        if len(requests) == 1:
            await self._command(requests[0])
        elif requests:  # queued together, so that no reading slips in between
            faults = await asyncio.gather(*map(self._command, requests), return_exceptions=True)
        for fault in faults:
            if fault is not None:
                raise fault
        if strange := [channel for channel in coils if not 0 <= channel <= 65535]:
            raise DriverFault(
                f"{self._settings.port}: unit {self._settings.unit} cannot have a coil {strange[0]}; "
                "check its channel numbers"
            )

    async def _command(self, request: Request) -> None:
        try:
            await self._line.ask(request, self._settings.timeout_s, command=True)
            self._known.update(range(request.address, request.address + len(request.states)))
        except Refused:
            if len(request.states) == 1:
                raise
            # One coil that the board has not must not keep its neighbours from being commanded.
            alone = map(self._command, self._alone(request))
            for fault in await asyncio.gather(*alone, return_exceptions=True):
                if fault is not None:
                    raise fault from None

    def _alone(self, request: Request) -> Iterator[Request]:
        for i, state in enumerate(request.states):
            yield write_coils(request.unit, request.address + i, [state])

    def _made(self, coils: Mapping[int, bool]) -> list[tuple[Request, Done]]:
        """The frames that command these coils, without those that cannot exist; kept for the next time."""
        possible = {channel: on for channel, on in coils.items() if 0 <= channel <= 65535}
        requests = [write_coils(self._settings.unit, first, states) for first, states in _runs(possible)]
        if len(self._ready) >= MOST_KEPT:
            self._ready.clear()
        made = self._ready[tuple(coils.items())] = [(r, partial(self._posted, r)) for r in requests]
        return made

    def last_will(self, coils: Mapping[int, bool]) -> LastWill | None:
        """The frames of `post`. Without us nobody waits for answers: leave each the time to be answered."""
        return LastWill(self._line.line.fd, tuple(request.frame for request, _ in self._made(coils)))

    async def observed(self) -> Mapping[int, bool]:
        """Read back the coils of `rest` and those that took a command; coil 0 where there are none."""
        observed: dict[int, bool] = {}
        left = sorted(self._known) or [0]
        while left:
            together = [channel for channel in left if channel - left[0] < MOST_BITS_READ]
            observed |= await self._read(together)
            left = left[len(together) :]
        return observed

    async def _read(self, wanted: list[int]) -> dict[int, bool]:
        first, count = wanted[0], wanted[-1] - wanted[0] + 1
        request = read_coils(self._settings.unit, first, count)
        states = bits(await self._line.ask(request, self._settings.timeout_s), count)
        return {channel: states[channel - first] for channel in wanted}


def _unheard(data: bytes, fault: DriverFault | None) -> None:
    """The `switch` that follows tells."""


def _runs(coils: Mapping[int, bool]) -> list[tuple[int, list[bool]]]:
    """Coils as runs of neighbours: (first address, states)."""
    runs: list[tuple[int, list[bool]]] = []
    for channel in sorted(coils):
        if runs and channel == runs[-1][0] + len(runs[-1][1]) and len(runs[-1][1]) < MOST_BITS_WRITTEN:
            runs[-1][1].append(coils[channel])
        else:
            runs.append((channel, [coils[channel]]))
    return runs


@asynccontextmanager
async def open_board(settings: ModbusRelaySettings) -> AsyncIterator[ModbusRelayBoard]:
    """Open the board: it is read once, no coil is written; `host_watchdog` is, where it is not set yet.

    Deadline: 3 s for the line, `timeout_s` for each request of each of its users.
    Closing commands `rest`, except after a fault: then the board is opened again soon, and must not move.
    """
    async with bus(settings.port, settings.baudrate, settings.turnaround_s) as line:
        board = ModbusRelayBoard(line, settings)
        await board.observed()
        if settings.host_watchdog is not None:
            await settings.host_watchdog.set_up(line, settings.unit, settings.timeout_s)
        try:
            async with at_rest(board, settings.rest):
                yield board
        finally:
            board.close()


def traits(settings: ModbusRelaySettings) -> RelayTraits:
    """Nothing but the host watchdog makes such a board let go: without it, take it that the coils hold."""
    if settings.host_watchdog is None:
        return RelayTraits("holds", reads_back=True)
    return RelayTraits("releases", settings.host_watchdog.silence_s, reads_back=True)


DRIVER = Driver(Kind.RELAY, ModbusRelaySettings, open_board, traits)
