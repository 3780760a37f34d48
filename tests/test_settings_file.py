"""Every error of a file at once, each a sentence a person can act on."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from gated.errors import ConfigError
from gated.settings_file import check, read_toml


class Leaf(BaseModel):
    model_config = ConfigDict(extra="forbid")
    channel: int = Field(ge=0, le=255)
    energised: str = "released"


class Root(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    home: Leaf | None = None
    relays: dict[str, Leaf] = {}


def test_every_error_is_reported_with_its_key_and_a_suggestion() -> None:
    settings, problems = check(
        Root,
        {
            "nmae": "x",
            "home": {"channel": 1, "energized": "x"},
            "relays": {"a": {"chanel": 3, "channel": 999}, "b": {"channel": "two"}},
        },
    )
    assert settings is None
    text = "\n".join(problems)
    assert len(problems) == 6
    assert "name: is required and missing" in text
    assert "home.energized: there is no such setting; did you mean energised?" in text
    assert "nmae: there is no such setting; did you mean name?" in text
    assert "relays.a.chanel: there is no such setting; did you mean channel?" in text
    assert "relays.a.channel: input should be less than or equal to 255 (found 999)" in text
    assert "relays.b.channel: " in text and "(found 'two')" in text


def test_a_good_file_has_no_problems() -> None:
    settings, problems = check(Root, {"name": "x", "relays": {"a": {"channel": 1}}})
    assert problems == []
    assert settings is not None and settings.relays["a"].channel == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a = = 1", "is not TOML"),
        (b"a = '\xff'", "is not UTF-8"),
        (b"a = " + b"9" * 5000, "without end"),
        (b"a = " + b"[" * 5000, "without end"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "f.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        read_toml(path)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert read_toml(path) == {"a": 1}
