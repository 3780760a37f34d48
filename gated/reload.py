"""Another configuration while people pass: a valid one is applied, a bad one leaves everything as it was."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from gated import config
from gated.core.effects import RecordKind
from gated.core.lane import LaneState
from gated.devices import Devices
from gated.errors import ConfigError, DriverFault, RequestRefused
from gated.runtime import Runtime

FIXED = ("state_dir", "control_socket", "release_socket", "clock")
"""Keys of [site] that take effect at the next start only."""


class Reloader:
    """Applies the configuration file again; one at a time."""

    def __init__(self, runtime: Runtime, devices: Devices) -> None:
        self._runtime = runtime
        self._devices = devices
        self._lock = asyncio.Lock()
        self._hangups: set[asyncio.Task[None]] = set()

    async def reload(self, note: Mapping[str, str]) -> list[str]:
        """Read, check and apply the file; return what was changed, a sentence each.

        `note` says who asked. Raises RequestRefused with every error; then nothing was changed.
        """
        async with self._lock:
            try:
                fresh = await asyncio.to_thread(config.load, self._runtime.config.path)
                self._check_fixed(fresh)
                self._check_open_lanes(fresh)
            except ConfigError as error:
                self._runtime.recorder.note(
                    RecordKind.COMMAND, "reload_refused", error="; ".join(error.problems)[:2000], **note
                )
                raise RequestRefused(f"{error}\nthe old configuration stays in force") from error
            changes = await self._apply(fresh)
            self._runtime.recorder.note(
                RecordKind.COMMAND,
                "reload_applied",
                changes="; ".join(changes)[:2000],
                config=fresh.digest,
                **note,
            )
            return changes

    def hangup(self) -> None:
        """SIGHUP: reload in the background; what comes of it is in the journal and the log."""
        task = asyncio.create_task(self._on_hangup())
        self._hangups.add(task)
        task.add_done_callback(self._hangups.discard)

    async def _on_hangup(self) -> None:
        with contextlib.suppress(RequestRefused):
            await self.reload({"by": "SIGHUP"})

    def _check_fixed(self, fresh: config.Config) -> None:
        old = self._runtime.config
        problems = [
            f"site.{key}: cannot change while gated runs; put it back, or restart gated"
            for key in FIXED
            if getattr(fresh.site, key) != getattr(old.site, key)
        ]
        if problems:
            raise ConfigError(str(fresh.path), problems)

    def _check_open_lanes(self, fresh: config.Config) -> None:
        """A board that is closed goes to its rest, which would shut a lane that only we hold open."""
        gone, _ = self._devices.outdated(fresh.devices)
        lanes = self._runtime.wiring.lanes
        problems = [
            f"devices.{name}: cannot change while the emergency release holds {lane} open; "
            "apply it again after the reset"
            for lane, view in self._runtime.site.lanes.items()
            if view.state is LaneState.EMERGENCY
            for name in sorted({coil.device for coil in lanes[lane].release.values()}.intersection(gone))
        ]
        if problems:
            raise ConfigError(str(fresh.path), problems)

    async def _apply(self, fresh: config.Config) -> list[str]:
        """Only devices whose driver or settings changed are closed and opened."""
        gone, new = self._devices.outdated(fresh.devices)
        old = self._runtime.config
        for name in gone:
            if name in fresh.devices:
                self._runtime.device_changed(name, DriverFault(f"{name}: is opened again with new settings"))
        stuck = await self._devices.stop(gone)
        self._runtime.apply(fresh)
        self._devices.start(new)
        changes = [f"device {n} removed" for n in gone if n not in fresh.devices]
        changes += [f"device {d.name} {'opened again' if d.name in gone else 'added'}" for d in new]
        changes += [f"device {name} did not close in time and was left behind" for name in stuck]
        if fresh.plan != old.plan or fresh.lanes != old.lanes:
            changes.append("plan and wiring replaced")
        return changes or ["nothing changed"]
