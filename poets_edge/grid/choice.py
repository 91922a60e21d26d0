"""Which point of a grid to ship, and why, in words.

What cannot be told apart is not told apart: of the points whose accuracy the photos cannot tell from the best one's the
fastest is chosen, and of those whose times the measurement cannot tell from the fastest one's the smallest file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poets_edge.grid.points import Budget, Point

_AS_LARGE = 1.05
"""Files that differ by less than this are as large."""
_CLEARLY_FASTER = 1.05
"""From this ratio of times on it is worth a word."""


@dataclass(frozen=True)
class Choice:
    """The point to ship and the reason in words; or none, and the one that came nearest."""

    point: Point | None
    nearest: Point | None
    reason: str


def choose(points: Sequence[Point], budget: Budget) -> Choice:
    """The fastest of the points within the budget that may be as accurate as the most accurate of them.

    With an accuracy to reach and nothing else, the fastest point that reaches it.
    """
    within = [point for point in points if not budget.excess(point)]
    if not within:
        return _nearest(points, budget)
    if budget.accuracy is not None and budget.latency is None and budget.size is None:
        chosen = fastest(within)
        why = f"{_rank('the fastest', within, budget)}{_smaller_file(chosen, within)}."
        return Choice(chosen, None, f"{chosen.name}: {figures(chosen)}, {why}")
    best = most_accurate(within)
    equals = [point for point in within if point.beside(best).could_be_chance]
    chosen = fastest(equals)
    if chosen == best:
        why = _rank("the most accurate", within, budget)
        if len(equals) > 1:
            why += ", and no other that may be as accurate is faster"
        return Choice(best, None, f"{best.name}: {figures(best)}, {why}{_smaller_file(best, equals)}.")
    return Choice(chosen, None, f"{chosen.name}: {figures(chosen)}. {_instead_of(best, chosen, budget)}")


def most_accurate(points: Sequence[Point]) -> Point:
    """The most accurate point, the faster of two."""
    return max(points, key=lambda point: (point.accuracy, -point.latency.median))


def fastest(points: Sequence[Point]) -> Point:
    """The smallest file of those whose times cannot be told from the fastest one's; of as large ones the faster."""
    first = min(points, key=lambda point: (point.latency.median, point.size))
    tied = [point for point in points if point == first or point.as_fast_as(first)]
    # Files of one width differ by a few bytes of metadata, which are no reason.
    smallest = _AS_LARGE * min(point.size for point in tied)
    return min((point for point in tied if point.size <= smallest), key=lambda point: point.latency.median)


def indistinguishable(points: Sequence[Point]) -> list[Point]:
    """The points whose accuracy the photos cannot tell from that of the most accurate, which is among them."""
    best = most_accurate(points)
    return [point for point in points if point.beside(best).could_be_chance]


def figures(point: Point) -> str:
    """`86.2 % in 3.14 ms, 0.98 MB`."""
    return f"{100 * point.accuracy:.1f} % in {point.latency.median:.2f} ms, {point.size / 1e6:.2f} MB"


def _instead_of(best: Point, chosen: Point, budget: Budget) -> str:
    """One sentence for somebody who has never heard of a test of significance."""
    paired = chosen.beside(best)
    among = "" if str(budget) == "no limits" else f" with {budget}"
    gain = best.latency.median / chosen.latency.median
    if gain >= _CLEARLY_FASTER or chosen.size >= best.size:
        price = f"it is {gain:.{1 if gain >= 1.15 else 2}f} times as fast"
    else:
        price = f"as far as was measured it is as fast, with a file of {chosen.size / 1e6:.2f} MB"
    counts = f"{paired.worse} wrong more often and {paired.better} right more often"
    if best.judgments == 1:
        counts = f"{paired.worse} wrong that it gets right, and {paired.better} the other way round"
    return (
        f"The most accurate point{among} is {best.name} ({figures(best)}), but of {best.photos} photos this one gets"
        f" {counts}, which could be chance; and {price}."
    )


def _rank(what: str, within: Sequence[Point], budget: Budget) -> str:
    if str(budget) == "no limits":
        return f"{what} of all {len(within)} points" if len(within) > 1 else "the only point"
    return f"{what} of the {len(within)} points with {budget}" if len(within) > 1 else f"the only point with {budget}"


def _smaller_file(chosen: Point, points: Sequence[Point]) -> str:
    first = min(points, key=lambda point: (point.latency.median, point.size))
    if chosen == first:
        return ""
    return f" (as fast as {first.name} as far as was measured, and a smaller file)"


def _nearest(points: Sequence[Point], budget: Budget) -> Choice:
    nearest = min(points, key=lambda point: (max(budget.excess(point).values()), point.latency.median))
    broken = budget.excess(nearest)
    misses = []
    if "latency" in broken:
        misses.append(f"it takes {nearest.latency.median:.2f} ms")
    if "size" in broken:
        misses.append(f"it has {nearest.size / 1e6:.2f} MB")
    if "accuracy" in broken:
        misses.append(f"it reaches {100 * nearest.accuracy:.1f} %")
    return Choice(
        None,
        nearest,
        f"none of the {len(points)} points has {budget}. Nearest comes {nearest.name}: {' and '.join(misses)}.",
    )
