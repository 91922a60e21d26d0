"""Two models on the same photos: which photos decide between them, and whether that could be chance.

Two accuracies with overlapping intervals say little, because the same hard photos trouble both models. What tells them
apart are the photos on which one is right and the other wrong. If the models were equally good, each of those would
fall to either side like a coin: McNemar's test, here in its exact form, which holds for any number of photos.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SIGNIFICANCE = 0.05
"""Of a two-sided test: equally good models are called different at most so often."""


@dataclass(frozen=True)
class Paired:
    """A model beside a reference, on the same photos.

    Attributes:
        photos: how many photos both were judged on.
        worse: photos that the reference answered right and the model wrong; where each photo was judged several times,
            those that the model answered right less often.
        better: the other way round.
        gain: the model's accuracy less the reference's, in points (percent); nan without photos.
        p_value: how often equally good models would differ by as much, 0 to 1.
    """

    photos: int
    worse: int
    better: int
    gain: float
    p_value: float

    @property
    def could_be_chance(self) -> bool:
        """Equally good models would differ by as much in more than one case in twenty."""
        return self.p_value > SIGNIFICANCE

    def __str__(self) -> str:
        """`loses 0.2 points; 3 photos worse, 1 better; could be chance`."""
        if not self.worse and not self.better:
            return "right and wrong on the same photos"
        points = f"{abs(self.gain):.1f}"
        what = f"{'loses' if self.gain < 0 else 'gains'} {points} points" if float(points) else "no change"
        photos = f"{self.worse} photo{'' if self.worse == 1 else 's'} worse, {self.better} better"
        return f"{what}; {photos}; {self.verdict}"

    @property
    def verdict(self) -> str:
        """`could be chance`, or `unlikely to be chance (p = 0.012)`."""
        if self.could_be_chance:
            return "could be chance"
        return f"unlikely to be chance (p {f'= {self.p_value:.2g}' if self.p_value >= 0.001 else 'below 0.001'})"

    def to_json(self) -> dict[str, Any]:
        """Return the value as JSON-compatible dictionaries, lists, strings and numbers."""
        return {
            **asdict(self),
            "gain": None if math.isnan(self.gain) else self.gain,
            "could_be_chance": self.could_be_chance,
        }


def compare_paired(right: npt.NDArray[Any], reference: npt.NDArray[Any], judgments: int = 1) -> Paired:
    """Compare two models by the photos on which they disagree.

    With one judgment a photo the test is the exact two-sided McNemar test (McNemar, Psychometrika 12, 1947; exact form
    as in Agresti, Categorical Data Analysis, 10.1). With several, each photo's difference may fall to either side as a
    whole, weighted by its size (Fisher and Pitman's permutation test, of which McNemar's is the case of equal sizes);
    judgments of one photo are not counted as if they were independent.

    Args:
        right: bool or int [photos], how many of its `judgments` of each photo the model had right.
        reference: the same of the model it is compared with, on the same photos in the same order.

    Raises:
        ValueError: they are not about the same number of photos.
    """
    if right.shape != reference.shape:
        raise ValueError(f"{len(right)} answers cannot be paired with {len(reference)}.")
    differences = right.astype(np.int64) - reference.astype(np.int64)
    total, photos = int(differences.sum()), len(right)
    return Paired(
        photos,
        int((differences < 0).sum()),
        int((differences > 0).sum()),
        100 * total / (photos * judgments) if photos else math.nan,
        _p_value(differences),
    )


def mcnemar(worse: int, better: int) -> float:
    """The exact two-sided p-value for so many photos on which one model alone, and the other alone, is right."""
    return _p_value(np.repeat((-1, 1), (worse, better)).astype(np.int64))


def _p_value(differences: npt.NDArray[np.int64]) -> float:
    """How often the sum would be as far from 0 or farther, if each sign were a coin's."""
    sizes = np.bincount(np.abs(differences))
    chances = np.ones(1)  # of the sums -reach ... reach, in steps of 1
    for size, count in enumerate(sizes):
        if size and count:
            # The sum of `count` signs is 2 heads - count; its size-fold lies in steps of 2 size.
            spread = np.zeros(2 * size * count + 1)
            spread[:: 2 * size] = _coins(int(count))
            chances = np.convolve(chances, spread)
    reach = len(chances) // 2
    far = np.abs(np.arange(-reach, reach + 1)) >= abs(int(differences.sum()))
    return min(1.0, float(chances[far].sum()))


def _coins(count: int) -> npt.NDArray[np.float64]:
    """The chance of 0, 1 ... `count` heads."""
    logs = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, count + 1)))))
    return np.asarray(np.exp(logs[-1] - logs - logs[::-1] - count * math.log(2)))
