"""A TOML file checked whole against a pydantic model: every error at once, each one a sentence."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gated.errors import ConfigError

M = TypeVar("M", bound=BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables. Raises ConfigError when it cannot be read or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), [f"is not UTF-8 text: byte {error.start}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), [f"is not TOML: {error}"]) from error


def check(model: type[M], tables: Any, at: str = "") -> tuple[M | None, list[str]]:
    """Validate `tables`; return the settings, or None and one sentence for each error.

    `at` is the dotted key the tables stand under, for the sentences.
    """
    try:
        return model.model_validate(tables), []
    except ValidationError as error:
        return None, [_sentence(model, dict(e), at) for e in error.errors(include_url=False)]


def _sentence(model: type[BaseModel], error: dict[str, Any], at: str) -> str:
    loc = [str(part) for part in error["loc"]]
    key = ".".join([*([at] if at else []), *loc])
    if error["type"] == "extra_forbidden":
        owner = _model_at(model, error["loc"][:-1])
        allowed = sorted(f.alias or n for n, f in owner.model_fields.items()) if owner else []
        near = difflib.get_close_matches(loc[-1], allowed, 1)
        hint = f"did you mean {near[0]}?" if near else f"allowed here: {', '.join(allowed)}"
        return f"{key}: there is no such setting; {hint}"
    if error["type"] == "missing":
        return f"{key}: is required and missing"
    found = error.get("input")
    shown = "" if isinstance(found, dict | list) or found is None else f" (found {found!r})"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return f"{key}: {message[:1].lower()}{message[1:]}{shown}"


def _model_at(model: type[BaseModel], loc: tuple[Any, ...]) -> type[BaseModel] | None:
    """The model that owns the key at `loc`, walking through mappings and lists of models."""
    current: Any = model
    for part in loc:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(part))
            if field is None:
                return None
            current = _inner(field.annotation)
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _inner(annotation: Any) -> Any:
    """The model inside dict[str, M], list[M], M | None; the annotation itself otherwise."""
    for arg in getattr(annotation, "__args__", ()):
        found = _inner(arg)
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return annotation
