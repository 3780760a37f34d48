"""The parts of docs/ that are made from the program: `python -m tests.docs.made` writes them again.

A page marks such a part by two comments, `<!-- made: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gated import config_file, registry
from gated.core import decision, lane
from gated.core.effects import RecordKind
from gated.logs import message_id
from gated.release.records import MESSAGE_IDS

DOCS = Path(__file__).parents[2] / "docs"
PART = re.compile(r"(<!-- made: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

TABLES: dict[str, type[BaseModel]] = {
    "[site]": config_file.SiteTable,
    "[passes]": config_file.PassesTable,
    "[areas.NAME]": config_file.AreaTable,
    "[schedules.NAME]": config_file.ScheduleTable,
    "[devices.NAME]": config_file.DeviceTable,
    "[lanes.NAME]": config_file.LaneTable,
    "lines of mode_schedule": config_file.ModeHours,
    "[lanes.NAME.relays]": config_file.LaneRelays,
    "one release relay": config_file.ReleaseCoilTable,
    "one lamp relay": config_file.SignalCoilTable,
    "[lanes.NAME.contacts]": config_file.LaneContacts,
    "one contact": config_file.ContactTable,
    "[lanes.NAME.times]": config_file.LaneTimesTable,
}

NAMES = {"str": "text", "Path": "path", "int": "whole number", "float": "number", "bool": "true, false"}


def _kinds(annotation: Any) -> Iterator[str]:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _kinds(inside[0])
    elif origin in (Union, types.UnionType):
        for one in inside:
            yield from _kinds(one)
    elif origin is Literal:
        yield from (f'"{word}"' if isinstance(word, str) else str(word) for word in inside)
    elif origin is list:
        yield f"list of {' or '.join(_kinds(inside[0]))}"
    elif origin is tuple:
        yield f"list of {len(inside)} {' or '.join(dict.fromkeys(k for one in inside for k in _kinds(one)))}s"
    elif origin is dict:
        yield f"table of {' or '.join(_kinds(inside[0]))} = {' or '.join(_kinds(inside[1]))}"
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        yield from (f'"{word.value}"' for word in annotation)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "table"
    elif annotation is not types.NoneType:
        yield NAMES.get(annotation.__name__, annotation.__name__)


def _inside(annotation: Any) -> Iterator[type[BaseModel]]:
    """The tables that a setting holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for one in get_args(annotation):
        yield from _inside(one)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None or isinstance(value, BaseModel) or value in ([], {}, ""):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _table(title: str, model: type[BaseModel]) -> str:
    lines = [f"### {title}\n", "| key | value | default | |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        told = (field.description or "").replace("|", "\\|")
        lines.append(f"| `{name}` | {', '.join(_kinds(field.annotation))} | {_default(field)} | {told} |")
    return "\n".join(lines) + "\n"


def settings() -> str:
    """Every table of gated.toml."""
    return "\n".join(_table(title, model) for title, model in TABLES.items())


def drivers() -> str:
    """Every driver's own settings, and the tables within them."""
    parts = []
    for name in registry.names():
        model = registry.find(name).settings
        parts.append(_table(name, model))
        for key, field in model.model_fields.items():
            parts += [_table(f"{name}: {key} ({one.__name__})", one) for one in _inside(field.annotation)]
    return "\n".join(parts)


def ladder() -> str:
    """What `python -m gated.core.decision` prints."""
    return f"```text\n{decision.describe()}\n```\n"


def lanes() -> str:
    """What `python -m gated.core.lane` prints."""
    return f"```text\n{lane.describe()}\n```\n"


def messages() -> str:
    """The MESSAGE_ID of each kind of gated's records, and of each code of gated-release's."""
    rows = [("gated", kind.value, message_id(kind.value)) for kind in RecordKind]
    rows += [("gated-release", code, one) for code, one in MESSAGE_IDS.items()]
    lines = [f"| {who} | `{what}` | `{one}` |" for who, what, one in rows]
    return "\n".join(["| from | kind or code | MESSAGE_ID |", "|---|---|---|", *lines]) + "\n"


MADE: dict[str, Callable[[], str]] = {
    made.__name__: made for made in (settings, drivers, ladder, lanes, messages)
}


def pages() -> list[Path]:
    """Every page."""
    return sorted(DOCS.glob("*.md"))


def made(page: str) -> str:
    """The page with every made part as it must be."""
    return PART.sub(lambda part: f"{part[1]}\n{MADE[part[2]]()}\n{part[4]}", page)


if __name__ == "__main__":
    for path in pages():
        path.write_text(made(path.read_text(encoding="utf-8")), encoding="utf-8")
