"""Paired comparison of two models on the same photos, with an exact significance test.

Two accuracies with overlapping intervals say little, because hard photos are hard for both models. The informative
photos are those that one model classifies correctly and the other does not. If the models are equally good, each of
these photos favors either model with probability 1/2. McNemar's test is based on this; its exact form, used here, is
valid for any number of photos.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SIGNIFICANCE = 0.05
"""Significance level of the two-sided test: maximum probability of reporting that equally good models differ."""

_DRAWS, _DRAWS_AT_ONCE = 9_999, 101


@dataclass(frozen=True)
class Paired:
    """Comparison of a model with a reference model on the same photos.

    Attributes:
        photos: number of photos on which the models are compared.
        worse: number of photos for which the model was right less often than the reference.
        better: number of photos for which the model was right more often than the reference.
        gain: accuracy of the model minus accuracy of the reference, in percentage points; nan if there are no photos.
        p_value: probability that equally good models differ at least as much as these models, 0 to 1.
    """

    photos: int
    worse: int
    better: int
    gain: float
    p_value: float

    @property
    def could_be_chance(self) -> bool:
        """Whether the accuracies of the two models do not differ significantly, at the 5 % level."""
        return self.p_value > SIGNIFICANCE

    def __str__(self) -> str:
        """Return a summary such as `loses 0.2 points; 3 photos worse, 1 better; could be chance`."""
        if not self.worse and not self.better:
            return "right and wrong on the same photos"
        points = f"{abs(self.gain):.1f}"
        what = f"{'loses' if self.gain < 0 else 'gains'} {points} points" if float(points) else "no change"
        photos = f"{self.worse} photo{'' if self.worse == 1 else 's'} worse, {self.better} better"
        return f"{what}; {photos}; {self.verdict}"

    @property
    def verdict(self) -> str:
        """Phrase that states whether the difference could be due to chance, as returned by `significance`."""
        return significance(self.p_value)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON-compatible dictionary."""
        return {
            **asdict(self),
            "gain": None if math.isnan(self.gain) else self.gain,
            "could_be_chance": self.could_be_chance,
        }


def significance(p_value: float) -> str:
    """Return the phrase that describes a p-value: `could be chance`, or `unlikely to be chance (p = 0.012)`."""
    if p_value > SIGNIFICANCE:
        return "could be chance"
    return f"unlikely to be chance (p {f'= {p_value:.2g}' if p_value >= 0.001 else 'below 0.001'})"


def compare_paired(
    correct: npt.NDArray[Any],
    reference: npt.NDArray[Any],
    repeats: int = 1,
    groups: npt.NDArray[np.int64] | None = None,
) -> Paired:
    """Compare two models by the photos on which they disagree.

    With one prediction per photo this is the exact two-sided McNemar test (McNemar, Psychometrika 12, 1947; exact form
    in Agresti, Categorical Data Analysis, 10.1). With several predictions per photo, it is Fisher and Pitman's
    permutation test on the difference, for each photo, between the two models' numbers of correct predictions. The
    predictions for one photo then do not count as independent. McNemar's test is the special case of the permutation
    test in which all differences have equal size. With groups of photos, the test permutes the sums of the differences
    in each group, because photos of a group are often all correct or all wrong.

    Args:
        correct: number of correct predictions of the model for each photo, bool or int [photos].
        reference: number of correct predictions of the reference for each photo, in the same order.
        repeats: number of predictions per photo.
        groups: group number of each photo, [photos]; None if all photos are independent.

    Raises:
        ValueError: the arrays have different lengths.
    """
    if correct.shape != reference.shape:
        raise ValueError(f"{len(correct)} answers cannot be paired with {len(reference)}.")
    differences = correct.astype(np.int64) - reference.astype(np.int64)
    total, photos = int(differences.sum()), len(correct)
    return Paired(
        photos,
        int((differences < 0).sum()),
        int((differences > 0).sum()),
        100 * total / (photos * repeats) if photos else math.nan,
        _p_value(differences if groups is None else _sums(differences, groups)),
    )


def _sums(values: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the sum of the values in each group, int64 [groups]."""
    number = np.unique(groups, return_inverse=True)[1].reshape(-1)
    return np.bincount(number, weights=values).astype(np.int64)


def mcnemar(worse: int, better: int) -> float:
    """Return the p-value of the exact two-sided McNemar test.

    Args:
        worse: number of photos that only the reference classified correctly.
        better: number of photos that only the model classified correctly.
    """
    return _p_value(np.repeat((-1, 1), (worse, better)).astype(np.int64))


def sign_flip_p_value(differences: npt.NDArray[np.float64]) -> float:
    """Return the two-sided p-value of a sign-flip test for real-valued differences between paired values.

    The test is Fisher and Pitman's permutation test for the mean of the differences. Instead of all combinations of
    signs, 9,999 random ones are used, drawn with a fixed seed (Monte Carlo test; Davison and Hinkley, Bootstrap
    Methods, 1997, 4.2).
    """
    rng = np.random.default_rng(0)
    reach = abs(float(differences.sum())) * (1 - 1e-9)
    far = 0
    for _ in range(_DRAWS // _DRAWS_AT_ONCE):
        signs = rng.integers(0, 2, (_DRAWS_AT_ONCE, len(differences)), np.int8)
        far += int((np.abs((2.0 * signs - 1) @ differences) >= reach).sum())
    return (1 + far) / (1 + _DRAWS)


def _p_value(differences: npt.NDArray[np.int64]) -> float:
    """Return the exact two-sided p-value of a sign-flip test for integer differences between paired values.

    The p-value is the probability that the sum of the differences, with random signs, is at least as far from 0 as the
    sum with the actual signs.
    """
    sizes = np.bincount(np.abs(differences))
    chances = np.ones(1)  # probabilities of the sums -reach ... reach
    for size, count in enumerate(sizes):
        if size and count:
            # The sum of `count` signs is 2 heads - count, so that `size` times it changes in steps of 2 size.
            spread = np.zeros(2 * size * count + 1)
            spread[:: 2 * size] = _binomial(int(count))
            chances = np.convolve(chances, spread)
    reach = len(chances) // 2
    far = np.abs(np.arange(-reach, reach + 1)) >= abs(int(differences.sum()))
    return min(1.0, float(chances[far].sum()))


def _binomial(count: int) -> npt.NDArray[np.float64]:
    """Return the probabilities of 0, 1, ..., `count` heads in `count` tosses of a fair coin."""
    logs = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, count + 1)))))
    return np.asarray(np.exp(logs[-1] - logs - logs[::-1] - count * math.log(2)))
