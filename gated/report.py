"""What `gatectl status` shows: everything known, and what is not, as plain JSON values."""

from __future__ import annotations

import time
from typing import Any

from gated import __version__
from gated.core.model import Lane
from gated.devices import Devices
from gated.link import ReleaseLink
from gated.rollcall.sheet import describe
from gated.runtime import Runtime


class Report:
    """Looks at the parts of a running daemon; changes nothing."""

    def __init__(self, runtime: Runtime, devices: Devices, link: ReleaseLink) -> None:
        self._runtime = runtime
        self._devices = devices
        self._link = link
        self._started = time.monotonic()

    def status(self) -> dict[str, Any]:
        """The whole state."""
        runtime = self._runtime
        journal, cache = runtime.state.journal, runtime.state.cache
        return {
            "site": runtime.config.site.name,
            "version": __version__,
            "config": {"path": str(runtime.config.path), "digest": runtime.config.digest},
            "uptime_s": round(time.monotonic() - self._started, 1),
            "lanes": {lane.id: self._lane(lane) for lane in runtime.config.plan.lanes.values()},
            "devices": self._devices.status(),
            "release": self._link.status(),
            "allowlist": {
                "rows": cache.rows,
                "loaded_at": runtime.state.list_loaded_at(),
                "fault": cache.fault or "",
            },
            "passes": {"keys": len(runtime.state.verifier.kids), "fault": runtime.state.passes.fault or ""},
            "journal": {"seq": journal.seq, "pending": journal.pending, "fault": journal.fault or ""},
            "clock": runtime.clock.status(),
            "occupancy": dict(runtime.site.occupancy()),
            "roll_calls": [describe(sheet) for sheet in runtime.state.roll_calls.open],
            "latency_ms": self._latency(),
            "faults": self.faults(),
        }

    def metrics(self) -> dict[str, Any]:
        """Numbers only: decisions by reason, waits, openings of devices."""
        return {
            "decisions": dict(self._runtime.decisions),
            "latency_ms": self._latency(),
            "devices_opened": {name: one["opened"] for name, one in self._devices.status().items()},
            "journal_seq": self._runtime.state.journal.seq,
            "journal_lost": self._runtime.state.journal.lost,
        }

    def faults(self) -> list[str]:
        """Every fault there is, a sentence each; empty when all is well."""
        runtime = self._runtime
        found = [one["fault"] for one in self._devices.status().values() if not one["ok"]]
        found += [self._link.fault] if self._link.fault else []
        found += runtime.state.faults()
        found += [runtime.clock.fault] if runtime.clock.fault else []
        return found

    def _lane(self, lane: Lane) -> dict[str, Any]:
        view = self._runtime.site.lanes[lane.id]
        faults = {
            name: str(fault) for name in sorted(self._used(lane.id)) if (fault := self._devices.fault(name))
        }
        return {
            "state": str(view.state),
            "mode": str(view.mode),
            "direction": str(view.direction) if view.direction else "",
            "reason": view.reason,
            "faults": faults,
        }

    def _used(self, lane: str) -> set[str]:
        """The devices that the lane has a wire or a reader of."""
        wiring = self._runtime.wiring.lanes[lane]
        readers = {p.id for p in self._runtime.config.plan.access_points.values() if p.lane == lane}
        return readers | {coil.device for coil in wiring.coils} | {i.device for i in wiring.contacts.values()}

    def _latency(self) -> dict[str, Any]:
        return {
            "card": self._runtime.card_latency.summary(),
            "pass": self._runtime.pass_latency.summary(),
        }
