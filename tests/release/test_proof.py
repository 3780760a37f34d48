"""Every row of the proof with a few trials: no alarm is missed, whatever happens to the release or beside it.

`./dev prove-release` measures the same rows with many; see docs/release-proof.md.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from gated_simulators.proof.cells import CELLS, Cell, measure
from gated_simulators.proof.stage import Surroundings, surroundings
from gated_simulators.proof.verdict import HUNG, KILLED

pytestmark = pytest.mark.long
T = TypeVar("T")
TRIALS, STRIKES = 60, 2
START_S, ROW_S = 50.0, 55.0


class Here:
    """The surroundings that all rows share, in a loop of their own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.around: Surroundings | None = None
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._context = surroundings()

    def run(self, work: Coroutine[Any, Any, T], within_s: float) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(within_s)

    def start(self) -> None:
        self.around = self.run(self._context.__aenter__(), START_S)

    def close(self) -> None:
        try:
            if self.around is not None:
                self.run(self._context.__aexit__(None, None, None), START_S)
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self.loop.close()


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    found = Here()
    try:
        found.start()
        yield found
    finally:
        found.close()


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_no_alarm_is_missed(here: Here, cell: Cell) -> None:
    assert here.around is not None
    strikes = cell.kind in (KILLED, HUNG)
    result = here.run(measure(cell, here.around, STRIKES if strikes else TRIALS), ROW_S)
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.faults(marks=False) == [], result
    assert len(result.trials.ms) >= (STRIKES if strikes else TRIALS)
