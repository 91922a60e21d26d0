"""From raw samples to the numbers a person compares. The samples are kept; everything here can be derived again."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

_WINDOW = 10
"""Calls that are compared with the calls before them, to see whether the warm-up is over."""

_STEADY = 0.03
"""Two windows whose medians differ by less than this are steady."""


@dataclass(frozen=True)
class Distribution:
    """A summary of samples, in their own unit; nothing is clipped.

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
    """Summarise samples; at least one is needed."""
    ordered = sorted(samples)
    median = percentile(ordered, 50)
    spread = (percentile(ordered, 75) - percentile(ordered, 25)) / median if median else 0.0
    return Distribution(
        len(ordered), ordered[0], median, percentile(ordered, 90), percentile(ordered, 99), ordered[-1], spread
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Percentile of sorted samples, linear between the two nearest (Hyndman and Fan's type 7, numpy's default)."""
    position = (len(ordered) - 1) * percent / 100
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def warm_up(call: Callable[[], object], clock: Callable[[], float], longest: float) -> tuple[int, bool]:
    """Call until the times have settled: the first calls fill caches, page weights in and raise the clock frequency.

    Args:
        clock: seconds.
        longest: give up after so many seconds.

    Returns:
        How many calls were made, and whether the last two windows of them agree.
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
