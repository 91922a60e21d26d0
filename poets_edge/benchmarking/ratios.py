"""Times of two things -> their ratio, with an interval that says what the measurement can tell.

Inferences within one process are not independent: they share its memory layout, its place among the caches, and what
else the machine did in that second. A second process differs from the first by more than any number of inferences in
one of them shows. So the bootstrap draws whole processes, each with the median of its inferences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

NO_DIFFERENCE = 0.05
"""Two times are called equal when all of the interval lies this close to a ratio of 1, as a share."""

_RESAMPLES = 2000
CONFIDENCE = 98
"""Percent. At 95 % the same model measured twice would be called different in 5 % on average, and so more often in
every other series of comparisons."""
_TAIL = (100 - CONFIDENCE) / 2
_NORMAL = 2.326348
"""The normal distribution's quantile for that tail."""


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

    def as_dict(self) -> dict[str, Any]:
        """For JSON; an interval that says nothing is null."""
        known = math.isfinite(self.high)
        return {**asdict(self), "low": self.low if known else None, "high": self.high if known else None,
                "verdict": self.verdict}  # fmt: skip


def compare_times(medians: Sequence[float], reference: Sequence[float]) -> TimeRatio:
    """Compare two things by the processes that measured them.

    The interval is a percentile bootstrap over processes of the difference of mean logarithms, widened for their small
    number as Hesterberg does ("What teachers should know about the bootstrap", 2015, section 4.3: resamples of n spread
    too little by sqrt((n - 1) / n), and a normal quantile is too small where Student's is due).

    Args:
        medians: milliseconds, one of each process; 1 or more, all above 0.
        reference: the same of what it is compared with.
    """
    logs, others = np.log(np.asarray(medians, np.float64)), np.log(np.asarray(reference, np.float64))
    middle = float(logs.mean() - others.mean())
    if min(len(logs), len(others)) < 2:
        return TimeRatio(math.exp(middle), 0.0, math.inf)
    rng = np.random.default_rng(0)
    differences = _resampled_means(logs, rng) - _resampled_means(others, rng)
    low, high = np.percentile(differences - middle, (_TAIL, 100 - _TAIL))
    wider = _student(_freedom(logs, others)) / _NORMAL
    return TimeRatio(math.exp(middle), math.exp(middle + wider * low), math.exp(middle + wider * high))


def _resampled_means(logs: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Means of as many processes drawn with replacement, spread as much as means of new processes would be."""
    count = len(logs)
    means = logs[rng.integers(count, size=(_RESAMPLES, count))].mean(axis=1)
    return np.asarray(logs.mean() + (means - logs.mean()) * math.sqrt(count / (count - 1)))


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
