"""Everything that is read: what each contact means, and the event that it becomes.

A board that can tell (`tell` in gated.ports) does so in the callback that read it: from there to the wire
of the outputs it is one chain of calls, without a task switch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from gated.ports import Contact, ContactBoard
from gated.release.config import Line, ReleaseConfig, Wire
from gated.release.words import ClearSeen, Event, FeedbackSeen, InputSeen


class Heard(Protocol):
    """Whoever is told what was read."""

    def feed(self, event: Event) -> object:
        """An event for the machine."""
        ...

    def rehearse(self, event: Event) -> None:
        """Go through what such an event would do to the wires, and do nothing."""
        ...

    def monitored(self, name: str, trouble: bool | None, fault: str) -> None:
        """A contact that only warns was read; None: it cannot be."""
        ...

    def broken(self, what: object, error: Exception) -> None:
        """Our own code failed on what was read."""
        ...


class Sensing:
    """The contacts of the site."""

    def __init__(self, config: ReleaseConfig, heard: Heard) -> None:
        self._wires = config.wires
        self._heard = heard
        self._sensed: dict[Line, bool | None] = {}  # what each sensor of a lane said last
        self.boards = tuple(dict.fromkeys(device for device, _ in self._wires))

    def only_warns(self, board: str) -> bool:
        """True for a board that has nothing but monitors."""
        return all(wire.kind == "monitor" for (name, _), wire in self._wires.items() if name == board)

    def reader(self, name: str) -> Callable[[ContactBoard], Awaitable[None]]:
        """What reads the board `name` while it is open."""
        wires = {channel: wire for (device, channel), wire in self._wires.items() if device == name}
        feed = self._heard.feed
        # Made beforehand, by what `closed` says: on the way to the wire every call counts.
        ready = {
            channel: (InputSeen(wire.name, not wire.closed_means), InputSeen(wire.name, wire.closed_means))
            for channel, wire in wires.items()
            if wire.kind == "input"
        }

        def seen(contact: Contact) -> None:
            events = ready.get(contact.channel)
            if events is not None and contact.closed is not None:
                try:
                    feed(events[contact.closed])
                except Exception as error:  # a driver's callback must not be the one to meet it
                    self._heard.broken(contact, error)
            elif (wire := wires.get(contact.channel)) is not None:
                self._seen(name, wire, contact.channel, contact.closed, contact.fault)

        def rehearsed(contact: Contact) -> None:
            events = ready.get(contact.channel)
            if events is not None:
                self._heard.rehearse(events[contact.closed is True])

        async def use(port: ContactBoard) -> None:
            tell = getattr(port, "tell", None)
            if tell is not None:
                tell(seen)
            rehearse = getattr(port, "rehearse", None)
            if rehearse is not None:
                rehearse(rehearsed)
            async for contact in port.contacts():
                seen(contact)
                await asyncio.sleep(0)  # the output boards go before the next reading

        return use

    def lost(self, name: str) -> None:
        """The board cannot be read any more, and with it none of its contacts."""
        for (device, channel), wire in self._wires.items():
            if device == name:
                self._seen(name, wire, channel, None, "")

    def _seen(self, name: str, wire: Wire, channel: int, closed: bool | None, fault: str) -> None:
        try:
            means = None if closed is None else closed is wire.closed_means
            if wire.kind == "input":
                self._heard.feed(InputSeen(wire.name, means, fault))
            elif wire.kind == "monitor":
                self._heard.monitored(wire.name, means, fault)
            else:
                self._sensed[name, channel] = means
                event = FeedbackSeen if wire.kind == "open" else ClearSeen
                self._heard.feed(event(wire.name, self._together(wire)))
        except Exception as error:
            self._heard.broken(wire, error)

    def _together(self, wire: Wire) -> bool | None:
        """What the lane's sensors of one kind say: a lane of two flaps is open, or clear, when both are."""
        alike = [at for at, w in self._wires.items() if (w.kind, w.name) == (wire.kind, wire.name)]
        said = [self._sensed.get(at) for at in alike]
        return False if False in said else None if None in said else True
