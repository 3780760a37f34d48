"""The report of a commissioning: plain text and JSON in one file, signed with Ed25519.

The signature is over the canonical JSON (sorted keys, no blanks, ASCII) of `format`, `report` and `text`.
It shows that nothing was changed since, by whoever has not the key; whose key it is, its fingerprint says,
compared with the one on paper.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gated.ctl.commission_steps import FAILED, NOT_DONE, PASSED, Result, Step
from gated.errors import StoreError

FORMAT = "gated commissioning report 1"
LIMIT = 4 << 20  # bytes; a report of a hundred inputs is some hundred thousand


class Session(NamedTuple):
    """Who did what: times are UTC (ISO 8601), `config` is the SHA-256 of release.toml in hex."""

    technician: str
    witness: str
    began: str
    ended: str
    config_file: str
    config: str
    version: str


def fingerprint(key: Ed25519PublicKey) -> str:
    """The SHA-256 of the raw public key, in groups to be read aloud."""
    digest = sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()
    return " ".join(digest[n : n + 8] for n in range(0, len(digest), 8))


def make(
    session: Session,
    steps: list[Step],
    results: Mapping[str, Result],
    doctor: Mapping[str, Any],
    doctor_lines: list[str],
    key: Ed25519PrivateKey,
) -> tuple[bytes, str]:
    """The signed file, and its text."""
    done = [(step, results.get(step.id, Result(NOT_DONE, remark="not reached"))) for step in steps]
    report = {
        **session._asdict(),
        "steps": [{"step": step.id, "title": step.title, **result.to_json()} for step, result in done],
        "doctor": dict(doctor),
    }
    public = key.public_key()
    text = "\n".join(_lines(session, done, doctor_lines, fingerprint(public))) + "\n"
    signature = key.sign(_signed(report, text))
    whole = {
        "format": FORMAT,
        "report": report,
        "text": text,
        "public_key": public.public_bytes(Encoding.Raw, PublicFormat.Raw).hex(),
        "signature": signature.hex(),
    }
    return json.dumps(whole, indent=1, ensure_ascii=False).encode() + b"\n", text


def verify(data: bytes) -> tuple[dict[str, Any], str, str]:
    """The report, its text and the fingerprint of the key that signed it.

    Raises StoreError, saying what is wrong, on anything that `make` did not write or that was changed since.
    """
    if len(data) > LIMIT:
        raise StoreError(f"it is longer than {LIMIT} bytes")
    try:
        whole = json.loads(data)
        if whole["format"] != FORMAT:
            raise StoreError(f"it is not a {FORMAT}")
        report, text = whole["report"], whole["text"]
        if not isinstance(report, dict) or not isinstance(text, str):
            raise StoreError("it has no report or no text")
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(whole["public_key"]))
        key.verify(bytes.fromhex(whole["signature"]), _signed(report, text))
    except InvalidSignature:
        raise StoreError("the signature does not fit: it was changed, or signed by another key") from None
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError) as error:
        raise StoreError(f"it is not a signed report: {type(error).__name__}") from None
    return report, text, fingerprint(key)


def load(path: Path) -> bytes:
    """The file's bytes. Raises StoreError."""
    try:
        with path.open("rb") as file:
            return file.read(LIMIT + 1)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def _signed(report: Mapping[str, Any], text: str) -> bytes:
    whole = {"format": FORMAT, "report": report, "text": text}
    return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _lines(
    session: Session, done: list[tuple[Step, Result]], doctor_lines: list[str], key: str
) -> Iterator[str]:
    count = {word: sum(result.outcome == word for _, result in done) for word in (PASSED, FAILED, NOT_DONE)}
    yield "COMMISSIONING OF THE EMERGENCY RELEASE"
    yield ""
    yield f"configuration  {session.config_file}, SHA-256 {session.config}"
    yield f"software       gated {session.version}"
    yield f"technician     {session.technician}"
    yield f"witness        {session.witness}"
    yield f"from, to       {_time(session.began)}, {_time(session.ended)}"
    yield f"result         {', '.join(f'{number} {word}' for word, number in count.items())} of {len(done)}"
    yield ""
    for number, (step, result) in enumerate(done, 1):
        yield f"{number:>3}. {result.outcome.upper():<8}  {step.title}"
        if result.at:
            yield f"     at {_time(result.at)}"
        for name, value in result.measured_ms.items():
            yield f"     {value:>10.1f} ms  {name}"
        yield from (f"     {line}" for line in result.seen)
        if result.remark:
            yield f"     {'reason' if result.outcome == NOT_DONE else 'remark'}: {result.remark}"
    yield ""
    yield "What the configuration and the drivers say of each output and input (gatectl doctor):"
    yield ""
    yield from doctor_lines
    yield ""
    yield "Times are measured by the release or by gatectl as told; where a hand is in them, they say so."
    yield "This report says what was seen on that day. It is no statement of conformity with any standard."
    yield ""
    yield f"key  {key}"
    yield ""
    yield "Technician ______________________________   Witness ______________________________"


def _time(instant: str) -> str:
    try:
        return datetime.fromisoformat(instant).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    except ValueError:
        return instant
