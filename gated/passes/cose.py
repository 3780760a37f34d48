"""COSE_Sign1 (RFC 9052) in one strict shape: EdDSA with Ed25519, a 4-byte key id, deterministic CBOR.

    18([ << {1: -8, 4: kid} >>, {}, << payload >>, signature ])

The profile leaves no choice in the envelope but the key id and the length of the payload, so it is checked
byte by byte: there is no other encoding of the same token, and no attacker's CBOR is parsed at all before
the signature is known to be good.
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gated.core.reasons import Reason

KID_BYTES = 4
SIGNATURE_BYTES = 64
MAX_BYTES = 256
_HEADER = bytes.fromhex("a20127 0444")  # {1: -8 (EdDSA), 4: bstr of 4 bytes ...
_START = bytes.fromhex("d284 49") + _HEADER  # tag 18, array of 4, bstr of 9 bytes
_EMPTY_MAP = 0xA0
_BSTR_8 = 0x58  # a byte string whose length, 24 to 255, is in the next byte
_PAYLOAD_AT = len(_START) + KID_BYTES + 3
_OVERHEAD = _PAYLOAD_AT + 2 + SIGNATURE_BYTES
MIN_PAYLOAD = 24  # a shorter one would have another deterministic encoding
MAX_PAYLOAD = MAX_BYTES - _OVERHEAD
_CONTEXT = bytes.fromhex("84 6a") + b"Signature1"


def _to_sign(kid: bytes, payload: bytes) -> bytes:
    """Sig_structure of RFC 9052, 4.4: context, protected header, no external data, payload."""
    return b"".join((_CONTEXT, b"\x49", _HEADER, kid, b"\x40", bytes((_BSTR_8, len(payload))), payload))


def sign(payload: bytes, kid: bytes, key: Ed25519PrivateKey) -> bytes:
    """The token. Raises ValueError when the payload has not 24 to 175 bytes, or the kid not 4."""
    if not MIN_PAYLOAD <= len(payload) <= MAX_PAYLOAD or len(kid) != KID_BYTES:
        raise ValueError(f"a payload has {MIN_PAYLOAD} to {MAX_PAYLOAD} bytes, a key id {KID_BYTES}")
    signature = key.sign(_to_sign(kid, payload))
    head = b"".join((_START, kid, bytes((_EMPTY_MAP, _BSTR_8, len(payload)))))
    return b"".join((head, payload, bytes((_BSTR_8, SIGNATURE_BYTES)), signature))


def verify(token: bytes, keys: Mapping[bytes, Ed25519PublicKey]) -> bytes | Reason:
    """The signed payload, or why there is none: DENIED_UNREADABLE when the token has not this shape,
    DENIED_BAD_SIGNATURE when its key is not one of `keys` or the signature is wrong. Never raises."""
    length = len(token) - _OVERHEAD
    kid_at = len(_START)
    if (
        not MIN_PAYLOAD <= length <= MAX_PAYLOAD
        or not token.startswith(_START)
        or token[_PAYLOAD_AT - 3] != _EMPTY_MAP
        or token[_PAYLOAD_AT - 2] != _BSTR_8
        or token[_PAYLOAD_AT - 1] != length
        or token[_PAYLOAD_AT + length] != _BSTR_8
        or token[_PAYLOAD_AT + length + 1] != SIGNATURE_BYTES
    ):
        return Reason.DENIED_UNREADABLE
    kid = token[kid_at : kid_at + KID_BYTES]
    payload = token[_PAYLOAD_AT : _PAYLOAD_AT + length]
    key = keys.get(kid)
    if key is None:
        return Reason.DENIED_BAD_SIGNATURE
    try:
        key.verify(token[-SIGNATURE_BYTES:], _to_sign(kid, payload))
    except InvalidSignature:
        return Reason.DENIED_BAD_SIGNATURE
    return payload


def kid_of(token: bytes) -> bytes:
    """The key id of a token that has our shape; anything else of one that has not."""
    return token[len(_START) : len(_START) + KID_BYTES]
