"""Numbers as a person reads them: shares in percent, intervals, accuracies; for tables, reports and messages."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percent(share: float | None, digits: int = 1) -> str:
    """`87.5 %`, for 0.875; a dash where it is None or NaN."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"


def interval_text(interval: Sequence[float], digits: int = 1) -> str:
    """`79.8 to 92.5`, for (0.798, 0.925)."""
    low, high = interval
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f}"


def accuracy_text(accuracy: float | None, photos: int, interval: Sequence[float] | None) -> str:
    """`87.5 % (N = 104, 95 % interval 79.8 to 92.5)`."""
    if not photos or accuracy is None or interval is None:
        return "not known (no photos)"
    return f"{percent(accuracy)} (N = {photos}, 95 % interval {interval_text(interval)})"


def counted(number: int, noun: str) -> str:
    """`1 photo`, `2 photos`: a number and a noun whose plural takes an s."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
