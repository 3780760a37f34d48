"""What a series of measurements comes to; one home for percentiles, so that every table means the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Figures = dict[str, Any]

PERCENTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


def spread(values: Sequence[float], scale: float = 1.0) -> Figures:
    """p50, p99, p999 (nearest rank), max and n of the values times `scale`; n alone where there are none.

    A percentile that needs more values than there are is the largest value.
    """
    ordered = sorted(values)
    if not ordered:
        return {"n": 0}
    found: Figures = {
        name: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * scale, 4)
        for name, share in PERCENTILES.items()
    }
    return found | {"max": round(ordered[-1] * scale, 4), "n": len(ordered)}


def ratio(ours: Figures | None, rival: Figures | None, key: str = "p99") -> float | None:
    """How many times the rival's figure ours is; None where one is missing or nothing."""
    mine, theirs = (ours or {}).get(key), (rival or {}).get(key)
    if mine is None or not theirs:
        return None
    return round(float(mine) / float(theirs), 3)
