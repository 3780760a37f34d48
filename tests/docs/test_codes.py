"""decisions.md names every code that gated and gated-release can record, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from gated.core.effects import RecordKind
from gated.core.reasons import Reason
from gated.journal import reader
from gated.release.records import MESSAGE_IDS
from tests.docs.made import DOCS

ROOT = Path(__file__).parents[2] / "gated"
KINDS = {"_end_grant": "PASSAGE", "_alarm": "ALARM", "audit": "AUDIT", "_tell": "COMMAND"}
"""Helpers that record one kind, and take its code first."""


def recorded() -> Iterator[tuple[str, str]]:
    """Kind and code of every record in the source that names its code."""
    for file in ROOT.rglob("*.py"):
        if file.is_relative_to(ROOT / "release") or file.is_relative_to(ROOT / "ctl"):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            kind, arguments = KINDS.get(called, ""), node.args
            for place, argument in enumerate(node.args):
                if isinstance(argument, ast.Attribute) and getattr(argument.value, "id", "") == "RecordKind":
                    kind, arguments = argument.attr, node.args[place + 1 :]
            if called == "append" and len(arguments) > 1:  # the journal's own
                kind, arguments = str(getattr(arguments[0], "value", "")), arguments[1:]
            if kind and arguments and isinstance(code := getattr(arguments[0], "value", None), str):
                yield kind.lower(), code


def written(section: str) -> set[str]:
    """The codes in the first column of a section's table."""
    page = (DOCS / "decisions.md").read_text(encoding="utf-8")
    table = re.split(r"^##", page.partition(f"{section}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    return {code for row in rows for code in re.findall(r"`(\w+)`", row)}


def test_every_code_of_the_journal() -> None:
    codes: dict[str, set[str]] = {kind.value: set() for kind in RecordKind}
    for kind, code in recorded():
        codes[kind].add(code)
    del codes["decision"]  # its codes are the reasons
    codes["audit"].add(reader._damaged("", 0)["code"])
    assert codes == {kind: written(f"### {kind}") for kind in codes}


def test_every_reason() -> None:
    page = (DOCS / "decisions.md").read_text(encoding="utf-8")
    assert [reason for reason in Reason if not re.search(rf"\b{reason.value}\b", page)] == []


def test_every_code_of_the_release() -> None:
    assert written("## The trail of gated-release") == set(MESSAGE_IDS)
