"""The made parts of the pages are what the program says now."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from gated.release import tables
from tests.docs import made


@pytest.mark.parametrize("page", made.pages(), ids=lambda path: path.name)
def test_a_page_is_current(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == made.made(text), "run: python -m tests.docs.made"


def test_every_made_part_stands_in_a_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in made.pages())
    assert {part[2] for part in made.PART.finditer(text)} == set(made.MADE)


@pytest.mark.parametrize(
    ("part", "module"), [(made.ladder, "gated.core.decision"), (made.lanes, "gated.core.lane")]
)
def test_a_table_is_what_its_module_prints(part: Callable[[], str], module: str) -> None:
    ran = subprocess.run([sys.executable, "-m", module], capture_output=True, text=True, check=True)
    assert part() == f"```text\n{ran.stdout}```\n"


def test_the_tables_of_the_release_file_are_whole() -> None:
    """They are written by hand, as their settings carry no descriptions."""
    page = (made.DOCS / "configuration.md").read_text(encoding="utf-8").partition("## release.toml")[2]
    models: dict[str, type[BaseModel]] = {
        "[release]": tables.ReleaseTable,
        "[inputs.NAME]": tables.InputTable,
        "[outputs.NAME]": tables.OutputTable,
        "[monitors.NAME]": tables.MonitorTable,
        "[signals.NAME]": tables.SignalTable,
    }
    for title, model in models.items():
        section = page.partition(f"### {title}")[2].partition("###")[0]
        rows = re.findall(r"^\| (`.+?`) \| (.*?) \|", section, re.MULTILINE)
        told = {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}
        assert told.keys() == model.model_fields.keys()
        for name, field in model.model_fields.items():
            if field.default is PydanticUndefined:
                assert told[name] == "**required**", name
            elif field.default is not None:
                value = str(field.default).lower() if isinstance(field.default, bool) else field.default
                assert told[name] == f"`{value}`", name
            else:
                assert told[name] in ("none", "all", "by `alarm_when`", "the output's name"), name
