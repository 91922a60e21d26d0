"""Compare a fine-tuned network with the frozen backbone on photos that neither has learned from.

Two hundred photos rarely show that an accuracy of 94 % is better than one of 90 %. The cross entropy shows more, as it
also depends on how confident a network is of each prediction. Fine-tuned networks are trained with smoothed labels,
which make them less confident, so the scores of each network are first scaled to the temperature with the lowest cross
entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.device.paired import SIGNIFICANCE, Paired, compare_paired, sign_flip_p_value, significance
from poets_edge.device.temperature import best_temperature, cross_entropies, with_temperature

Scores = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Comparison of a fine-tuned network with the frozen backbone on the same photos.

    Attributes:
        correct, frozen_correct: number of photos that the fine-tuned and the frozen network classified correctly.
        paired: paired comparison of the two accuracies.
        cross_entropy, frozen_cross_entropy: mean cross entropy of the fine-tuned and of the frozen network, in nats.
        p_value: two-sided p-value of the difference between these cross entropies.
    """

    correct: int
    frozen_correct: int
    paired: Paired
    cross_entropy: float
    frozen_cross_entropy: float
    p_value: float

    @property
    def is_better(self) -> bool:
        """Whether the fine-tuned network is significantly better in accuracy or cross entropy, and worse in neither."""
        if self.paired.gain < 0 or self.cross_entropy > self.frozen_cross_entropy:
            return False
        return not self.paired.could_be_chance or self.p_value <= SIGNIFICANCE

    @property
    def is_undecided(self) -> bool:
        """Whether neither the accuracy nor the cross entropy differs significantly from that of the frozen backbone."""
        return self.paired.could_be_chance and self.p_value > SIGNIFICANCE

    def __str__(self) -> str:
        """Return how much the two networks differ in accuracy and cross entropy, and how significantly, as text."""
        return (
            f"{self.paired}. Cross entropy {self.cross_entropy:.3f}, frozen {self.frozen_cross_entropy:.3f}:"
            f" {significance(self.p_value)}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON-compatible dictionaries, strings and numbers."""
        return {
            **self.paired.to_json(),
            "cross_entropy": self.cross_entropy,
            "frozen_cross_entropy": self.frozen_cross_entropy,
            "cross_entropy_p_value": self.p_value,
        }


def compare_scores(tuned: Scores, frozen: Scores, truth: Classes) -> Comparison:
    """Compare a fine-tuned network with the frozen backbone in accuracy and, after temperature scaling, cross entropy.

    Args:
        tuned, frozen: scores of both networks, float32 [photos, classes].
        truth: class number of each photo, int64 [photos].
    """
    correct, frozen_correct = (scores.argmax(axis=1) == truth for scores in (tuned, frozen))
    losses, frozen_losses = (
        cross_entropies(with_temperature(scores, best_temperature(scores, truth)), truth) for scores in (tuned, frozen)
    )
    return Comparison(
        correct=int(correct.sum()),
        frozen_correct=int(frozen_correct.sum()),
        paired=compare_paired(correct, frozen_correct),
        cross_entropy=float(losses.mean()),
        frozen_cross_entropy=float(frozen_losses.mean()),
        p_value=sign_flip_p_value(losses - frozen_losses),
    )
