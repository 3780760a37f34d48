"""Contacts that only warn: a panel that passes no alarm on or has a trouble, power from the battery."""

from __future__ import annotations

from collections.abc import Mapping

from gated.release.tables import Says
from gated.release.words import Audit, Now

SENTENCES: Mapping[Says, str] = {
    "transfer_stopped": "the fire panel passes no alarm on (its transfer is stopped)",
    "panel_trouble": "the fire panel tells of a trouble",
    "on_battery": "the power is off, the battery feeds the release",
}


class Monitors:
    """What each monitor said last, and since when."""

    def __init__(self, says: Mapping[str, Says]) -> None:
        self._says = says
        self._trouble: dict[str, bool | None] = dict.fromkeys(says)
        self._since: dict[str, str] = {}

    def seen(self, name: str, trouble: bool | None, fault: str, now: Now) -> Audit | None:
        """A monitor was read (None: it cannot be, and `fault` says why where known); its record, if news."""
        if trouble is self._trouble[name]:
            return None
        first = name not in self._since
        self._trouble[name] = trouble
        self._since[name] = now.utc.isoformat(timespec="seconds")
        detail = {"input": name, "says": self._says[name]}
        if trouble:
            return Audit("monitor_trouble", f"{name}: {SENTENCES[self._says[name]]}", 4, detail)
        if trouble is None:
            why = f": its line reads {fault}" if fault else ""
            return Audit(
                "monitor_unread", f"monitor {name} cannot be read{why}", 4, detail | {"fault": fault}
            )
        if first:
            return None
        return Audit("monitor_good", f"{name}: no trouble ({self._says[name]})", 5, detail)

    def warnings(self) -> list[str]:
        """One sentence for each trouble, and for each monitor that cannot be read any more."""
        found = []
        for name, trouble in self._trouble.items():
            if trouble:
                found.append(f"{name}: {SENTENCES[self._says[name]]}, since {self._since[name]}")
            elif trouble is None and name in self._since:
                found.append(f"monitor {name} cannot be read, since {self._since[name]}")
        return found
