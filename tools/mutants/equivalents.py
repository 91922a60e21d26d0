"""Mutants that no test can kill, because the program does the same with them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Equivalent:
    """A surviving mutant that has been reviewed.

    Attributes:
        module: path under `poets_edge`.
        before, after: the changed source lines, as in the report.
        reason: why the behaviour is the same, or why the difference is not part of what is promised.
    """

    module: str
    before: str
    after: str
    reason: str


EQUIVALENTS: tuple[Equivalent, ...] = (
    Equivalent(
        "device/paired.py",
        """what = f"{'loses' if self.gain < 0 else 'gains'} {points} points" if float(points) else "no change\"""",
        """what = f"{'loses' if self.gain <= 0 else 'gains'} {points} points" if float(points) else "no change\"""",
        "a gain of 0 is described as no change",
    ),
    Equivalent(
        "sweep/trend.py",
        "return _mean(after) < _mean(before) and after[0].compare(before[-1]).could_be_chance",
        "return _mean(after) <= _mean(before) and after[0].compare(before[-1]).could_be_chance",
        "pools of equal means have that mean together, and are pooled anyway once a later point falls below them",
    ),
)


def equivalent(module: str, before: str, after: str) -> Equivalent | None:
    """Return the entry of a mutant, None where it has not been reviewed."""
    found = (one for one in EQUIVALENTS if (one.module, one.before, one.after) == (module, before, after))
    return next(found, None)
