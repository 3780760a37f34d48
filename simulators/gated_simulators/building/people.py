"""People of the simulated building by name, with the made-up cards they hold."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from gated.errors import ConfigError, RequestRefused
from gated.settings_file import check, read_toml

IDM = re.compile(r"^[0-9A-F]{16}$")


class _Holder(BaseModel):
    model_config = ConfigDict(extra="forbid")

    idm: str = Field(pattern=r"^[0-9A-Fa-f]{16}$")
    about: str = ""


class _People(BaseModel):
    model_config = ConfigDict(extra="forbid")

    people: dict[str, _Holder] = {}


def load(path: Path) -> dict[str, bytes]:
    """Names and IDms of people.toml; nobody when there is no such file. Raises ConfigError."""
    if not path.exists():
        return {}
    found, problems = check(_People, read_toml(path))
    if found is None:
        raise ConfigError(str(path), problems)
    return {name: bytes.fromhex(holder.idm) for name, holder in found.people.items()}


def idm_of(card: str, people: dict[str, bytes]) -> bytes:
    """The IDm of a name, or of 16 hex digits. Raises RequestRefused, without repeating a number."""
    if card in people:
        return people[card]
    plain = re.sub(r"[\s:-]", "", card).upper()
    if IDM.match(plain):
        return bytes.fromhex(plain)
    raise RequestRefused(
        f"a card is a name ({', '.join(sorted(people)) or 'no people.toml here'}) or 16 hex digits"
    )
