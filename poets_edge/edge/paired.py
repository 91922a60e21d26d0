"""Two models on the same photos: which photos decide between them, and whether that could be chance.

Two accuracies with overlapping intervals say little, because the same hard photos trouble both models. What tells them
apart are the photos on which one is right and the other wrong. If the models were equally good, each of those would
fall to either side like a coin: McNemar's test, here in its exact form, which holds for any number of photos.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SIGNIFICANCE = 0.05
"""Of a two-sided test: equally good models are called different at most so often."""

Right = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Paired:
    """A model beside a reference, on the same photos.

    Attributes:
        photos: how many photos both were judged on.
        worse: photos that the reference answered right and the model wrong.
        better: photos that the model answered right and the reference wrong.
    """

    photos: int
    worse: int
    better: int

    @property
    def gain(self) -> float:
        """The model's accuracy less the reference's, in points (percent); nan without photos."""
        return 100 * (self.better - self.worse) / self.photos if self.photos else math.nan

    @property
    def p_value(self) -> float:
        """Of the exact two-sided McNemar test, 0 to 1: how often equally good models would differ by as much.

        Twice the smaller tail of a binomial distribution with p = 1/2 over the photos on which they disagree
        (McNemar, Psychometrika 12, 1947; exact form as in Agresti, Categorical Data Analysis, 10.1).
        """
        disagree = self.worse + self.better
        tail = ways = 1  # whole numbers: exact, and no photo count is too large for them
        for k in range(1, min(self.worse, self.better) + 1):
            ways = ways * (disagree - k + 1) // k
            tail += ways
        return min(1.0, 2 * tail / 2**disagree)

    @property
    def could_be_chance(self) -> bool:
        """Equally good models would differ by as much in more than one case in twenty."""
        return self.p_value > SIGNIFICANCE

    def __str__(self) -> str:
        """`loses 0.2 points; 3 photos worse, 1 better; could be chance`."""
        if not self.worse and not self.better:
            return "right and wrong on the same photos"
        points = abs(self.gain)
        what = "no change" if not points else f"{'loses' if self.gain < 0 else 'gains'} {points:.1f} points"
        verdict = "could be chance" if self.could_be_chance else f"unlikely to be chance (p = {_p_text(self.p_value)})"
        photos = f"{self.worse} photo{'' if self.worse == 1 else 's'} worse, {self.better} better"
        return f"{what}; {photos}; {verdict}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "photos": self.photos,
            "worse": self.worse,
            "better": self.better,
            "gain_points": None if math.isnan(self.gain) else self.gain,
            "p_value": self.p_value,
            "could_be_chance": self.could_be_chance,
        }


def compare_paired(right: Right, reference: Right) -> Paired:
    """Compare two models by the photos on which they disagree.

    Args:
        right: bool [photos], whether the model answered each photo correctly.
        reference: the same of the model it is compared with, on the same photos in the same order.

    Raises:
        ValueError: they are not about equally many photos.
    """
    if right.shape != reference.shape:
        raise ValueError(f"{len(right)} answers cannot be paired with {len(reference)}.")
    return Paired(len(right), int((reference & ~right).sum()), int((right & ~reference).sum()))


def _p_text(p: float) -> str:
    return f"{p:.2g}" if p >= 0.001 else "below 0.001"
