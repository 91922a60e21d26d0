"""Ratio of two measured times, with a confidence interval.

Inferences within one process are not independent, because they share its memory layout, its use of the caches, and the
load of the machine at that time. Differences between processes are larger than differences within a process, so the
comparison uses one value per process.

This value is the time of the fastest inference in the process, which is the inference that other programs disturbed
least. The processes are compared by the ranks of their times. If a process was disturbed from beginning to end, the
result therefore does not depend on how much slower it became.
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
"""Maximum relative difference between two times that are reported as equal."""

CONFIDENCE = 98
"""Confidence level of the intervals, in percent. It is higher than the usual 95 %, at which 5 % of all comparisons of a
model with itself would report a difference."""
_TAIL = (100 - CONFIDENCE) / 2
NORMAL = 2.326348
"""99 % quantile of the standard normal distribution."""
_LARGEST_EXACT = 40
"""Maximum sample size for which the exact distribution of the rank statistic is used; otherwise it is approximated
by a normal distribution."""


@dataclass(frozen=True)
class TimeRatio:
    """Ratio of a time to a reference time, with a confidence interval.

    Attributes:
        ratio: time divided by the reference time; 2 means half the speed.
        low, high: bounds of the 98 % confidence interval; 0 and infinity if either time was measured in
            only one process.
    """

    ratio: float
    low: float
    high: float

    @property
    def could_be_equal(self) -> bool:
        """Whether the confidence interval contains 1, that is, the difference is not statistically significant."""
        return self.low <= 1 <= self.high

    @property
    def is_equal(self) -> bool:
        """Whether the times count as equal: the 98 % interval of the ratio contains 1 and is within [1/1.05, 1.05]."""
        return self.could_be_equal and self.low > 1 / (1 + NO_DIFFERENCE) and self.high < 1 + NO_DIFFERENCE

    @property
    def verdict(self) -> str:
        """Result of the comparison: `slower`, `faster`, `no difference`, or `cannot tell`.

        `slower` and `faster` mean that the confidence interval excludes 1; `no difference`, that it contains 1 and is
        within 5 % of it; `cannot tell`, that it contains 1 but is wider.
        """
        if self.is_equal:
            return "no difference"
        if self.could_be_equal:
            return "cannot tell"
        return "slower" if self.ratio > 1 else "faster"

    def to_json(self) -> dict[str, Any]:
        """Return the ratio, the bounds of its interval (both None if the upper bound is infinite) and the verdict."""
        known = math.isfinite(self.high)
        return {**asdict(self), "low": self.low if known else None, "high": self.high if known else None,
                "verdict": self.verdict}  # fmt: skip


def compare_times(times: Sequence[float], reference: Sequence[float]) -> TimeRatio:
    """Return the ratio of times to reference times, with its 98 % interval. Both series have one time per process.

    The ratio is the median of time / reference time over all pairs of processes, and the interval contains the ratios
    that the Mann-Whitney test does not reject at the 2 % level (Hodges and Lehmann, "Estimates of location based on
    rank tests", 1963; the bounds in Lehmann, "Nonparametric confidence intervals for a shift parameter", 1963). In
    small samples, such as four processes each, this test cannot reject any ratio; ratio and interval are then those of
    Welch's t-test on the logarithms.

    Args:
        times: at least one positive time.
        reference: at least one positive time in the unit of `times`.
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
    reach = _student(_degrees_of_freedom(logs, others)) * error
    return TimeRatio(math.exp(middle), math.exp(middle - reach), math.exp(middle + reach))


@functools.cache
def _outside(one: int, other: int) -> int:
    """Return the rank k of the pairwise differences that bound the 98 % confidence interval for a shift.

    If all differences between a value of one sample and a value of the other are sorted, the k-th smallest and the
    k-th largest are the bounds. k is the largest number for which the Mann-Whitney statistic of two samples from one
    distribution is below k with a probability of at most 1 %. It is 0 if the samples are too small for an interval.

    Args:
        one, other: sizes of the two samples.
    """
    if max(one, other) > _LARGEST_EXACT:
        spread = math.sqrt(one * other * (one + other + 1) / 12)
        return max(0, int(one * other / 2 - NORMAL * spread))
    # Number of ways to choose `chosen` ranks for each value of the statistic (Mann and Whitney, 1947).
    ways = np.zeros((one + 1, one * other + 1))
    ways[0, 0] = 1
    for place in range(one + other):
        for chosen in range(min(place + 1, one), 0, -1):
            ahead = place - (chosen - 1)  # members of the other sample before this one
            if ahead <= one * other:
                ways[chosen, ahead:] += ways[chosen - 1, : one * other + 1 - ahead]
    below = np.cumsum(ways[one]) / ways[one].sum()
    return int(np.searchsorted(below, _TAIL / 100, side="right"))


def _degrees_of_freedom(logs: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> float:
    """Return the degrees of freedom for Welch's t-test (Welch-Satterthwaite equation) from two samples."""
    parts = [float(values.var(ddof=1)) / len(values) for values in (logs, others)]
    below = sum(part**2 / (len(values) - 1) for part, values in zip(parts, (logs, others), strict=True))
    return sum(parts) ** 2 / below if below else float(len(logs) + len(others) - 2)


def _student(freedom: float) -> float:
    """Return an approximation of the 99 % quantile of Student's t distribution with `freedom` degrees of freedom.

    Its relative error is at most 1 % for 4 or more degrees of freedom. Source: Abramowitz and Stegun, Handbook of
    Mathematical Functions, 26.7.5.
    """
    z, n = NORMAL, max(freedom, 2.0)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / n**power for power, term in enumerate(terms, start=1))
