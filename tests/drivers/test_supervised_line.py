"""Supervised lines: what a voltage means, which changes count, and the bits of the converters."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated_drivers._codecs.mcp3xxx import CHIPS, reading, request
from gated_drivers._supervised_line import UNREST_S, Bands, Settling, Word, bands_of
from gated_simulators.rigs._line_circuit import LineCircuit

USUAL = {"series": 2200, "parallel": 8200, "pull_up": 10_000, "tolerance": 0.05, "drift": 0.03, "line": 100}
BANDS = bands_of(**USUAL)
ORDER: list[Word] = ["short", "closed", "open", "cut"]
CORNERS = list(itertools.product((0.95, 1.05), (0.95, 1.05), (0.95, 1.05), (0.97, 1.0, 1.03), (0.0, 100.0)))


@pytest.mark.parametrize(("series", "parallel", "pull_up", "supply", "wires"), CORNERS)
def test_every_state_is_known_at_every_corner_of_the_tolerances(
    series: float, parallel: float, pull_up: float, supply: float, wires: float
) -> None:
    circuit = LineCircuit(
        series=2200 * series, parallel=8200 * parallel, pull_up=10_000 * pull_up, supply=supply, wires=wires
    )
    assert BANDS.word(circuit.ratio(closed=True)) == "closed"
    assert BANDS.word(circuit.ratio(closed=False)) == "open"
    for closed in (True, False):
        circuit.fault = "cut"
        for leak in (2e5, 1e6, float(10**12)):
            circuit.cut_leaks = leak
            assert BANDS.word(circuit.ratio(closed)) == "cut"
        circuit.fault = "short"
        for at in (0.0, 0.5, 1.0):
            circuit.short_at = at
            assert BANDS.word(circuit.ratio(closed)) == "short"


@pytest.mark.parametrize("word", ORDER)
@pytest.mark.parametrize("end", [0, 1])
def test_the_eight_boundaries(word: Word, end: int) -> None:
    """On the boundary it is this word, a step beyond it is not."""
    boundary = getattr(BANDS, word)[end]
    step = 1e-6 if end else -1e-6
    assert BANDS.word(boundary) == word
    assert BANDS.word(boundary - step) == word
    if 0 < boundary < 1:
        assert BANDS.word(boundary + step) == "undefined"


def test_the_usual_resistors_give_the_usual_bands() -> None:
    for (lower, upper), middle in ((BANDS.closed, 2200 / 12_200), (BANDS.open, 10_400 / 20_400)):
        assert middle * 0.88 < lower < middle < upper < middle * 1.17


@pytest.mark.parametrize(
    ("circuit", "closed"),
    [
        (LineCircuit(parallel=2200), False),  # the wrong resistor
        (LineCircuit(series=4700), True),
        (LineCircuit(series=0, parallel=4700), False),
        (LineCircuit(contact=1500), True),  # a corroded contact
        (LineCircuit(wires=1000), True),  # a bad joint
        (LineCircuit(series=470), True),
        (LineCircuit(fault="cut", cut_leaks=30_000), False),  # water in the junction box
        (LineCircuit(supply=0.8), False),
    ],
)
def test_what_is_not_wired_as_agreed_is_undefined(circuit: LineCircuit, closed: bool) -> None:
    assert BANDS.word(circuit.ratio(closed)) == "undefined"


resistors = st.fixed_dictionaries(
    {
        "series": st.floats(100, 20_000),
        "parallel": st.floats(100, 50_000),
        "pull_up": st.floats(100, 50_000),
        "tolerance": st.floats(0, 0.2),
        "drift": st.floats(0, 0.2),
        "line": st.floats(0, 2000),
    }
)


@given(resistors, st.lists(st.floats(0, 1), max_size=40))
def test_every_ratio_is_one_word_and_they_ascend(wired: dict[str, float], ratios: list[float]) -> None:
    """Or the resistors are refused, by a sentence."""
    try:
        bands = bands_of(**wired)
    except ValueError as error:
        assert "overlap" in str(error)
        return
    edges = [edge for _, limits in bands.each() for edge in limits]
    assert edges == sorted(edges)
    assert (edges[0], edges[-1]) == (0.0, 1.0)
    ranks = []
    for ratio in sorted([*ratios, *edges]):
        word = bands.word(ratio)
        assert [w for w, (low, high) in bands.each() if low <= ratio <= high] == (
            [word] if word in ORDER else []
        )
        ranks.append(2.0 * ORDER.index(word) if word in ORDER else sum(ratio > e for e in edges) - 1.0)
    assert ranks == sorted(ranks)


@given(resistors, st.data())
def test_bands_hold_what_the_circuit_gives_or_are_refused(
    wired: dict[str, float], data: st.DataObject
) -> None:
    try:
        bands = bands_of(**wired)
    except ValueError:
        return
    off, drift = (
        st.floats(-wired["tolerance"], wired["tolerance"]),
        st.floats(-wired["drift"], wired["drift"]),
    )
    circuit = LineCircuit(
        series=wired["series"] * (1 + data.draw(off)),
        parallel=wired["parallel"] * (1 + data.draw(off)),
        pull_up=wired["pull_up"] * (1 + data.draw(off)),
        supply=1 + data.draw(drift),
        wires=data.draw(st.floats(0, wired["line"])),
        contact=0.01,
    )
    assert bands.word(circuit.ratio(True)) == "closed"
    assert bands.word(circuit.ratio(False)) == "open"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"series": 100, "line": 1000}, "the bands short .* and closed .* overlap"),
        ({"parallel": 200}, "the bands closed .* and open .* overlap"),
        ({"parallel": 150_000}, "the bands open .* and cut .* overlap"),
    ],
)
def test_resistors_that_cannot_be_told_apart_are_refused(wrong: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        bands_of(**USUAL | wrong)


@pytest.mark.parametrize(
    ("bands", "sentence"),
    [
        ({"short": (0, 0.2), "closed": (0.2, 0.3), "open": (0.4, 0.5), "cut": (0.9, 1)}, "short .* closed"),
        ({"short": (0, 0.1), "closed": (0.3, 0.2), "open": (0.4, 0.5), "cut": (0.9, 1)}, "ends before"),
        (
            {"short": (0, 0.1), "closed": (0.2, 0.3), "open": (0.4, 0.5), "cut": (0.9, 1.5)},
            "less than or equal",
        ),
    ],
)
def test_bands_that_cannot_be_are_refused(bands: dict[str, tuple[float, float]], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Bands.model_validate(bands)


# What counts as a change

words: st.SearchStrategy[Word] = st.sampled_from(["short", "closed", "open", "cut", "undefined"])
sightings = st.lists(st.tuples(words, st.floats(0.001, 0.2)), min_size=1, max_size=60)


def test_a_word_counts_after_50_ms() -> None:
    line = Settling(0.05)
    assert line.seen("open", 1.0) == "open"
    assert line.seen("closed", 2.0) is None
    assert line.seen("closed", 2.049) is None
    assert line.seen("closed", 2.0501) == "closed"
    assert line.seen("cut", 3.0) is None
    assert line.seen("cut", 3.0501) == "cut"


def test_bounce_and_the_way_through_other_bands_are_no_change() -> None:
    line = Settling(0.05)
    line.seen("open", 1.0)
    chatter: list[Word] = ["undefined", "closed", "open", "closed"]
    told = [line.seen(word, 2 + i / 100) for i, word in enumerate(chatter * 3)]
    assert told == [None] * 12
    assert [line.seen("closed", 2.12 + i / 100) for i in range(6)] == [None, None, None, None, "closed", None]


@given(sightings)
def test_what_is_told_lasted_or_is_unrest(seen: list[tuple[Word, float]]) -> None:
    line, at, told = Settling(0.05), 0.0, list[Word]()
    history: list[tuple[Word, float]] = []
    for word, step in seen:
        at += step
        history.append((word, at))
        if (news := line.seen(word, at)) is not None:
            recent = {w for w, when in history if when > at - 0.05}
            rested = len(history) == 1 or recent == {news}
            assert rested or (news == "undefined" and at >= UNREST_S)
            told.append(news)
    assert told[0] == history[0][0]
    assert all(a != b for a, b in itertools.pairwise(told))


@given(sightings, words)
def test_whatever_came_before_a_line_at_rest_is_told(seen: list[tuple[Word, float]], last: Word) -> None:
    """No chatter, however long, can hide the alarm that follows it."""
    line, at, state = Settling(0.05), 0.0, None
    for word, step in [*seen, (last, 0.02), (last, 0.02), (last, 0.02), (last, 0.02)]:
        at += step
        state = line.seen(word, at) or state
    assert state == last


@given(st.lists(words, min_size=2, max_size=2, unique=True), st.floats(0.005, 0.045))
def test_a_line_that_never_rests_is_undefined_within_two_seconds(pair: list[Word], every: float) -> None:
    line, told = Settling(0.05), list[tuple[Word, float]]()
    for i in range(int(2 / every)):
        if (news := line.seen(pair[i % 2], i * every)) is not None:
            told.append((news, i * every))
    assert told[0] == (pair[0], 0.0)
    assert told[-1][0] == "undefined"
    assert told[-1][1] <= UNREST_S + 0.1


# The converters


@pytest.mark.parametrize(
    ("chip", "channel", "sent"),
    [
        ("mcp3008", 0, [0b00000001, 0b10000000, 0]),
        ("mcp3008", 7, [0b00000001, 0b11110000, 0]),
        ("mcp3004", 3, [0b00000001, 0b10110000, 0]),
        ("mcp3208", 5, [0b00000111, 0b01000000, 0]),
        ("mcp3002", 1, [0b01111000, 0]),
        ("mcp3202", 1, [0b00000001, 0b11100000, 0]),
        ("mcp3304", 6, [0b00001111, 0b00000000, 0]),
        ("mcp3301", 0, [0, 0]),
    ],
)
def test_requests_are_those_of_the_data_sheets(chip: str, channel: int, sent: list[int]) -> None:
    assert request(CHIPS[chip], channel) == sent


@pytest.mark.parametrize(
    ("chip", "answer", "value"),
    [
        ("mcp3008", [0xFF, 0b11111011, 0xFF], 1023),
        ("mcp3008", [0xFF, 0b11111010, 0x01], 513),
        ("mcp3008", [0xFF, 0xFF, 0xFF], None),  # nobody drives the wire
        ("mcp3001", [0b11011111, 0b11111000], 1023),
        ("mcp3201", [0b11011111, 0b11111110], 4095),
        ("mcp3301", [0b11001111, 0b11111111], 4095),
        ("mcp3301", [0b11011111, 0b11111111], 0),  # a step below ground
        ("mcp3002", [0b11111011, 0xFF], 1023),
        ("mcp3208", [0xFF, 0xEF, 0xFF], 4095),
        ("mcp3008", [0, 0], None),
        ("mcp3008", [0, 0, 256], None),
    ],
)
def test_readings_are_those_of_the_data_sheets(chip: str, answer: list[int], value: int | None) -> None:
    assert reading(CHIPS[chip], answer) == value


@pytest.mark.parametrize("chip", CHIPS)
def test_a_channel_the_chip_has_not_is_refused(chip: str) -> None:
    for channel in (-1, CHIPS[chip].channels):
        with pytest.raises(ValueError, match="is not between"):
            request(CHIPS[chip], channel)


@pytest.mark.parametrize("chip", CHIPS)
def test_noise_is_no_reading_out_of_range(chip: str) -> None:
    chance, known = random.Random(3), CHIPS[chip]
    refused = 0
    for _ in range(100_000):
        noise = chance.randbytes(chance.choice((known.size, known.size, 1, 4)))
        value = reading(known, noise)
        assert value is None or (0 <= value < 1 << known.bits and len(noise) == known.size)
        refused += value is None
    assert refused > 50_000
