"""The keys of passes: reception holds the one that signs, gates hold public ones only.

A public key lies in `pass-keys/<kid>.pub`, 32 raw bytes or PEM; its kid is the start of its SHA-256.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from gated.durable import create_once, read_private
from gated.errors import StoreError
from gated.passes.cose import KID_BYTES

PUBLIC_BYTES = 32


def kid_for(key: Ed25519PublicKey) -> bytes:
    """The key id: the first 4 bytes of the SHA-256 of the raw public key."""
    return sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).digest()[:KID_BYTES]


def load_or_create_private(path: Path) -> Ed25519PrivateKey:
    """Reception's signing key (PEM, PKCS 8), made on first use with mode 0600.

    Raises StoreError when others may read the file, it is no such key, or it cannot be read or made.
    """
    try:
        if not path.exists():
            fresh = Ed25519PrivateKey.generate()
            create_once(path, fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        key = load_pem_private_key(read_private(path), None)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise StoreError(f"{path}: is not an unencrypted Ed25519 key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StoreError(f"{path}: is not an Ed25519 key")
    return key


def install_public(directory: Path, key: Ed25519PublicKey) -> Path:
    """Let the gates that read `directory` accept what this key signed. Raises StoreError."""
    path = directory / f"{kid_for(key).hex()}.pub"
    try:
        create_once(path, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    return path


def load_public(path: Path) -> Ed25519PublicKey:
    """A public key, 32 raw bytes or PEM. Raises StoreError."""
    try:
        content = path.read_bytes()
        if len(content) == PUBLIC_BYTES:
            return Ed25519PublicKey.from_public_bytes(content)
        key = load_pem_public_key(content)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise StoreError(f"{path}: is not an Ed25519 public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise StoreError(f"{path}: is not an Ed25519 public key")
    return key
