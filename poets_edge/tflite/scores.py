"""Convert a model's output to scores from 0 to 1.

Most classifiers end with a softmax. Others return logits, logarithms of probabilities, one sigmoid per label, or scores
with a different range, such as percentages; the last operators of the graph determine which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from poets_edge.errors import ModelError
from poets_edge.tflite.metadata import Metadata
from poets_edge.tflite.model_file import ModelFile

ScoreKind: TypeAlias = Literal["probabilities", "logits", "log probabilities", "sigmoids"]
"""Meaning of a model's output values; "sigmoids" are independent scores, one per label, from 0 to 1."""

_Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ScoreFormat:
    """Meaning and range of a model's output values.

    Attributes:
        kind: meaning of the values: "probabilities", "logits", "log probabilities", or "sigmoids" (independent scores,
            one per label).
        low, high: output values that correspond to the scores 0 and 1, for the kinds "probabilities" and "sigmoids".
        uncertain: whether the values may be probabilities instead of `kind`; only the values for some images can show
            this.
    """

    kind: ScoreKind
    low: float = 0.0
    high: float = 1.0
    uncertain: bool = False

    @property
    def is_scaled(self) -> bool:
        """Whether the scores in the output have a range other than 0 to 1."""
        return (self.low, self.high) != (0.0, 1.0)


_LOGITS = frozenset(
    (
        *("FULLY_CONNECTED", "CONV_2D", "BATCH_MATMUL"),
        *("RELU", "RELU6", "LEAKY_RELU", "PRELU", "ELU", "GELU", "HARD_SWISH", "TANH"),
    )
)
"""Operators whose results are not limited to the range from 0 to 1, and do not add up to 1."""
_SUMS = frozenset(("ADD", "SUB", "MUL", "MEAN", "AVERAGE_POOL_2D"))
"""Operators that usually compute logits, but may also compute the average of several networks' probabilities."""
_BOUNDED = {"TANH": (-1.0, 1.0), "RELU6": (0.0, 6.0), "RELU_0_TO_1": (0.0, 1.0), "RELU_N1_TO_1": (-1.0, 1.0)}
"""Output ranges of operators whose output, scaled to 0 to 1, replaces a sigmoid, as in Keras's `hard_sigmoid`."""
_CHOICES = ("ARG_MAX", "ARG_MIN")
"""Operators that return the index of the largest or smallest value."""
_TOLERANCE = 0.02
"""Maximum amount by which quantized probabilities may lie outside 0 to 1, or their sum may differ from 1."""
_WIDTHS = (1e-3, 1e6)
"""Smallest and largest accepted difference between the output values that stand for the scores 0 and 1."""
_TOTALS = (1.0, 100.0, 255.0)
"""Possible sums of the probabilities of all labels, for fractions, percentages and 8-bit integers."""


def known_format(file: ModelFile, metadata: Metadata, output: int) -> ScoreFormat | None:
    """Return the format of an output, based on the operators that compute it; None if they do not determine it.

    Models that poets_edge wrote always return probabilities.

    Raises:
        ModelError: the output does not consist of scores: it is the index of the best label, or the softmax of a single
            value.
    """
    if metadata.facts:
        return ScoreFormat("probabilities")
    # Loaded only for models of other programs: the import takes as long as an inference.
    from poets_edge.tflite.graph_evidence import Graph

    graph = Graph(file)
    source = graph.output_source(output)
    if source.operator in _CHOICES:
        raise ModelError(
            f"{file.path}: returns the number of the best label ({source.operator}), not the scores. Convert it without"
            " this operator."
        )
    if source.operator == "SOFTMAX":
        if graph.output_size(output) == 1:
            raise ModelError(
                f"{file.path}: its only score is the softmax of a single value, which is always 1. Train it with a"
                " sigmoid, or with an output for each label."
            )
        if np.isclose(source.factor + graph.output_size(output) * source.offset, 1):  # smoothed probabilities
            return ScoreFormat("probabilities")
        return _scaled("probabilities", source.factor, source.offset) if source.factor > 0 else None
    if source.operator == "LOG_SOFTMAX":
        return ScoreFormat("log probabilities" if (source.factor, source.offset) == (1, 0) else "logits")
    if source.operator == "LOGISTIC":
        return _scaled("sigmoids", source.factor, source.offset)
    if source.operator in _BOUNDED:
        limits = _range(*_BOUNDED[source.operator], source.factor, source.offset)
        return ScoreFormat("sigmoids" if np.allclose(limits, (0, 1), atol=1e-3) else "logits")
    if source.operator in _LOGITS | _SUMS:
        return ScoreFormat("logits", uncertain=source.operator in _SUMS)
    return None


def _scaled(kind: ScoreKind, factor: float, offset: float) -> ScoreFormat | None:
    """Return the format of scores that are multiplied by `factor` and then shifted by `offset`.

    The result is None if the range of the scores is unusually narrow or wide, or too narrow compared with the offset.
    """
    low, high = _range(0, 1, factor, offset)
    width = high - low
    return ScoreFormat(kind, low, high) if _WIDTHS[0] <= width <= _WIDTHS[1] else None


def _range(lowest: float, highest: float, factor: float, offset: float) -> tuple[float, float]:
    """Return the range of value * factor + offset for values between two limits, rounded to six significant digits."""
    ends = sorted((lowest * factor + offset, highest * factor + offset))
    return float(f"{ends[0]:.6g}"), float(f"{ends[1]:.6g}")


def format_of_values(values: _Values, known: ScoreFormat | None = None, tolerance: float = _TOLERANCE) -> ScoreFormat:
    """Infer the format of an output from its values for a few images, float32 [images, outputs].

    Values whose sum is 1, 100 or 255 for each image are probabilities, values outside the range from 0 to 1 are logits,
    and all others are sigmoids.

    Args:
        known: format of the output if the values are not probabilities; None if it is unknown.
        tolerance: maximum distance of probabilities from the range 0 to 1, and of their sum from 1.
    """
    if values.shape[1] > 1 and values.min() >= -tolerance:
        sums = values.sum(axis=1, dtype=np.float64)
        for total in _TOTALS:
            if (np.abs(sums - total) <= tolerance * total).all():
                return ScoreFormat("probabilities", high=total)
    if known is not None:
        return ScoreFormat(known.kind)
    outside = values.min() < -tolerance or values.max() > 1 + tolerance
    return ScoreFormat("logits" if outside else "sigmoids")


def to_scores(format: ScoreFormat, values: _Values, labels: int) -> _Values:
    """Convert the output for one photo to scores from 0 to 1.

    Args:
        values: float32 [outputs].
        labels: number of labels, equal to the number of outputs; or 2 for a single output, which is then the score of
            the second label.

    Returns:
        float32 [labels].
    """
    kind = format.kind
    if format.is_scaled:
        values = ((values.astype(np.float64) - format.low) / (format.high - format.low)).astype(np.float32)
    if values.size == 1 and kind in ("logits", "sigmoids"):
        score = 1 / (1 + np.exp(-np.clip(values, -80, 80))) if kind == "logits" else values
        return np.concatenate([1 - score, score]).astype(np.float32) if labels == 2 else score.astype(np.float32)
    if kind == "logits":
        powers = np.exp(values - values.max())
        return np.asarray(powers / powers.sum(), np.float32)
    if kind == "log probabilities":
        return np.exp(np.minimum(values, 0))
    return values


def remark(format: ScoreFormat, outputs: int, labels: Sequence[str]) -> str:
    """Return an explanation for users of how scores are computed from a model's output; "" if none is needed.

    It consists of one or more clauses, separated by semicolons.
    """
    found = []
    if format.is_scaled:
        found.append(f"its scores range from {format.low:g} to {format.high:g} and are scaled to 0 to 1")
    if format.kind == "logits":
        function = "softmax" if outputs > 1 else "sigmoid"
        found.append(f"it ends without a softmax: scores are the {function} of its output")
    elif format.kind == "log probabilities":
        found.append("its output holds logarithms of probabilities: scores are their exponentials")
    elif format.kind == "sigmoids" and outputs > 1:
        found.append("a multi-label model: each label has a score of its own (a sigmoid), and several labels may apply")
    if outputs == 1 and len(labels) == 2:
        found.append(f"its single output is the score of {labels[1]}, the second of two labels")
    return "; ".join(found)
