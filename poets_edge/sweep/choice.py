"""Choose the model to use from the results of `grid`, and give the reason in plain English.

A grid point is a model with its measurements: one architecture at one quantization.

Differences that are not statistically significant are ignored. From the points that are not significantly less accurate
than the most accurate point, those that are not significantly slower than the fastest are selected, and the one with
the smallest file is chosen. If the user provides a test set, accuracies are measured on it, and cross-validation on the
remaining photos is used only to choose between points that the test set cannot tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poets_edge.sweep.budget import Budget
from poets_edge.sweep.points import GridPoint

_EQUAL_SIZES = 1.05
"""Maximum ratio of two file sizes that are considered equal."""
_CLEARLY_FASTER = 1.05
"""Minimum ratio of the latencies of two models at which the higher speed is stated as the reason for a choice. Below
this ratio, the smaller file is stated as the reason if the chosen model has one.
"""


@dataclass(frozen=True)
class Choice:
    """The grid point (a model with its measurements) that was chosen for use, and the reason for the choice.

    Attributes:
        point: chosen point; None if no point is within the budget.
        nearest: point closest to the budget if no point was chosen; otherwise None.
        reason: reason for the choice, or for choosing no point, in one or two sentences.
    """

    point: GridPoint | None
    nearest: GridPoint | None
    reason: str


def choose(points: Sequence[GridPoint], budget: Budget) -> Choice:
    """Choose the fastest model within the budget that is not significantly less accurate than the most accurate one.

    If the budget sets a minimum accuracy but limits neither latency nor size, choose the fastest model within the
    budget. If no model is within the budget, choose none and return the one closest to the budget instead.

    Args:
        points: models with their measurements.
        budget: limits on latency, file size, accuracy and memory.
    """
    within = [point for point in points if not budget.violations(point)]
    if not within:
        return _choose_nearest(points, budget)
    if budget.accuracy is not None and budget.latency is None and budget.size is None:
        chosen = smallest_of_fastest(within)
        reason = f"{_rank('the fastest', within, budget)}{_size_reason(chosen, within)}."
        return Choice(chosen, None, f"{chosen.name}: {figures(chosen)}, {reason}")
    best = most_accurate(within)
    equals = indistinguishable(within)
    contenders = cross_validation_contenders(equals)
    chosen = smallest_of_fastest(contenders)
    tie = _tie_reason(equals, contenders)
    if chosen == best:
        reason = _rank("the most accurate", within, budget)
        if len(contenders) > 1:
            reason += ", and no other that may be as accurate is faster"
        return Choice(best, None, f"{best.name}: {figures(best)}, {reason}{_size_reason(best, contenders)}.{tie}")
    return Choice(chosen, None, f"{chosen.name}: {figures(chosen)}. {_comparison(best, chosen, budget)}{tie}")


def most_accurate(points: Sequence[GridPoint]) -> GridPoint:
    """Return the grid point (model) with the highest accuracy; if several are equally accurate, the fastest of them."""
    return max(points, key=lambda point: (point.accuracy, -point.latency.median))


def smallest_of_fastest(points: Sequence[GridPoint]) -> GridPoint:
    """Return the grid point (model) with the smallest file among those that are about as fast as the fastest one.

    Points that are not significantly slower than the fastest one are considered. If their smallest files differ only
    slightly in size, the fastest of these is returned.
    """
    first = min(points, key=lambda point: (point.latency.median, point.size))
    tied = [point for point in points if point == first or point.is_as_fast_as(first)]
    # The files of one width differ by a few bytes of metadata, which are irrelevant to the choice.
    limit = _EQUAL_SIZES * min(point.size for point in tied)
    return min((point for point in tied if point.size <= limit), key=lambda point: point.latency.median)


def indistinguishable(points: Sequence[GridPoint]) -> list[GridPoint]:
    """Return the grid points (models) that are not significantly less accurate than the most accurate one.

    The most accurate one is included.
    """
    best = most_accurate(points)
    return [point for point in points if point.compare(best).could_be_chance]


def cross_validation_contenders(points: Sequence[GridPoint]) -> list[GridPoint]:
    """Return the grid points (models) that are not significantly worse in cross-validation than the best one.

    If there are no cross-validation results, all points are returned.
    """
    best = max(points, key=lambda point: (sum(point.cross_validated), -point.latency.median))
    return [point for point in points if point is best or point.compare_cross_validated(best).could_be_chance]


def _tie_reason(equals: Sequence[GridPoint], contenders: Sequence[GridPoint]) -> str:
    """Return a sentence for users about the models that cross-validation ruled out; "" if it ruled out none.

    Args:
        equals: models that the test set cannot tell apart.
        contenders: those among them that are not significantly worse in cross-validation.
    """
    if len(contenders) == len(equals):
        return ""
    return (
        f" The {equals[0].photos} photos of the test set cannot tell {len(equals)} points apart; cross-validation"
        f" within the {len(equals[0].cross_validated)} training and validation photos decided between them and ruled"
        f" out {len(equals) - len(contenders)}."
    )


def figures(point: GridPoint) -> str:
    """Format the accuracy, median latency and file size of a model, for example `86.2 % in 3.14 ms, 0.98 MB`."""
    return f"{100 * point.accuracy:.1f} % in {point.latency.median:.2f} ms, {point.size / 1e6:.2f} MB"


def _comparison(best: GridPoint, chosen: GridPoint, budget: Budget) -> str:
    """Return a sentence that explains why the most accurate model was not chosen."""
    paired = chosen.compare(best)
    limits = "" if str(budget) == "no limits" else f" with {budget}"
    speedup = best.latency.median / chosen.latency.median
    if speedup >= _CLEARLY_FASTER or chosen.size >= best.size:
        gain = f"is {speedup:.{1 if speedup >= 1.15 else 2}f} times as fast"
    else:
        gain = f"is not significantly slower and has a smaller file ({chosen.size / 1e6:.2f} MB)"
    counts = (
        f"{paired.better} correctly that the other misclassifies, and misclassifies {paired.worse} that the other does"
        " not"
    )
    if best.repeats > 1:
        counts = f"{paired.better} correctly more often than the other, and {paired.worse} less often"
    return (
        f"The most accurate point{limits} is {best.name} ({figures(best)}). Of {best.photos} photos, the chosen point"
        f" classifies {counts}, which could be chance; it {gain}."
    )


def _rank(superlative: str, within: Sequence[GridPoint], budget: Budget) -> str:
    if str(budget) == "no limits":
        return f"{superlative} of all {len(within)} points" if len(within) > 1 else "the only point"
    if len(within) > 1:
        return f"{superlative} of the {len(within)} points with {budget}"
    return f"the only point with {budget}"


def _size_reason(chosen: GridPoint, points: Sequence[GridPoint]) -> str:
    first = min(points, key=lambda point: (point.latency.median, point.size))
    if chosen == first:
        return ""
    return f" (not significantly slower than {first.name}, and a smaller file)"


def _choose_nearest(points: Sequence[GridPoint], budget: Budget) -> Choice:
    nearest = min(points, key=lambda point: (max(budget.violations(point).values()), point.latency.median))
    broken = budget.violations(nearest)
    misses = []
    if "latency" in broken:
        misses.append(f"it takes {nearest.latency.median:.2f} ms")
    if "size" in broken:
        misses.append(f"it has {nearest.size / 1e6:.2f} MB")
    if "accuracy" in broken:
        misses.append(f"it reaches {100 * nearest.accuracy:.1f} %")
    if "board" in broken and nearest.cost:
        misses.append(f"its tensors need {nearest.cost.arena:,} bytes, and the model has {nearest.cost.size:,}")
    none = f"none of the {len(points)} points has" if len(points) > 1 else "the only point does not have"
    return Choice(
        None,
        nearest,
        f"{none} {budget}. The nearest is {nearest.name}: {' and '.join(misses)}.",
    )
