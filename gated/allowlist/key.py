"""The site key: what turns a clear card number into the identifier that gated stores and logs.

A plain hash of a card number is no protection (a 4-byte UID has 2^32 values); a keyed one is, as long as
the key is not beside it for everybody to read. Keyed BLAKE2b (RFC 7693), 16-byte digest; the technology
is the personalisation, so that equal numbers of two card families never meet.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

from gated.durable import create_once, read_private
from gated.errors import StoreError

KEY_BYTES = 32
IDENTIFIER_BYTES = 16
_PERSON_BYTES = 16  # the most BLAKE2b takes


class SiteKey:
    """A site's secret key; only its `id` may be shown or stored elsewhere."""

    def __init__(self, secret: bytes) -> None:
        """`secret` is 32 bytes. Raises StoreError otherwise."""
        if len(secret) != KEY_BYTES:
            raise StoreError(f"a site key has {KEY_BYTES} bytes, not {len(secret)}")
        self._secret = secret
        self._started: dict[str, blake2b] = {}
        self.id = blake2b(b"gated site key", digest_size=8, key=secret, person=b"key id").digest()
        """8 bytes that tell one key from another and reveal nothing of it."""

    @classmethod
    def load_or_create(cls, path: Path) -> SiteKey:
        """The key kept in the file, made on first use with mode 0600.

        Raises StoreError when others may read the file, it is not a key, or it cannot be read or made.
        """
        try:
            if not path.exists():
                create_once(path, os.urandom(KEY_BYTES))
            return cls(read_private(path))
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from error
        except StoreError as error:
            raise StoreError(str(error) if str(path) in str(error) else f"{path}: {error}") from error

    def identify(self, technology: str, payload: bytes) -> bytes:
        """The 16-byte identifier of a card number read with `technology` (at most 16 ASCII characters)."""
        started = self._started.get(technology)
        if started is None:
            person = technology.encode("ascii")
            if len(person) > _PERSON_BYTES:
                raise ValueError("the name of a technology has at most 16 characters")
            started = blake2b(digest_size=IDENTIFIER_BYTES, key=self._secret, person=person)
            self._started[str(technology)] = started
        digest = started.copy()
        digest.update(payload)
        return digest.digest()

    def __repr__(self) -> str:
        return f"SiteKey(id={self.id.hex()})"
