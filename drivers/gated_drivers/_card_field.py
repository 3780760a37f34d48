"""The field of a card reader: which answer is a credential, and when a card counts as held up once more."""

from __future__ import annotations

from typing import Protocol

from gated.ports import Technology


class Answer(Protocol):
    """What a card answered to being polled, as nfcpy's RemoteTarget tells it."""

    brty: str
    sensf_res: bytes | None
    sdd_res: bytes | None
    sensb_res: bytes | None


Card = tuple[Technology, bytes]


def credential(answer: Answer) -> Card | None:
    """The identifier in a card's answer; None where it is a number drawn anew at each reading.

    FeliCa: IDm, 8 bytes of SENSF_RES; 01FE begins that of a phone in peer mode (NFC Digital 6.6.1).
    Type A: UID, 4, 7 or 10 bytes; 08 begins a random one of 4 bytes (ISO 14443-3 6.5.4).
    Type B: PUPI, 4 bytes of SENSB_RES; some cards draw it anew and do not say so.
    """
    if answer.brty.endswith("F") and answer.sensf_res:
        idm = bytes(answer.sensf_res[1:9])
        return None if len(idm) < 8 or idm.startswith(b"\x01\xfe") else (Technology.FELICA, idm)
    if answer.brty.endswith("A") and answer.sdd_res:
        uid = bytes(answer.sdd_res)
        random = len(uid) == 4 and uid[0] == 0x08
        return None if random else (Technology.ISO14443A, uid)
    if answer.brty.endswith("B") and answer.sensb_res:
        pupi = bytes(answer.sensb_res[1:5])
        return None if len(pupi) < 4 else (Technology.ISO14443B, pupi)
    return None


class CardField:
    """Tells a card that is held up from one that is still there.

    A card counts again when a look missed it and it was not seen for `absent_s` seconds. The time alone
    does not tell: a look for several card families can itself take seconds.
    """

    def __init__(self, absent_s: float) -> None:
        self._absent_s = absent_s
        self._seen: dict[Card, float] = {}
        self._missed: set[Card] = set()

    def look(self, found: Card | None, at: float) -> bool:
        """The reader looked and found this card, or none, at `at`; True when it was held up anew."""
        gone = {card for card in self._missed if at - self._seen[card] >= self._absent_s}
        self._missed -= gone
        for card in gone:
            del self._seen[card]
        new = found is not None and found not in self._seen
        if found is not None:
            self._seen[found] = at
        self._missed = set(self._seen) - {found}
        return new
