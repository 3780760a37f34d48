"""From the content of a code to a pass whose signature is good, or to the reason why not.

Validity is not looked at here: only the core knows a time it may trust.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gated.core.reasons import Reason
from gated.errors import StoreError
from gated.passes import base45, cose
from gated.passes.claims import Pass, unpack
from gated.passes.keys import kid_for, load_public

MAX_TEXT = (cose.MAX_BYTES + 1) // 2 * 3  # characters of the longest token


class Verifier:
    """Knows the public keys in a directory; looks again when a code names a key it does not know."""

    def __init__(self, directory: Path) -> None:
        """Read the keys; no directory yet means no keys. A file that is none stands in `problems`."""
        self._directory = directory
        self._keys: dict[bytes, Ed25519PublicKey] = {}
        self._seen = -1
        self.problems: list[str] = []
        """One sentence for each key file that cannot be used."""
        self.reload()

    @property
    def kids(self) -> frozenset[bytes]:
        """The ids of the keys in use."""
        return frozenset(self._keys)

    def reload(self) -> None:
        """Read the directory again: new keys are accepted, removed ones no longer."""
        keys: dict[bytes, Ed25519PublicKey] = {}
        problems: list[str] = []
        try:
            self._seen = self._directory.stat().st_mtime_ns
            paths = sorted(self._directory.glob("*.pub"))
        except OSError:
            self._seen, paths = -1, []
        for path in paths:
            try:
                key = load_public(path)
                keys[kid_for(key)] = key
            except StoreError as error:
                problems.append(str(error))
        self._keys, self.problems = keys, problems

    def verify(self, content: bytes) -> Pass | Reason:
        """The pass, or DENIED_UNREADABLE, or DENIED_BAD_SIGNATURE. Never raises on any bytes."""
        token = base45.decode(content) if len(content) <= MAX_TEXT else None
        if token is None:
            return Reason.DENIED_UNREADABLE
        payload = cose.verify(token, self._keys)
        if (
            payload is Reason.DENIED_BAD_SIGNATURE
            and cose.kid_of(token) not in self._keys
            and self._changed()
        ):
            self.reload()
            payload = cose.verify(token, self._keys)
        if isinstance(payload, Reason):
            return payload
        return unpack(payload) or Reason.DENIED_UNREADABLE

    def _changed(self) -> bool:
        try:
            return self._directory.stat().st_mtime_ns != self._seen
        except OSError:
            return False
