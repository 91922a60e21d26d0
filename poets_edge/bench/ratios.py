"""Times of two things -> their ratio, with an interval that says what the measurement can tell.

Inferences within one process are not independent: they share its memory layout, its place among the caches, and what
else the machine did in that second. A second process differs from the first by more than any number of inferences in
one of them shows. So what is compared are whole processes, one number of each.

That number is the process's fastest inference, which is the one that the fewest other programs have disturbed, and what
is compared are ranks: a process that was disturbed all the time counts as slow, however slow it was. On the recorded
processes of `benchmarks/results/compare.md` this finds a slowdown of 5 % several times as often as means of medians do.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

NO_DIFFERENCE = 0.05
"""Two times are called equal when all of the interval lies this close to a ratio of 1, as a share."""

CONFIDENCE = 98
"""Percent. At 95 % the same model measured twice would be called different in 5 % on average, and so more often in
every other series of comparisons."""
_TAIL = (100 - CONFIDENCE) / 2
_NORMAL = 2.326348
"""The normal distribution's quantile for that tail."""
_LARGEST_EXACT = 40
"""Processes whose ranks are counted out; beyond, the normal approximation is as good."""


@dataclass(frozen=True)
class TimeRatio:
    """How many times as long one thing takes as another.

    Attributes:
        ratio: of the typical times; 2 takes twice as long.
        low, high: 98 % interval; 0 and infinity where one process alone says nothing of how processes differ.
    """

    ratio: float
    low: float
    high: float

    @property
    def could_be_equal(self) -> bool:
        """The interval holds 1: the measurement cannot tell the two apart."""
        return self.low <= 1 <= self.high

    @property
    def is_equal(self) -> bool:
        """The measurement tells that they differ by less than NO_DIFFERENCE, if at all."""
        return self.could_be_equal and self.low > 1 / (1 + NO_DIFFERENCE) and self.high < 1 + NO_DIFFERENCE

    @property
    def verdict(self) -> str:
        """`slower`, `faster`, `no difference`, or `cannot tell`."""
        if self.is_equal:
            return "no difference"
        if self.could_be_equal:
            return "cannot tell"
        return "slower" if self.ratio > 1 else "faster"

    def to_json(self) -> dict[str, Any]:
        """For JSON; an interval that says nothing is null."""
        known = math.isfinite(self.high)
        return {**asdict(self), "low": self.low if known else None, "high": self.high if known else None,
                "verdict": self.verdict}  # fmt: skip


def compare_times(times: Sequence[float], reference: Sequence[float]) -> TimeRatio:
    """Compare two things by the processes that measured them.

    The ratio is the median of all ratios of a process here to one there, and the interval holds those ratios that the
    exact Mann-Whitney test does not refute (Hodges and Lehmann, "Estimates of location based on rank tests", 1963; the
    bounds in Lehmann, "Nonparametric confidence intervals for a shift parameter", 1963). Ranks of fewer than five
    processes cannot refute anything at this confidence: there the interval is Welch's for the mean of the logarithms.

    Args:
        times: milliseconds, one of each process; 1 or more, all above 0.
        reference: the same of what it is compared with.
    """
    logs, others = (np.sort(np.log(np.asarray(values, np.float64))) for values in (times, reference))
    if min(len(logs), len(others)) < 2:
        return TimeRatio(math.exp(float(logs.mean() - others.mean())), 0.0, math.inf)
    differences = np.sort((logs[:, None] - others).ravel())
    outside = _outside(len(logs), len(others))
    if outside:
        found = (np.median(differences), differences[outside - 1], differences[-outside])
        return TimeRatio(*(math.exp(float(value)) for value in found))
    middle = float(logs.mean() - others.mean())
    error = math.sqrt(sum(float(values.var(ddof=1)) / len(values) for values in (logs, others)))
    reach = _student(_freedom(logs, others)) * error
    return TimeRatio(math.exp(middle), math.exp(middle - reach), math.exp(middle + reach))


@functools.cache
def _outside(one: int, other: int) -> int:
    """How many of the one x other differences may lie outside at each end; 0 where that says nothing.

    The largest number k for which Mann and Whitney's statistic of two equal things is below k in at most 1 %.
    """
    if max(one, other) > _LARGEST_EXACT:
        spread = math.sqrt(one * other * (one + other + 1) / 12)
        return max(0, int(one * other / 2 - _NORMAL * spread))
    # Ways in which `chosen` of the ranks so far have a given sum of places (Mann and Whitney, 1947).
    ways = np.zeros((one + 1, one * other + 1))
    ways[0, 0] = 1
    for place in range(one + other):
        for chosen in range(min(place + 1, one), 0, -1):
            ahead = place - (chosen - 1)  # of the other, before this one
            if ahead <= one * other:
                ways[chosen, ahead:] += ways[chosen - 1, : one * other + 1 - ahead]
    below = np.cumsum(ways[one]) / ways[one].sum()
    return int(np.searchsorted(below, _TAIL / 100, side="right"))


def _freedom(logs: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> float:
    """Welch's degrees of freedom of a difference of means."""
    parts = [float(values.var(ddof=1)) / len(values) for values in (logs, others)]
    below = sum(part**2 / (len(values) - 1) for part, values in zip(parts, (logs, others), strict=True))
    return sum(parts) ** 2 / below if below else float(len(logs) + len(others) - 2)


def _student(freedom: float) -> float:
    """Student's quantile for a tail of 1 %, within 1 % from 4 degrees of freedom on.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z, n = _NORMAL, max(freedom, 2.0)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / n**power for power, term in enumerate(terms, start=1))
