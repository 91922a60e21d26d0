"""Random samples of mutants, and estimates of the fraction of all mutants that the tests kill."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from poets_edge.device.metrics import wilson_interval

_Item = TypeVar("_Item")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Outcome of a random sample of a module's mutants.

    Attributes:
        mutants: number of mutants of the module. It may be an estimate, for example without equivalent mutants, and
            is then not necessarily an integer.
        drawn: number of mutants in the sample, at least 1.
        killed: number of mutants in the sample that a test killed.
    """

    mutants: float
    drawn: int
    killed: int


def draw(items: Sequence[_Item], size: int, seed: int) -> list[_Item]:
    """Return a list of `size` items chosen at random without replacement, or of all if there are fewer.

    The items are in their original order.
    """
    chosen = random.Random(seed).sample(range(len(items)), min(size, len(items)))
    return [items[number] for number in sorted(chosen)]


def killed_share(samples: Iterable[Sample]) -> tuple[float, float, float]:
    """Return the estimated share of mutants of all modules that tests kill, and its 95 % interval: (share, low, high).

    Each module is weighted by its number of mutants (stratified sampling; Cochran, Sampling Techniques, 1977, section
    5.3). The interval is Wilson's for the effective sample size, that is, the size of a simple random sample from all
    modules with equal variance. If all mutants were run, the share is exact: `low` and `high` are equal to it.

    Args:
        samples: a sample of each module.
    """
    known = list(samples)
    total = sum(sample.mutants for sample in known)
    share = sum(sample.mutants / total * sample.killed / sample.drawn for sample in known)
    # Variance of the share, divided by p (1 - p); mutants that were all run contribute nothing.
    variance = sum((one.mutants / total) ** 2 * (1 - one.drawn / one.mutants) / one.drawn for one in known)
    if variance <= 0:
        return share, share, share
    return share, *wilson_interval(share / variance, 1 / variance)
