"""What stands for long is said again every hour, so that whoever reads the trail late finds it."""

from __future__ import annotations

from collections.abc import Iterable

AGAIN_S = 3600.0


class Reminders:
    """Since when each sentence stands, or was last said again; seconds are monotonic."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def due(self, standing: Iterable[str], now: float) -> list[str]:
        """The sentences to say again now, given all that stand."""
        self._said = {text: self._said.get(text, now) for text in standing}
        due = [text for text, said in self._said.items() if now >= said + AGAIN_S]
        self._said |= dict.fromkeys(due, now)
        return due
