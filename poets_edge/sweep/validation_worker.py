"""Worker in a helper process that cross-validates one architecture at a time from cached vectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poets_edge.photos.folds import NO_FOLD
from poets_edge.photos.table import HashedPhotos, Rows
from poets_edge.quantize.int8_features import LogitQuantization, round_weights
from poets_edge.sweep.architecture_result import EvaluationResult, Evaluations, record_mistakes
from poets_edge.sweep.int8_backbone import int8_vector_key
from poets_edge.training.bottleneck_cache import open_cache
from poets_edge.training.bottlenecks import vector_key
from poets_edge.training.cross_validation import CrossValidation, FoldAssignment, evaluate_folds, fit_folds
from poets_edge.training.head import Head, HeadOptions, Matrix, softmax
from poets_edge.training.vectors import Vectors


@dataclass(frozen=True, kw_only=True)
class ValidationTask:
    """Request to cross-validate an architecture.

    Attributes:
        float_cache: cache file of the float32 bottlenecks.
        int8_cache: cache file of the int8 features.
        int8_backbone_sha256: SHA-256 of the int8 model without its last layer, hexadecimal.
    """

    float_cache: Path
    int8_cache: Path
    int8_backbone_sha256: str


@dataclass(frozen=True, kw_only=True)
class ValidationWorker:
    """Callable that executes the cross-validation tasks for one grid.

    Attributes:
        photos: readable photos of the grid.
        groups: group number of each photo, int64 [photos].
        head: options for fitting the heads.
        folds: requested number of folds.
    """

    photos: HashedPhotos
    groups: Rows
    head: HeadOptions
    folds: int

    def __call__(self, task: ValidationTask) -> Evaluations:
        """Cross-validate the float32 and int8 models of an architecture on all photos whose vectors are cached.

        Raises:
            DatasetError: no class has photos in two or more groups, so none can be evaluated.
        """
        photos, groups, vectors, features = self._read_vectors(task)
        labels = photos.photos.present
        folds, assignments = fit_folds(photos, vectors, labels, self.head, self.folds, groups)
        float32 = evaluate_folds(photos, vectors, labels, folds, assignments, groups)
        int8 = evaluate_folds(
            photos, features, labels, folds, [_quantized(assignment, features) for assignment in assignments]
        )
        same = float32.scores.argmax(axis=2) == int8.scores.argmax(axis=2)
        return Evaluations(
            photos=tuple(float32.photos.names),
            groups=tuple(groups[folds.assignment != NO_FOLD].tolist()),
            folds=folds.count,
            requested_folds=self.folds,
            warnings=tuple(folds.warnings()),
            models={"float32": _evaluation(float32, 1.0), "int8": _evaluation(int8, float(same.mean()))},
        )

    def _read_vectors(self, task: ValidationTask) -> tuple[HashedPhotos, Rows, Matrix, Matrix]:
        """Return the photos that are in both caches, with their group numbers, bottlenecks and int8 features.

        Bottlenecks and features are float32 [photos, bottleneck_size].
        """
        digests = [digest.tobytes() for digest in self.photos.digests]
        with open_cache(task.float_cache) as (cache, _):
            floats = cache.get_many([vector_key(digest) for digest in digests])
        with open_cache(task.int8_cache) as (cache, _):
            ints = cache.get_many([int8_vector_key(digest, task.int8_backbone_sha256) for digest in digests])
        known = [
            (row, vector, features)
            for row, (vector, features) in enumerate(zip(floats, ints, strict=True))
            if vector is not None and features is not None
        ]
        rows = np.array([row for row, _, _ in known], np.int64)
        vectors, features = np.stack([one for _, one, _ in known]), np.stack([other for _, _, other in known])
        return self.photos.take(rows), self.groups[rows], vectors, features


@dataclass(frozen=True)
class Int8Head(Head):
    """Head of an int8 model, with weights and logits rounded to 8 bits.

    Attributes:
        steps: scale and zero point of the logits in the int8 model.
    """

    steps: LogitQuantization

    def scores(self, bottlenecks: Vectors) -> Matrix:
        """Return the class probabilities, float32 [photos, classes].

        Args:
            bottlenecks: features from the int8 model without its last layer, float32 [photos, bottleneck_size].
        """
        return softmax(self.steps.round(self.logits(bottlenecks)))


def _quantized(assignment: FoldAssignment, features: Matrix) -> FoldAssignment:
    """Return a copy of a fold assignment whose heads, one per fold, are quantized to 8 bits.

    Args:
        assignment: assignment of photos to folds, with a float32 head for each fold.
        features: features from the int8 backbone, float32 [photos, bottleneck_size]; the range of their logits is the
            range of the quantization.
    """
    heads = []
    for head in assignment.heads:
        weights = round_weights(head.weights)
        logits = np.asarray(features @ weights + head.biases, np.float32)
        heads.append(Int8Head(weights, head.biases, LogitQuantization.covering(logits)))
    return FoldAssignment(assignment.fold, tuple(heads))


def _evaluation(result: CrossValidation, agreement: float) -> EvaluationResult:
    return EvaluationResult(
        correct=tuple(result.right.tolist()),
        repeats=len(result.scores),
        confusion=tuple(map(tuple, result.scored.evaluation(result.labels).confusion.tolist())),
        mistakes=record_mistakes(result.scored.misclassified(result.labels)),
        agreement=agreement,
    )
