"""A TOML file checked whole against a pydantic model: every error at once, each one a sentence."""

from __future__ import annotations

import copy
import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from gated.errors import ConfigError

M = TypeVar("M", bound=BaseModel)

LONGEST_SHOWN = 80  # characters of what was found

SALVAGE_ROUNDS = 4
"""Taking one faulty key out can lay open another, a few levels deep."""


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables. Raises ConfigError when it cannot be read or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), [f"is not UTF-8 text: byte {error.start}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), [f"is not TOML: {error}"]) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets by the thousand
        raise ConfigError(str(path), ["is not a configuration: a number or a nesting without end"]) from error


def check(model: type[M], tables: Any, at: str = "") -> tuple[M | None, list[str]]:
    """Validate `tables`; return the settings, or None and one sentence for each error.

    `at` is the dotted key the tables stand under, for the sentences.
    """
    try:
        return model.model_validate(tables), []
    except ValidationError as error:
        return None, [_sentence(model, dict(e), at) for e in error.errors(include_url=False)]


def salvage(model: type[M], tables: Any, at: str = "") -> tuple[M | None, list[str]]:
    """As `check`, but with errors still return what is left without the faulty keys, where that is valid.

    For checks across tables only: so that one bad key does not hide the next error. Never run on it.
    """
    found, problems = check(model, tables, at)
    left = copy.deepcopy(tables)
    for _ in range(SALVAGE_ROUNDS if problems else 0):
        try:
            return model.model_validate(left), problems
        except ValidationError as error:
            for e in error.errors(include_url=False):
                _mend(left, dict(e))
    return found, problems


def _mend(tables: Any, error: dict[str, Any]) -> None:
    """Take the faulty key out (a list, or a table that lacks a key, whole), or put an allowed word in."""
    if not error["loc"]:  # not even a table
        return
    *way, last = error["loc"]
    allowed = _expected(error)
    owner, key, at = {}, None, tables
    for part in way:
        if isinstance(at, dict) and part in at:
            owner, key = at, part
        elif not (isinstance(at, list) and isinstance(part, int)):
            break
        at = at[part]
    else:
        if allowed:
            at[last] = allowed[0]
            return
        if isinstance(at, dict) and last in at:
            owner, key = at, last
    owner.pop(key, None)


def _expected(error: dict[str, Any]) -> list[str]:
    """The words that would have been allowed, for a wrong word."""
    if error["type"] not in ("enum", "literal_error"):
        return []
    return re.findall(r"'([^']*)'", error["ctx"]["expected"])


def near(word: str, allowed: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: what was meant, or what there is."""
    known = sorted(allowed)
    found = difflib.get_close_matches(word, known, 1)
    if found:
        return f"did you mean {found[0]}?"
    return f"known: {', '.join(known)}" if known else "none is configured"


def _sentence(model: type[BaseModel], error: dict[str, Any], at: str) -> str:
    loc = [str(part) for part in error["loc"]]
    key = ".".join([*([at] if at else []), *loc])
    if error["type"] == "extra_forbidden":
        owner = _model_at(model, error["loc"][:-1])
        allowed = sorted(f.alias or n for n, f in owner.model_fields.items()) if owner else []
        close = difflib.get_close_matches(loc[-1], allowed, 1)
        hint = f"did you mean {close[0]}?" if close else f"allowed here: {', '.join(allowed)}"
        return f"{key}: there is no such setting; {hint}"
    if error["type"] == "missing":
        return f"{key}: is required and missing"
    found = error.get("input")
    shown = "" if isinstance(found, dict | list) or found is None else f" (found {_shown(found)})"
    if error["type"] in ("model_type", "dict_type"):
        return f"{key}: must be a table{shown}"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if isinstance(found, str) and (close := difflib.get_close_matches(found, _expected(error), 1)):
        shown += f"; did you mean {close[0]}?"
    return f"{key}: {message[:1].lower()}{message[1:]}{shown}"


def _shown(found: Any) -> str:
    text = str(found).lower() if isinstance(found, bool) else repr(found)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _model_at(model: type[BaseModel], loc: tuple[Any, ...]) -> type[BaseModel] | None:
    """The model that owns the key at `loc`, walking through mappings, lists and unions of models."""
    current: Any = model
    for part in loc:
        for option in _alternatives(current):
            if _is_model(option) and part in option.model_fields:
                current = option.model_fields[part].annotation
                break
            if get_origin(option) in (dict, Mapping, list, tuple):
                current = get_args(option)[-1]
                break
        else:
            return None
    return next((option for option in _alternatives(current) if _is_model(option)), None)


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """The members of a union; the annotation itself otherwise."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
