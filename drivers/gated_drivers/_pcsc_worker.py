"""The process of reader_pcsc: pyscard in, presentations out, so that pcscd's library may hang without gated.

Presence of a card is pcscd's word (SCardGetStatusChange); the process waits for it LOOK_S at a time, and
tells the daemon after each wait that it is alive.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import Any

from gated_drivers._camera_wire import Kind, Message, encode
from gated_drivers._card_field import Card, CardField
from gated_drivers._codecs import pcsc
from gated_drivers._worker_side import Order, serve

LOOK_S = 0.25
TRIES = 3  # readings of one card that lies badly; then it has to be held up anew
MAX_ANSWER = 12  # bytes: an identifier of 10, and the status; what is longer is cut, and so has no status


class ReaderLost(Exception):
    """The reader or pcscd is gone; the text says so, and what to do."""


class CardLost(Exception):
    """The card could not be read: taken away early, or held by another program."""


class PcscReader:
    """One reader of pcscd."""

    def __init__(self, scard: Any, wanted: str) -> None:
        """`scard` is pyscard's module smartcard.scard. Raises ReaderLost."""
        self._scard = scard
        status, self._context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        if status != scard.SCARD_S_SUCCESS:
            raise ReaderLost("pcscd does not run; install it, or: systemctl start pcscd.socket")
        status, names = scard.SCardListReaders(self._context, [])
        self._name = choose(names if status == scard.SCARD_S_SUCCESS else [], wanted)
        self._state: int = scard.SCARD_STATE_UNAWARE
        self.atr = b""

    def wait(self) -> tuple[bool, bool]:
        """Wait LOOK_S at most for a change: whether a card lies there, and whether it came anew.

        Raises ReaderLost.
        """
        scard = self._scard
        before = self._state
        status, states = scard.SCardGetStatusChange(self._context, int(LOOK_S * 1000), [(self._name, before)])
        if status not in (scard.SCARD_S_SUCCESS, scard.SCARD_E_TIMEOUT):
            raise ReaderLost("pcscd ended, or the reader was unplugged; check its cable")
        if status == scard.SCARD_S_SUCCESS:
            (_, state, atr), *_ = states
            if state & (scard.SCARD_STATE_UNKNOWN | scard.SCARD_STATE_UNAVAILABLE | scard.SCARD_STATE_IGNORE):
                raise ReaderLost("the reader was unplugged; check its cable")
            self._state = state & ~scard.SCARD_STATE_CHANGED
            self.atr = bytes(atr)
        present = bool(self._state & scard.SCARD_STATE_PRESENT)
        # The upper half counts insertions and removals: two together leave the lower half as it was.
        return present, present and (
            self._state >> 16 != before >> 16 or not before & scard.SCARD_STATE_PRESENT
        )

    def identifier(self) -> bytes:
        """The card's answer to GET_UID. Raises CardLost, or ReaderLost."""
        scard = self._scard
        if self._state & scard.SCARD_STATE_MUTE:
            raise CardLost
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        status, card, protocol = scard.SCardConnect(
            self._context, self._name, scard.SCARD_SHARE_SHARED, protocols
        )
        self._check(status)
        try:
            header = scard.SCARD_PCI_T0 if protocol == scard.SCARD_PROTOCOL_T0 else scard.SCARD_PCI_T1
            status, answer = scard.SCardTransmit(card, header, list(pcsc.GET_UID))
            self._check(status)
        finally:
            scard.SCardDisconnect(card, scard.SCARD_LEAVE_CARD)
        told = bytes(answer[: MAX_ANSWER + 1])
        if not told.endswith(pcsc.DONE):  # 6300: the card went; vpcd says nothing at all then
            raise CardLost
        return told

    def _check(self, status: int) -> None:
        scard = self._scard
        lost = {
            scard.SCARD_E_NO_SERVICE,
            scard.SCARD_E_SERVICE_STOPPED,
            scard.SCARD_E_UNKNOWN_READER,
            scard.SCARD_E_READER_UNAVAILABLE,
            scard.SCARD_E_INVALID_HANDLE,
            scard.SCARD_F_COMM_ERROR,
        }
        if status in lost:
            raise ReaderLost("pcscd ended, or the reader was unplugged; check its cable")
        if status != scard.SCARD_S_SUCCESS:
            raise CardLost


def choose(names: Sequence[str], wanted: str) -> str:
    """The one reader whose name holds `wanted`, in upper or lower case. Raises ReaderLost."""
    if not names:
        raise ReaderLost("pcscd knows of no reader; check its cable, and that its PC/SC driver is installed")
    found = [name for name in names if wanted.casefold() in name.casefold()]
    if len(found) == 1:
        return found[0]
    there = ", ".join(names)
    if found:
        raise ReaderLost(
            f"{len(found)} readers have such a name; say more of it in `reader`. There are: {there}"
        )
    raise ReaderLost(f"no reader has such a name; check its cable and `reader`. There are: {there}")


class Watch:
    """From what the reader tells to messages for the daemon."""

    def __init__(self, reader: PcscReader, technologies: Sequence[str], absent_s: float) -> None:
        self._reader = reader
        self._technologies = technologies
        self._field = CardField(absent_s)
        self._held: Card | None = None  # the card that lies there
        self._tries = 0  # left for the card that lies there

    def look(self) -> list[Message]:
        """Wait for a change, LOOK_S at most, and say what it was. Raises ReaderLost."""
        present, anew = self._reader.wait()
        at = time.monotonic()
        if self._held is not None and (anew or not present):
            self._field.look(self._held, at)  # it lay there until now
            self._field.look(None, at)
            self._held = None
        if anew:
            self._tries = TRIES
        said: list[Message] = []
        if present and self._tries:
            said = self._read(at)
        return [*said, Message(Kind.FRAME, time.monotonic())]

    def _read(self, at: float) -> list[Message]:
        try:
            answer = self._reader.identifier()
        except CardLost:
            self._tries -= 1
            return [Message(Kind.IGNORED, at)]
        self._tries = 0
        card = pcsc.credential(self._reader.atr, answer)
        if card is None or card[0] not in self._technologies:
            return [Message(Kind.IGNORED, at)]
        self._held = card
        at = time.monotonic()
        if not self._field.look(card, at):
            return []
        return [Message(Kind.CODE, at, card[0].encode() + b" " + card[1])]


def work(order: Order, link: socket.socket) -> str:
    """Look for cards until the reader is lost; returns the sentence that says why."""
    try:
        from smartcard import scard
    except ImportError:
        return "pyscard is not installed: install gated[pcsc], or Debian's python3-pyscard"
    try:
        watch = Watch(PcscReader(scard, order["reader"]), order["technologies"], order["absent_s"])
        while True:
            link.sendall(b"".join(encode(message) for message in watch.look()))
    except ReaderLost as lost:
        return str(lost)


if __name__ == "__main__":
    serve(work, "the process that speaks to pcscd")
