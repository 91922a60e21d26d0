"""The line that a chart may draw through accuracies: it falls only where the photos show a fall.

More pixels do not make a network worse, so a line that zigzags from one resolution to the next mostly shows noise.
Neighbours of which the larger is worse, by no more than chance would do, share their mean (isotonic regression by
pooling adjacent violators: Barlow et al., Statistical Inference under Order Restrictions, 1972).
"""

from __future__ import annotations

from collections.abc import Sequence

from poets_edge.grid.points import Point


def trend(points: Sequence[Point]) -> list[float]:
    """The height of the line at each point, 0 to 1.

    Args:
        points: of one width, in order of their resolution.
    """
    pools: list[list[Point]] = []
    for point in points:
        pools.append([point])
        while len(pools) > 1 and _falls_by_chance(pools[-2], pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    return [_mean(pool) for pool in pools for _ in pool]


def _falls_by_chance(before: Sequence[Point], after: Sequence[Point]) -> bool:
    return _mean(after) < _mean(before) and after[0].beside(before[-1]).could_be_chance


def _mean(pool: Sequence[Point]) -> float:
    return sum(point.accuracy for point in pool) / len(pool)
