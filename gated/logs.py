"""Logs: structlog to journald's fields, or plain lines where there is no journald.

Fields: GATED_EVENT (the journal's code), GATED_KIND, GATED_LANE, GATED_REASON (a decision's), GATED_DEVICE,
GATED_ACCESS_POINT, GATED_DIRECTION, and MESSAGE_ID by kind of event. Nothing else gets through, so that no
identifier does, clear or keyed. Other libraries are heard from WARNING up, with long hex taken out.
"""

from __future__ import annotations

import logging
import re
import sys
import uuid
from collections.abc import MutableMapping
from functools import cache
from typing import Any

# structlog loads rich, where it is installed, for tracebacks in colour that are never printed here:
# 50 modules, 4 MiB and a tenth of a second's start.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
import structlog  # noqa: E402

if sys.modules["rich"] is None:
    del sys.modules["rich"]

from gated.journald import Log  # noqa: E402

log = structlog.get_logger()
"""The daemon's logger."""

FIELDS = ("event_code", "kind", "lane", "reason", "device", "access_point", "direction")
CAPPED = ("nfc", "PIL", "urllib3", "asyncio")
PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}  # syslog(3)

_NAMESPACE = uuid.UUID("0f6c7f0e-7d0c-5f0d-9c55-2d1b6b0c6a11")
_HEX = re.compile(r"\b(?:[0-9A-Fa-f]{2}[ :]?){4,}")


@cache
def message_id(kind: str) -> str:
    """The MESSAGE_ID of a kind of event: a UUID of version 5, stable between versions of gated."""
    return uuid.uuid5(_NAMESPACE, kind).hex


class _Sink:
    """What structlog's wrapper calls at the end of its chain."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def write(self, message: str, priority: int, fields: dict[str, str]) -> None:
        self._log.write(message, priority, **fields)

    debug = info = warning = error = critical = write


def _fields(_: Any, method: str, entry: MutableMapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """structlog's last processor: the arguments of `_Sink.write`."""
    fields = {
        "GATED_EVENT" if name == "event_code" else f"GATED_{name.upper()}": str(entry[name])
        for name in FIELDS
        if entry.get(name)
    }
    if "GATED_KIND" in fields:
        fields["MESSAGE_ID"] = message_id(fields["GATED_KIND"])
    return (str(entry["event"]), PRIORITY.get(method, 6), fields), {}


class _Others(logging.Handler):
    """Entries of other libraries, without what may be a card's or a frame's bytes."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        text = _HEX.sub("[hex] ", record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text += f" ({type(error).__name__}: {_HEX.sub('[hex] ', str(error))})"
        priority = PRIORITY.get(record.levelname.lower(), 4)
        self._log.write(f"{record.name}: {text}", priority)


def configure(identifier: str = "gated") -> Log:
    """Set structlog and the standard library's logging up, before anything is logged; return the sink."""
    sink = Log(identifier)
    structlog.configure(
        processors=[_fields],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _Sink(sink),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(_Others(sink))
    root.setLevel(logging.WARNING)
    for name in CAPPED:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger(name).level))
    return sink
