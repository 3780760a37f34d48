"""The bench measures what it says it does, at a small size."""

from __future__ import annotations

from gated_simulators.bench import stores


def test_figures_are_there_and_ordered() -> None:
    lookup = stores.measure_lookup(500, 200)
    swap = stores.measure_swap(500, 2)
    passes = stores.measure_passes(20)
    for figures, n in (
        (lookup["lookup_us"], 200),
        (lookup["rival"]["dict_us"], 200),
        (swap["visible_ms"], 2),
        (swap["rival"]["swap_on_the_loop_ms"], 2),
        (passes["claim_ms"], 200),
    ):
        assert figures["n"] == n
        assert 0 < figures["p50"] <= figures["p99"] <= figures["p999"] <= figures["max"]
    assert passes["modules"] == 41
