"""Where a lane is mapped to coils and contacts: the one home of polarity.

Above this line a lane is released or secured, a lamp on or off, a contact active or not; below it a
coil is energised and a contact closed.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gated.core.model import Direction, LaneContact, Signal

Coils = dict[int, bool]
"""Coil number -> energised."""


class Lamp(StrEnum):
    """The lamps of a lane."""

    GRANT = "grant"
    DENY = "deny"


LIT: Mapping[Signal, frozenset[Lamp]] = {
    Signal.GRANT: frozenset({Lamp.GRANT}),
    Signal.DENY: frozenset({Lamp.DENY}),
    Signal.WAIT: frozenset({Lamp.GRANT, Lamp.DENY}),
    Signal.EMERGENCY: frozenset({Lamp.GRANT}),
    Signal.OFF: frozenset(),
}
"""Which lamps show a signal."""


@dataclass(frozen=True, slots=True)
class Coil:
    """One coil; `when` is what it is (energised or not) while the lane is released or the lamp is on."""

    device: str
    channel: int
    when: bool


@dataclass(frozen=True, slots=True)
class Input:
    """One contact; `when` is what it is (closed or not) while the lane's input is active."""

    device: str
    channel: int
    when: bool


@dataclass(frozen=True, slots=True)
class LaneWiring:
    """The wires of one lane."""

    release: Mapping[Direction, Coil] = field(default_factory=dict)
    lamps: Mapping[Lamp, Coil] = field(default_factory=dict)
    contacts: Mapping[LaneContact, Input] = field(default_factory=dict)

    @property
    def coils(self) -> tuple[Coil, ...]:
        """Every coil of the lane."""
        return (*self.release.values(), *self.lamps.values())

    @property
    def open_without_power(self) -> bool:
        """Whether a direction is released while its coil is not energised."""
        return not all(coil.when for coil in self.release.values())


class Wiring:
    """The wires of every lane, asked from both ends."""

    def __init__(self, lanes: Mapping[str, LaneWiring]) -> None:
        self.lanes = lanes
        self._inputs: dict[tuple[str, int], tuple[str, LaneContact, bool]] = {
            (wire.device, wire.channel): (lane, contact, wire.when)
            for lane, wiring in lanes.items()
            for contact, wire in wiring.contacts.items()
        }

    def release(self, lane: str, directions: Iterable[Direction]) -> dict[str, Coils]:
        """By device, the coils that release the lane in these directions and secure it in the others.

        An empty `directions` secures the lane.
        """
        wiring = self.lanes.get(lane, LaneWiring())
        released = frozenset(directions)
        return _by_device((coil, way in released) for way, coil in wiring.release.items())

    def signal(self, lane: str, signal: Signal) -> dict[str, Coils]:
        """By device, the coils that show the signal."""
        wiring = self.lanes.get(lane, LaneWiring())
        return _by_device((coil, lamp in LIT[signal]) for lamp, coil in wiring.lamps.items())

    def abandoned(self, other: Wiring, held_open: Container[str]) -> dict[str, Coils]:
        """By device, the coils that have no place in `other`, secured or off as they are wired here.

        Those of lanes that an emergency holds open are left as they are.
        """
        kept = {(coil.device, coil.channel) for wiring in other.lanes.values() for coil in wiring.coils}
        return _by_device(
            (coil, False)
            for lane, wiring in self.lanes.items()
            for coil in wiring.coils
            if lane not in held_open and (coil.device, coil.channel) not in kept
        )

    def contact(
        self, device: str, channel: int, closed: bool | None
    ) -> tuple[str, LaneContact, bool | None] | None:
        """The lane's input that a contact is, and whether it is active; None for one that is not wired."""
        wire = self._inputs.get((device, channel))
        if wire is None:
            return None
        lane, contact, when = wire
        return lane, contact, None if closed is None else closed == when


def _by_device(coils: Iterable[tuple[Coil, bool]]) -> dict[str, Coils]:
    """Coils and whether they act (release, shine), as commands by device."""
    commands: dict[str, Coils] = {}
    for coil, acting in coils:
        commands.setdefault(coil.device, {})[coil.channel] = acting == coil.when
    return commands
