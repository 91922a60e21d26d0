"""Convert a model's output to scores from 0 to 1.

Most classifiers end with a softmax. Others return logits, logarithms of probabilities, or one sigmoid per label; the
last operator of the graph determines which.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from poets_edge.errors import ModelError
from poets_edge.tflite.metadata import Metadata
from poets_edge.tflite.model_file import ModelFile

ScoreKind: TypeAlias = Literal["probabilities", "logits", "log probabilities", "sigmoids"]
"""Meaning of a model's output values; "sigmoids" are independent scores from 0 to 1."""

_Values = npt.NDArray[np.float32]

_LOGITS = frozenset(
    (
        *("FULLY_CONNECTED", "CONV_2D", "BATCH_MATMUL", "ADD", "SUB", "MUL", "MEAN", "AVERAGE_POOL_2D"),
        *("RELU", "RELU6", "LEAKY_RELU", "PRELU", "ELU", "GELU", "HARD_SWISH", "TANH"),
    )
)
"""Operators whose results are not limited to the range from 0 to 1."""
_KINDS: dict[str, ScoreKind] = {
    "SOFTMAX": "probabilities",
    "LOG_SOFTMAX": "log probabilities",
    "LOGISTIC": "sigmoids",
    **dict.fromkeys(_LOGITS, "logits"),
}
_CHOICES = ("ARG_MAX", "ARG_MIN")
"""Operators that return the index of the largest or smallest value."""
_TOLERANCE = 0.02
"""Maximum distance of quantized probabilities from the range 0 to 1, and of their sum from 1."""


def known_kind(file: ModelFile, metadata: Metadata, output: int) -> ScoreKind | None:
    """Return the meaning of an output's values, based on the operator that computes it; None if it is unknown.

    Models that poets_edge wrote always return probabilities.

    Raises:
        ModelError: the output is the number of the best label instead of scores.
    """
    if metadata.facts:
        return "probabilities"
    # Loaded only for models of other programs: the import takes as long as an inference.
    from poets_edge.tflite.graph_evidence import Graph

    operator = Graph(file).last_operator(output)
    if operator in _CHOICES:
        raise ModelError(
            f"{file.path}: returns the number of the best label ({operator}), not the scores. Convert it without this"
            " operator."
        )
    return _KINDS.get(operator)


def kind_of_values(values: _Values) -> ScoreKind:
    """Infer the meaning of an output from its values for one photo, float32 [outputs].

    Values outside the range 0 to 1 are logits; values that add up to 1 are probabilities; all others are sigmoids.
    """
    if values.min() < -_TOLERANCE or values.max() > 1 + _TOLERANCE:
        return "logits"
    return "probabilities" if values.size > 1 and abs(float(values.sum()) - 1) <= _TOLERANCE else "sigmoids"


def to_scores(kind: ScoreKind, values: _Values, labels: int) -> _Values:
    """Convert the output for one photo to scores from 0 to 1.

    Args:
        values: float32 [outputs].
        labels: number of labels, equal to the number of outputs; or 2 for a single output, which is then the score of
            the second label.

    Returns:
        float32 [labels].
    """
    if values.size == 1 and kind in ("logits", "sigmoids"):
        score = 1 / (1 + np.exp(-np.clip(values, -80, 80))) if kind == "logits" else values
        return np.concatenate([1 - score, score]).astype(np.float32) if labels == 2 else score.astype(np.float32)
    if kind == "logits":
        powers = np.exp(values - values.max())
        return np.asarray(powers / powers.sum(), np.float32)
    if kind == "log probabilities":
        return np.exp(np.minimum(values, 0))
    return values


def remark(kind: ScoreKind, outputs: int) -> str:
    """Return a clause that explains how scores are computed from the output; "" if no explanation is needed."""
    if kind == "logits":
        return f"it ends without a softmax: scores are the {'softmax' if outputs > 1 else 'sigmoid'} of its output"
    if kind == "log probabilities":
        return "its output holds logarithms of probabilities: scores are their exponentials"
    if kind == "sigmoids" and outputs > 1:
        return "a multi-label model: each label has a score of its own (a sigmoid), and several labels may apply"
    return ""
