"""The configured devices: each supervised in a task of its own, started, exchanged and stopped by name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gated.config import DeviceConfig
from gated.errors import DriverFault
from gated.logs import log
from gated.supervisor import Device

Use = Callable[[Any], Awaitable[None]]

STOP_S = 5.0
"""Longest wait for a device to close; a driver that takes longer is left behind and named."""


@dataclass
class _Running:
    config: DeviceConfig
    device: Device[Any]
    task: asyncio.Task[None]
    since: datetime
    works: bool | None = None  # as last reported; None: not yet


class Devices:
    """Every running device, by name."""

    def __init__(
        self,
        use: Callable[[DeviceConfig], Use],
        report: Callable[[str, DriverFault | None], None],
    ) -> None:
        """`use(config)` gives what to do with the opened port; `report` hears of faults and returns."""
        self._use = use
        self._report = report
        self._running: dict[str, _Running] = {}

    def start(self, configs: Iterable[DeviceConfig]) -> None:
        """Start to open devices, all at once; returns immediately."""
        for config in configs:
            device: Device[Any] = Device(
                config.name, config.driver, config.settings, self._use(config), self._changed
            )
            task = asyncio.create_task(device.run(), name=f"device {config.name}")
            self._running[config.name] = _Running(config, device, task, datetime.now(UTC))

    async def stop(self, names: Collection[str] | None = None, untouched: Collection[str] = ()) -> list[str]:
        """Close these devices (all by default), each leaving its stated rest; return those that would not.

        Those `untouched` are closed as after a fault, which commands nothing: they hold a lane open.
        """
        chosen = [self._running[n] for n in (self._running if names is None else names) if n in self._running]
        await asyncio.gather(*(self._let_go(r.device) for r in chosen if r.config.name in untouched))
        for running in chosen:
            running.task.cancel()
        stuck: list[str] = []
        if chosen:
            _, pending = await asyncio.wait({r.task for r in chosen}, timeout=STOP_S)
            stuck = [r.config.name for r in chosen if r.task in pending]
        for name in stuck:
            log.error(f"{name}: does not close in {STOP_S:g} s and is left behind", device=name)
        for running in chosen:
            self._running.pop(running.config.name, None)
        return stuck

    @staticmethod
    async def _let_go(device: Device[Any]) -> None:
        device.lost(DriverFault(f"{device.name}: left as it is, it holds a lane open"))
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await device.closed.wait()

    def outdated(self, configs: Mapping[str, DeviceConfig]) -> tuple[list[str], list[DeviceConfig]]:
        """Names to stop and devices to start, so that what runs is `configs`; equal ones are left alone."""
        gone = [n for n, r in self._running.items() if configs.get(n) != r.config]
        fresh = [c for n, c in configs.items() if n not in self._running or self._running[n].config != c]
        return gone, fresh

    @property
    def alive(self) -> bool:
        """True while every device's task runs, faulted or not."""
        return not any(running.task.done() for running in self._running.values())

    def fault(self, name: str) -> DriverFault | None:
        """The device's fault; None while it works or when there is no such device."""
        running = self._running.get(name)
        return None if running is None else running.device.fault

    def status(self) -> dict[str, dict[str, Any]]:
        """For `gatectl status`: by name, whether it works, its fault, since when, how often opened."""
        return {
            name: {
                "driver": running.config.driver.settings.__module__.rpartition(".")[2],
                "ok": running.device.fault is None,
                "fault": "" if running.device.fault is None else str(running.device.fault),
                "since": running.since.isoformat(timespec="seconds"),
                "opened": running.device.opened,
            }
            for name, running in self._running.items()
        }

    def _changed(self, name: str, fault: DriverFault | None) -> None:
        running = self._running.get(name)
        if running is None or running.works is (fault is None):
            return
        running.works = fault is None
        running.since = datetime.now(UTC)
        self._report(name, fault)
