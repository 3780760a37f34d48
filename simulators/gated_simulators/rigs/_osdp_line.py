"""OSDP peripherals on one line, by libosdp: an implementation that shares nothing with the driver's own.

Every peripheral hears everything on the line, as on RS-485.
"""

from __future__ import annotations

from collections.abc import Callable

import osdp
from osdp import Capability, Channel, Event, LogLevel, PDCapabilities, PdId, PDInfo, PeripheralDevice

from gated_simulators.rigs._pty import PtyCable

CARD_EVERY = 2  # replies, at least, between two reports of a card that is held
FELICA_BITS = 64


class _Wire(Channel):  # type: ignore[misc]  # libosdp has no types
    """Both directions of one peripheral, without waiting."""

    def __init__(self, address: int) -> None:
        self.id = address  # libosdp takes channels with one number for the same line
        self.heard = b""
        self.said: list[bytes] = []

    def read(self, max_bytes: int) -> bytes:
        """What the line brought."""
        data, self.heard = self.heard[:max_bytes], self.heard[max_bytes:]
        return data

    def write(self, buf: bytes) -> int:
        """A reply."""
        self.said.append(bytes(buf))
        return len(buf)

    def flush(self) -> None:
        """Nothing waits."""


class Peripheral:
    """One reader. `key` None is a reader as it comes from the maker: with the default key."""

    def __init__(self, address: int, key: bytes | None, serial: int = 1) -> None:
        self.address = address
        self.replies = 0
        self.silent = False  # no power
        self.repeats = True  # reports a card again while it is held
        self.alter: Callable[[bytes], bytes] = lambda reply: reply  # somebody on the wires
        self._card: bytes | None = None
        self._bits = 0
        self._reported_at = 0
        self._wire = _Wire(address)
        capabilities = PDCapabilities([(Capability.CommunicationSecurity, 1, 1)])
        self._device = PeripheralDevice(
            PDInfo(address, self._wire, scbk=key, id=PdId(1, 1, 0xCAFE, serial, 1)),
            capabilities,
            log_level=LogLevel.Emergency,
            command_handler=lambda command: (0, None),
        )

    @property
    def secure(self) -> bool:
        """Whether libosdp says that its secure session is open."""
        return bool(self._device.is_sc_active())

    def hold(self, card: bytes, bits: int = 0) -> None:
        """Hold a card up: `bits` of these bytes (all, where 0)."""
        self._card, self._bits = card, bits or 8 * len(card)
        self._report()

    def remove(self) -> None:
        """Take it away."""
        self._card = None

    def open_housing(self, opened: bool) -> None:
        """Its tamper switch."""
        self._tell({"event": Event.Status, "type": osdp.StatusReportType.Local, "report": bytes((opened, 0))})

    def hear(self, data: bytes) -> list[bytes]:
        """Take what is on the line; its replies."""
        if self.silent:
            return []
        self._wire.heard += data
        for _ in range(3):  # an idle line, a whole frame, what follows it
            self._device.ctx.refresh()
        said, self._wire.said = self._wire.said, []
        self.replies += len(said)
        if (
            said
            and self._card is not None
            and self.repeats
            and self.replies >= self._reported_at + CARD_EVERY
        ):
            self._report()
        return [altered for reply in said if (altered := self.alter(reply))]

    def _report(self) -> None:
        assert self._card is not None
        self._reported_at = self.replies
        self._tell(
            {
                "event": Event.CardRead,
                "reader_no": 0,
                "direction": 0,
                "format": osdp.CardFormat.Unspecified,
                "length": self._bits,
                "data": self._card,
            }
        )

    def _tell(self, event: dict[str, object]) -> None:
        self._device.ctx.submit_event(event)


class OsdpLine:
    """The line at `port` and the peripherals on it."""

    def __init__(self, port: str) -> None:
        self.peripherals: list[Peripheral] = []
        self._cable = PtyCable(port, self._received)
        self.cut, self.mend, self.send = self._cable.cut, self._cable.mend, self._cable.send
        self.deaf = False  # everything arrives as noise: another speed

    def add(self, address: int, key: bytes | None) -> Peripheral:
        """Connect one more."""
        peripheral = Peripheral(address, key, serial=len(self.peripherals) + 1)
        self.peripherals.append(peripheral)
        return peripheral

    def _received(self, data: bytes) -> None:
        if self.deaf:
            self.send(bytes(byte ^ 0xA5 for byte in data))
            return
        said = [(peripheral, reply) for peripheral in self.peripherals for reply in peripheral.hear(data)]
        for speaker, reply in said:
            self.send(reply)
            for other in self.peripherals:
                if other is not speaker:
                    other.hear(reply)
