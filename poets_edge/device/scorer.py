"""Interface of models that score photos, and their output for a photo."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from poets_edge.errors import UsageError, WrongTypeError
from poets_edge.photos.image import PhotoSource
from poets_edge.tflite.distance import LIMIT
from poets_edge.tflite.input_range import InputRange

Scores: TypeAlias = npt.NDArray[np.float32]
"""Scores of one photo, float32 [labels], each 0 to 1, in the order of the model's labels."""


@dataclass(frozen=True)
class Label:
    """A class name with its score, 0 to 1."""

    name: str
    score: float


class Labels(list[Label]):
    """Labels of one photo, highest score first.

    Attributes:
        distance: distance from the training photos; if it is above 1, the photo is unlike them. None if the model
            has no unknown-photo detector.
    """

    def __init__(self, labels: Iterable[Label] = (), distance: float | None = None) -> None:
        super().__init__(labels)
        self.distance = distance

    @property
    def unknown(self) -> bool:
        """Whether the photo is unlike the training photos; False if the model has no unknown-photo detector."""
        return is_unknown(self.distance)


@dataclass(frozen=True, eq=False)
class ModelOutput:
    """Output of a model for one photo.

    Attributes:
        scores: scores, float32 [labels].
        distance: distance of the photo from the training photos, scaled such that it is above 1 for a photo that is
            unlike them; None if the model has no unknown-photo detector.
    """

    scores: Scores
    distance: float | None = None

    @property
    def unknown(self) -> bool:
        """Whether the photo is unlike the training photos; False if the model has no unknown-photo detector."""
        return is_unknown(self.distance)


def is_unknown(distance: float | None) -> bool:
    """Return whether a photo is unlike the training photos: its distance from them is above 1.

    The result is False if `distance` is None, because the model has no unknown-photo detector.
    """
    return distance is not None and distance > LIMIT


class Scorer(Protocol):
    """Protocol of models that score photos: `.tflite` files, and frozen graphs if the `[train]` extra is installed."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """How the model was trained and exported, as stored with it; empty if poets_edge did not write the model."""

    @property
    def nodes(self) -> Mapping[str, str]:
        """Names of the input and output tensors, under the keys "input" and "output"."""

    @property
    def input_range(self) -> InputRange:
        """Normalization of the input, and how it was determined."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Messages to users about properties that were inferred from the graph, such as the normalization."""

    @property
    def has_detector(self) -> bool:
        """Whether the model detects photos unlike its training photos."""

    def predict(self, photo: PhotoSource) -> ModelOutput: ...

    def clone(self) -> Scorer:
        """Return a new scorer for this model, for use in a different thread."""


def best(labels: Sequence[str], scores: Scores, top: int | None = None) -> list[Label]:
    """Return the labels with their scores, highest score first; labels with equal scores keep their order.

    Args:
        top: number of labels to return; by default, all.

    Raises:
        UsageError: `top` is below 1.
        WrongTypeError: `top` is not a whole number.
    """
    if top is not None:
        if not hasattr(top, "__index__") or isinstance(top, bool):
            raise WrongTypeError(f"`top` must be a whole number, not {top!r}.")
        if top < 1:
            raise UsageError(f"`top` must be 1 or more, not {top}.")
    order = np.argsort(-scores, kind="stable")[:top]
    return [Label(labels[index], float(scores[index])) for index in order]


def check_threshold(threshold: float) -> None:
    """Check a threshold, the score below which a photo is labeled "unknown".

    Raises:
        UsageError: the threshold is not between 0 and 1.
        WrongTypeError: the threshold is not a number.
    """
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)):
        raise WrongTypeError(f"`threshold` must be a number, not {threshold!r}.")
    if math.isnan(threshold) or not 0 <= threshold <= 1:
        raise UsageError(f"`threshold` must be between 0 and 1, not {threshold:g}.")
