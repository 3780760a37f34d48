"""What becomes of each output board without this process: what is left to the survivor, and what is not."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

from gated.ports import LastWill, RelayBoard, RelayTraits
from gated.release.bequest import Bequest
from gated.release.config import Coil, ReleaseConfig


class Testament:
    """The wills of all output boards, kept while they are open."""

    def __init__(self, config: ReleaseConfig, bequest: Bequest) -> None:
        self._config = config
        self._bequest = bequest
        self._coils: dict[str, dict[int, Coil]] = {}
        for (name, channel), coil in config.coils.items():
            self._coils.setdefault(name, {})[channel] = coil
        self._ports: dict[str, RelayBoard] = {}
        self._kept: set[str] = set()

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each board that nobody opens when this process dies."""
        return tuple(
            f"if this process dies, the outputs of {name} stay as they are until the service is back"
            for name in self.unbequeathed
            if name in self._ports and not self._releases_alone(name)
        )

    @property
    def unbequeathed(self) -> tuple[str, ...]:
        """The boards that a survivor would not open: without a will, or away."""
        return tuple(sorted(self._coils.keys() - self._bequest.boards))

    def opened(self, name: str, port: RelayBoard) -> None:
        """The board is open: leave it to the survivor."""
        self._ports[name] = port
        self._leave(name, port, list(self._coils[name]))

    def closed(self, name: str) -> None:
        """The board is closed: its wire is no longer ours to leave, but for one that is to be opened."""
        self._ports.pop(name, None)
        if name not in self._kept:
            self._bequest.withdraw(name)

    def stopping(self, held: Collection[str]) -> list[str]:
        """An orderly stop, with these lanes held open: the boards whose `rest` would shut one of them.

        A coil at rest is open, or as `rest` says where nothing is latched; one that `rest` does not name,
        or that would shut a held lane, is left to the survivor to open once this process is gone.
        """
        shutting = []
        for name, coils in self._coils.items():
            rest = getattr(self._config.devices[name].settings, "rest", None) or {}
            shuts = {c for c, coil in coils.items() if c in rest and rest[c] is not coil.energised_opens}
            held_shut = {c for c in shuts if coils[c].lane in held}
            if held_shut:
                shutting.append(name)
            left = sorted(held_shut | (coils.keys() - rest.keys()))
            port = self._ports.get(name)
            if left and port is not None and self._leave(name, port, left):
                self._kept.add(name)
        return shutting

    def _leave(self, name: str, port: RelayBoard, channels: list[int]) -> bool:
        will: LastWill | None = None
        make = getattr(port, "last_will", None)
        if make is not None:
            with contextlib.suppress(Exception):  # a driver's bug must not keep the board from being driven
                will = make({c: self._coils[name][c].energised_opens for c in channels})
        if will is None:
            self._bequest.withdraw(name)
            return False
        self._bequest.leave(name, will)
        return True

    def _releases_alone(self, name: str) -> bool:
        device = self._config.devices[name]
        traits = device.driver.traits(device.settings) if device.driver.traits else None
        return isinstance(traits, RelayTraits) and (
            traits.unattended == "releases" or traits.host_watchdog_s is not None
        )
