"""From what was held up to what the site knows of it: the last step before the decision."""

from __future__ import annotations

from dataclasses import dataclass

from gated.allowlist import Cache, SiteKey
from gated.core.model import AccessRights, Credential
from gated.core.reasons import Reason
from gated.errors import StoreError
from gated.passes import Store, Verifier
from gated.passes.claims import Pass, PassClass
from gated.passes.store import UNREGISTERED
from gated.ports import Presentation, Technology

MAX_CARD_BYTES = 64  # far above any card number


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the event CredentialPresented wants to know; `identifier` is b"" for unreadable bytes."""

    identifier: bytes
    credential: Credential | None = None
    refusal: Reason | None = None


class Resolver:
    """Looks a presentation up. Synchronous and fast: it stands on the decision path."""

    def __init__(self, cache: Cache, key: SiteKey, verifier: Verifier, store: Store) -> None:
        self._cache = cache
        self._key = key
        self._verifier = verifier
        self._store = store

    def resolve(self, presentation: Presentation) -> Resolved:
        """The credential, or the reason why the bytes are none. Never raises, whatever the bytes."""
        if presentation.technology == Technology.QR:
            return self._code(presentation.payload)
        if not 0 < len(presentation.payload) <= MAX_CARD_BYTES:
            return Resolved(b"", refusal=Reason.DENIED_UNREADABLE)
        identifier = self._key.identify(presentation.technology, presentation.payload)
        return Resolved(identifier, self._cache.lookup(identifier))

    def _code(self, content: bytes) -> Resolved:
        found = self._verifier.verify(content)
        if isinstance(found, Reason):
            return Resolved(b"", refusal=found)
        return Resolved(found.id, self._credential(found))

    def _credential(self, p: Pass) -> Credential:
        """A pass this gate was never told of is not activated; whether that matters, the site says (C5)."""
        single_use = p.pass_class is PassClass.SINGLE_ENTRY
        try:
            status = self._store.status(p.id)
        except StoreError:
            # What became of the pass cannot be told: whoever does not need the activation has to win a claim.
            status, single_use = UNREGISTERED, True
        return Credential(
            p.id,
            p.pass_class.kind,
            AccessRights(p.zones, None, p.not_before, p.expires),
            denied=status.revoked,
            activated=status.activated,
            single_use=single_use,
            used=status.used,
        )
