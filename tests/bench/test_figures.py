"""Percentiles, marks and the table."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gated_simulators.bench.figures import Figures, ratio, spread
from gated_simulators.bench.table import Mark, Row, missed, render

CARD = Row("card_ms", "card to relay, ms", Mark("p99", 1.0))
SLOW = Row("slow_ms", "on a slow disk", Mark("over_plain.p99", 1.1))
RATE = Row("rate", "codes read", Mark("value", 0.84, at_least=True, only_for="photographs"))


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert spread([0.001 * n for n in range(1, 1001)], 1e3) == {
        "p50": 501.0,
        "p99": 991.0,
        "p999": 1000.0,
        "max": 1000.0,
        "n": 1000,
    }
    assert spread([3.0, 1.0]) == {"p50": 3.0, "p99": 3.0, "p999": 3.0, "max": 3.0, "n": 2}
    assert spread([]) == {"n": 0}


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_are_ordered_and_measured(values: list[float]) -> None:
    found = spread(values)
    assert found["p50"] <= found["p99"] <= found["p999"] <= found["max"] == round(max(values), 4)
    assert {found[key] for key in ("p50", "p99", "p999")} <= {round(value, 4) for value in values}


def test_a_ratio_needs_both_figures() -> None:
    assert ratio({"p99": 1.0}, {"p99": 4.0}) == 0.25
    assert ratio({"p99": 1.0}, {"p99": 0.0}) is None
    assert ratio({"p99": 1.0}, None) is None
    assert ratio({"value": 0.9}, {"value": 0.6}, "value") == 1.5


def test_a_mark_is_met_missed_or_says_nothing() -> None:
    assert CARD.mark is not None and SLOW.mark is not None and RATE.mark is not None
    assert CARD.mark.met({"p99": 1.0}) is True
    assert CARD.mark.met({"p99": 1.001}) is False
    assert CARD.mark.met({"n": 0}) is None
    assert SLOW.mark.met({"over_plain": {"p99": 1.2}}) is False
    assert RATE.mark.met({"value": 0.9, "source": "photographs"}) is True
    assert RATE.mark.met({"value": 0.9, "source": "generated"}) is None


def test_the_table_shows_each_figure_its_rival_and_what_is_missing() -> None:
    found: dict[str, Figures] = {
        "card_ms": {"p50": 0.4, "p99": 2.0, "p999": 3.0, "max": 12.3, "n": 1500}
        | {"as_gated_tells": {"n": 1520, "p50": 0.2, "p99": 0.5, "p999": 0.6, "max": 0.75}}
        | {"rival": {"name": "a script", "p50": 0.8, "p99": 4.0, "p999": 5.0, "max": 9.0, "n": 450}},
        "rate": {"value": 0.9074, "n": 216, "source": "photographs"}
        | {
            "rival": {"name": "zxing-cpp", "value": 0.8935, "n": 216},
            "also": [{"name": "pyzbar", "value": 0.8426, "n": 216}],
        },
    }
    lines = [" ".join(line.split()) for line in render((CARD, SLOW, RATE), found).splitlines()[2:]]
    assert lines == [
        "card to relay, ms 0.400 2.00 3.00 12.3 1500 p99 <= 1 NO",
        "of it, as gated tells: read -> written 0.200 0.500 0.600 0.750 1520",
        "beside: a script 0.800 4.00 5.00 9.00 450 0.50 0.50",
        "on a slow disk not measured",
        "codes read (photographs) 0.907 216 >= 0.84 yes",
        "beside: zxing-cpp 0.893 216 1.02",
        "beside: pyzbar 0.843 216 1.08",
    ]
    assert missed((CARD, SLOW, RATE), found) == ["card to relay, ms: p99 <= 1 is not met"]
