"""Format numbers for tables, reports and messages: percentages, intervals, accuracies and counts."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percent(share: float | None, digits: int = 1) -> str:
    """Format a fraction as a percentage: "87.5 %" for 0.875, "-" for None or NaN."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"


def interval_text(interval: Sequence[float], digits: int = 1) -> str:
    """Format an interval of fractions as percentages: "79.8 to 92.5" for (0.798, 0.925)."""
    low, high = interval
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f}"


def accuracy_text(accuracy: float | None, photos: int, interval: Sequence[float] | None) -> str:
    """Format an accuracy and its confidence interval: "87.5 % (N = 104, 95 % interval 79.8 to 92.5)".

    If there are no photos, the text is "not known (no photos)".
    """
    if not photos or accuracy is None or interval is None:
        return "not known (no photos)"
    return f"{percent(accuracy)} (N = {photos}, 95 % interval {interval_text(interval)})"


def counted(number: int, noun: str) -> str:
    """Format a number with a noun that has a regular plural: "1 photo", "2 photos"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
