"""How long people wait for the software: from a credential's reading to its relay command, the last 1000."""

from __future__ import annotations

from collections import deque


class Latency:
    """The last 1000 times, seconds in, milliseconds out."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=1000)
        self.count = 0

    def add(self, seconds: float) -> None:
        """Note one time."""
        self._seconds.append(seconds)
        self.count += 1

    def summary(self) -> dict[str, float | int]:
        """`n` (all since the start), and `p50`, `p99`, `p999`, `max` of the last 1000, milliseconds."""
        ordered = sorted(self._seconds)
        if not ordered:
            return {"n": 0}
        pick = [ordered[min(len(ordered) - 1, int(len(ordered) * q))] for q in (0.5, 0.99, 0.999)]
        p50, p99, p999, top = (round(s * 1000, 3) for s in (*pick, ordered[-1]))
        return {"n": self.count, "p50": p50, "p99": p99, "p999": p999, "max": top}
