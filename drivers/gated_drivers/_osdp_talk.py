"""What a control panel and one OSDP peripheral say to each other, without the line between them.

One command is under way at a time. A command without a reply is repeated as it was, with the same sequence
number (IEC 60839-11-5, 5.9); after TRIES of them the talk begins anew, with a new secure session.

Outside of a secure session nothing that a peripheral says is believed, least of all what it claims to be
able to: it is told osdp_ID with sequence number 0, which takes it out of whatever it was in, and is then
asked for the session. Inside of it only what carries the right MAC is believed. The peripheral may end the
session (NAK in plain text, after a loss of power) and be busy; neither can put words into its mouth.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

from gated_drivers._codecs.osdp import (
    BUSY,
    ID,
    LSTAT,
    LSTATR,
    NAK,
    POLL,
    RAW,
    RSTAT,
    RSTATR,
    Block,
    CardRead,
    Reply,
    card_read,
    command,
)
from gated_drivers._codecs.osdp_secure import RANDOM_BYTES, WIRES, Handshake, Session, Untrusted

TRIES = 3  # of one command


class Talk:
    """The talk with the peripheral at one address (0 to 126), under one key; `rng` gives random bytes.

    `strayed` counts replies that were not for the command under way, `restarts` the sessions that it ended.
    """

    def __init__(self, address: int, key: bytes, rng: Callable[[int], bytes] = os.urandom) -> None:
        self.address = address
        self.strayed = self.restarts = 0
        self.polled = 0
        """How many polls were answered under a session: proof that the reader is there, and is ours."""
        self.trouble = ""
        """Why the housing or the reader behind it is not sound, with what to do; empty while it is."""
        self.busy = False
        """The peripheral wants the command again, later."""
        self._key = key
        self._rng = rng
        self._begin()

    def _begin(self) -> None:
        self._sequence = 0
        self._frame = b""  # under way
        self._tried = 0
        self._asked = ID
        self._questions = deque((LSTAT, RSTAT))  # before the first poll
        self._handshake: Handshake | None = None
        self._proof: tuple[bytes, Block] | None = None
        self._session: Session | None = None

    @property
    def repeated(self) -> bool:
        """Whether the command under way was sent more than once."""
        return self._tried > 1

    def command(self) -> bytes:
        """The frame to send now: a new command, or the one that got no reply."""
        if not self._frame:
            self._frame = self._next()
            self._tried = 0
        self._tried += 1
        self.busy = False
        return self._frame

    def _next(self) -> bytes:
        if self._session is not None:
            self._asked = self._questions.popleft() if self._questions else POLL
            return self._session.seal(self.address, self._sequence, bytes((self._asked,)))
        if self._handshake is None:
            return command(self.address, self._sequence, bytes((ID, 0)))
        body, block = self._proof or self._handshake.challenge()
        return command(self.address, self._sequence, body, block)

    def silence(self) -> None:
        """No reply came in time."""
        if self._tried >= TRIES and not self.busy:
            self._begin()

    def _restart(self) -> None:
        """The peripheral ended the session."""
        self.restarts += 1
        self._begin()

    def reply(self, reply: Reply) -> CardRead | bool:
        """Take a reply; False: it is not for the command under way. A card, where it told one.

        Raises Untrusted, after which the talk is over.
        """
        if reply.block is None and reply.body == bytes((BUSY,)) and reply.sequence in (0, self._sequence):
            self.busy = True
            self._tried = 0
            return True
        lost = self._session is not None and reply.block is None and reply.body[0] == NAK
        if lost and reply.sequence == 0:  # it has just been switched on
            self._restart()
            return True
        if reply.sequence != self._sequence or not self._frame:
            self.strayed += 1
            return False
        told = self._secured(reply) if self._session is not None else self._shaken(reply)
        if self._frame:  # not begun anew
            self._frame = b""
            self._sequence = self._sequence % 3 + 1
        return told

    def _shaken(self, reply: Reply) -> bool:
        """One step of the handshake."""
        if self._handshake is None:
            self._handshake = Handshake(self._key, self._rng(RANDOM_BYTES))
        elif self._proof is None:
            self._proof = self._handshake.proof(reply)
        else:
            self._session = self._handshake.session(reply)
            self._handshake = self._proof = None
        return True

    def _secured(self, reply: Reply) -> CardRead | bool:
        """A reply under the session."""
        assert self._session is not None
        if reply.block is None:
            if reply.body[0] != NAK:
                raise Untrusted(f"answers in plain text inside of its secure session{WIRES}")
            self._restart()
            return True
        body = self._session.open(reply)
        code, data = body[0], body[1:]
        if code == NAK:
            if self._asked == POLL:
                self._restart()
            return True  # not every reader can tell its status
        if code == LSTATR and len(data) == 2:
            self._found("says that its housing is open; close it, and see who opened it", data[0] != 0)
        elif code == RSTATR and data:
            self._found("says that the reader behind it is gone or open; see to its wires", any(data))
        if self._asked == POLL:
            self.polled += 1
            if code == RAW and (card := card_read(data)) is not None:
                return card
        return True

    def _found(self, trouble: str, found: bool) -> None:
        if found:
            self.trouble = trouble
        elif self.trouble == trouble:
            self.trouble = ""
