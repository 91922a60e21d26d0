"""Summary statistics of measured values (samples), such as inference times, and detection of the end of a warm-up."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

_WINDOW = 10
"""Number of calls per window of the warm-up; the median times of successive windows are compared."""

_STEADY = 0.03
"""The times have settled if the medians of two successive windows differ by at most this fraction."""


@dataclass(frozen=True)
class Distribution:
    """Summary statistics of measured values, in the unit of these values; outliers are included.

    Attributes:
        count: number of measured values.
        p90, p99: 90th and 99th percentiles.
        spread: interquartile range divided by the median; 0 if all values are equal.
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
    """Return summary statistics of `samples`, measured values such as times; at least one is required."""
    ordered = sorted(samples)
    median = percentile(ordered, 50)
    spread = (percentile(ordered, 75) - percentile(ordered, 25)) / median if median else 0.0
    return Distribution(
        len(ordered), ordered[0], median, percentile(ordered, 90), percentile(ordered, 99), ordered[-1], spread
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return a percentile of sorted samples by linear interpolation (type 7 of Hyndman and Fan, NumPy's default)."""
    position = (len(ordered) - 1) * percent / 100
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def warm_up(call: Callable[[], object], clock: Callable[[], float], longest: float) -> tuple[int, bool]:
    """Call a function until its running time has settled.

    The first calls fill caches, load weights from disk and raise the clock frequency. The time has settled if the
    medians of two successive groups of 10 calls differ by at most 3 %.

    Args:
        call: function to call.
        clock: function that returns the time in seconds.
        longest: time limit for the warm-up in seconds.

    Returns:
        The number of calls, and whether the times settled before the limit.
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
