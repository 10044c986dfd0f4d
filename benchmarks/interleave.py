"""Times a call against its floor in one run: in turn, A B A B ..., and the ratio pair by pair."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    work: str
    floor: str
    ratio: float
    goal: float
    spread: tuple[float, float] | None = None

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.ratio <= self.goal


def seconds(call: Callable[[], object], calls: int = 1) -> float:
    """One run of a call; or of several in a row, per call."""
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def ratio(
    ours: Callable[[], object], floor: Callable[[], object], runs: int, calls: int = 1
) -> tuple[float, tuple[float, float]]:
    """Median of the pairwise ratios, and the quartiles around it. The first pair warms up and does not count.

    Where ours takes microseconds and the floor milliseconds, `calls` of ours are timed in a row: one alone would mostly
    measure how long the processor takes to find its code again.
    """
    ours()
    floor()
    gc.collect()
    ratios = sorted(seconds(ours, calls) / seconds(floor) for _ in range(runs))
    return statistics.median(ratios), (ratios[runs // 4], ratios[-1 - runs // 4])
