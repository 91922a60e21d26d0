"""Trend lines of accuracy over resolution, which fall only where the decrease is statistically significant.

A higher resolution rarely lowers the accuracy of a network, so most decreases between adjacent resolutions are noise.
Adjacent points with an insignificant decrease are replaced with their mean (isotonic regression by pooling adjacent
violators: Barlow et al., Statistical Inference under Order Restrictions, 1972).
"""

from __future__ import annotations

from collections.abc import Sequence

from poets_edge.sweep.points import GridPoint


def trend(points: Sequence[GridPoint]) -> list[float]:
    """Return the accuracy of the trend line at each point, 0 to 1.

    Args:
        points: grid points (models) of one series at one quantization, by ascending resolution.
    """
    pools: list[list[GridPoint]] = []
    for point in points:
        pools.append([point])
        while len(pools) > 1 and _falls_insignificantly(pools[-2], pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    return [_mean(pool) for pool in pools for _ in pool]


def _falls_insignificantly(before: Sequence[GridPoint], after: Sequence[GridPoint]) -> bool:
    return _mean(after) < _mean(before) and after[0].compare(before[-1]).could_be_chance


def _mean(pool: Sequence[GridPoint]) -> float:
    return sum(point.accuracy for point in pool) / len(pool)
