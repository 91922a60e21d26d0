"""Summary statistics of raw samples, and detection of the end of a warm-up."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

_WINDOW = 10
"""Number of calls whose median is compared with that of the calls before."""

_STEADY = 0.03
"""Relative difference of the medians of two windows up to which the times have settled."""


@dataclass(frozen=True)
class Distribution:
    """Summary of samples, in their own unit. Outliers are included.

    Attributes:
        spread: interquartile range over the median, 0 for perfectly repeatable samples.
    """

    count: int
    minimum: float
    median: float
    p90: float
    p99: float
    maximum: float
    spread: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


def describe(samples: Sequence[float]) -> Distribution:
    """Return the summary of at least one sample."""
    ordered = sorted(samples)
    median = percentile(ordered, 50)
    spread = (percentile(ordered, 75) - percentile(ordered, 25)) / median if median else 0.0
    return Distribution(
        len(ordered), ordered[0], median, percentile(ordered, 90), percentile(ordered, 99), ordered[-1], spread
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return a percentile of sorted samples, interpolated linearly (Hyndman and Fan's type 7, the default of numpy)."""
    position = (len(ordered) - 1) * percent / 100
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def warm_up(call: Callable[[], object], clock: Callable[[], float], longest: float) -> tuple[int, bool]:
    """Call a function until its times have settled.

    The first calls fill caches, page in weights and raise the clock frequency.

    Args:
        clock: returns seconds.
        longest: time limit, seconds.

    Returns:
        The number of calls, and whether the last two windows of calls agree.
    """
    times: list[float] = []
    begin = clock()
    while True:
        before = clock()
        call()
        after = clock()
        times.append(after - before)
        if len(times) >= 2 * _WINDOW and len(times) % _WINDOW == 0:
            earlier = statistics.median(times[-2 * _WINDOW : -_WINDOW])
            if abs(statistics.median(times[-_WINDOW:]) - earlier) <= _STEADY * earlier:
                return len(times), True
        if after - begin > longest:
            return len(times), False
