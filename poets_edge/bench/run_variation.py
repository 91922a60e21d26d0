"""Compare the times of separate runs of `benchmark`, which vary more than the times of processes in one run.

Two runs that measure the same file on the same quiet machine differ by about 1 % (six runs had ratios of 0.98 to 1.02),
because the clock frequency, the memory layout and the load from other virtual machines differ between runs. Most of
this variation cancels out in times relative to the reference kernel (`poets_edge.bench.reference_kernel`).

The interval from `compare_times` covers only the differences within a run. This module widens the interval by the
variation between runs. For absolute times, this variation is estimated from the drift within each run, that is, from
slow changes of the machine's speed, and is at least the variation on a quiet machine. For times relative to the kernel,
it is a constant, because the times of the kernel and of the model drift together. In all recordings in
`benchmarks/results/compare.md`, apparent drift of the relative times was caused by other programs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from poets_edge.bench.ratios import NORMAL, TimeRatio, compare_times

QUIET_VARIATION = 0.007
"""Standard deviation, between separate runs on a quiet machine, of the logarithm of a measured time. The standard
deviation of the difference between two runs is 1.4 times as large."""
RELATIVE_VARIATION = 0.006
"""Standard deviation, between separate runs on one machine, of the logarithm of a median time that has been divided by
the median time of the reference kernel. In two recordings of two models (`benchmarks/results/compare.md`), it was
0.0042 to 0.0069, 0.0054 on average; the value includes a safety margin."""
_SAME_STATE = 1.6
"""Maximum ratio between the times of the reference kernel in two runs. Above it, times relative to the kernel are not
compared. When other virtual machines increased the time of the kernel by half, relative times changed by less than
1.5 %. Larger ratios have not been examined."""
_PARTS = 5
"""Number of parts into which a run is divided to estimate the drift of its times."""
_SMALLEST_PART = 3
_DISTURBED = 1.25
"""Ratio to the median time above which a process counts as disturbed. If other virtual machines use the same core, 10 %
to 30 % of the processes take 1.25 to 1.7 times as long, often several in succession, although there is no drift."""
_SIGNIFICANT = 2.37
"""Ratio of the observed to the expected variance between the parts of a run above which the run counts as drifting.
5 % of runs without drift exceed it (chi-squared distribution with 4 degrees of freedom)."""
_FEW_PARTS = 1.245
"""Factor by which an estimate of drift is enlarged, because it is based on few parts: the 99 % quantile of Student's
t distribution with 8 degrees of freedom (two runs), divided by that of the normal distribution."""
_MEDIAN_VARIANCE = math.pi / 2
"""Variance of a median relative to the variance of a mean, for normally distributed values."""


def run_variation(times: Sequence[float]) -> float:
    """Estimate the standard deviation, between separate runs, of the logarithm of a time from the times of one run.

    The estimate is at least 0.007, the value on a quiet machine. It is higher if the speed of the machine drifted
    during the run. To estimate the drift, the processes are divided, in their order, into five groups. The drift is the
    variance of the groups' medians, minus the part of this variance that is due to differences between successive
    processes (an analysis of variance with random effects; Searle, Casella and McCulloch, "Variance Components", 1992,
    chapter 3). Processes that other programs slowed down are left out, because several of them in one group would look
    like drift. The estimate is increased by a margin, because five groups are few.

    Args:
        times: one time per process, in the order of the measurement.
    """
    logs = np.log(np.asarray(times, np.float64))
    logs = logs[logs <= np.median(logs) + math.log(_DISTURBED)]
    size = len(logs) // _PARTS
    if size < _SMALLEST_PART:
        return QUIET_VARIATION
    medians = [float(np.median(part)) for part in np.array_split(logs, _PARTS)]
    # Differences of successive processes contain no drift. The median ignores disturbances of single processes.
    step = float(np.median(np.abs(np.diff(logs)))) / (_NORMAL_QUARTILE * math.sqrt(2))
    found, explained = float(np.var(medians, ddof=1)), _MEDIAN_VARIANCE * step**2 / size
    if found <= _SIGNIFICANT * explained:
        return QUIET_VARIATION
    return max(QUIET_VARIATION, _FEW_PARTS * math.sqrt(found - explained))


_NORMAL_QUARTILE = 0.674490
"""Median absolute deviation of the standard normal distribution."""


def compare_runs(times: Sequence[float], reference: Sequence[float], variation: float | None = None) -> TimeRatio:
    """Compare two runs as `compare_times` does, with an interval that includes the variation between runs.

    Args:
        times: one time per process, in the order of the measurement.
        reference: one time per process of the reference run, in the order of the measurement.
        variation: standard deviation, between runs, of the logarithm of a time; None to estimate it for each run with
            `run_variation`.
    """
    found = compare_times(times, reference)
    if not math.isfinite(found.high):
        return found
    middle = math.log(found.ratio)
    deviations = [run_variation(run) if variation is None else variation for run in (times, reference)]
    between = NORMAL * math.hypot(*deviations)
    low = middle - math.hypot(middle - math.log(found.low), between)
    high = middle + math.hypot(math.log(found.high) - middle, between)
    return TimeRatio(found.ratio, math.exp(low), math.exp(high))


def kernel_ratio(kernel: Sequence[float], reference: Sequence[float]) -> float | None:
    """Return the time of the reference kernel in a run, relative to its time in another run on the same machine.

    Returns None if the kernel was not timed in both runs, or if the times differ by more than a factor of 1.6.

    Args:
        kernel, reference: median time of a kernel call in each process of the two runs; empty if it was not timed.
    """
    if not kernel or not reference:
        return None
    ratio = float(np.median(kernel) / np.median(reference))
    return ratio if 1 / _SAME_STATE <= ratio <= _SAME_STATE else None


def relative_times(times: Sequence[float], kernel: Sequence[float]) -> list[float]:
    """Return each process's time divided by the time of the reference kernel in that process."""
    return [time / other for time, other in zip(times, kernel, strict=True)]
