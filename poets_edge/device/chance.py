"""Detect accuracies not better than guessing, which suggest labels in the wrong order or a wrong input range."""

from __future__ import annotations

from poets_edge.device.metrics import Evaluation


def chance_warning(evaluation: Evaluation) -> str:
    """Return a warning if a model is not significantly better than always predicting the most frequent class.

    The result is "" if the model is significantly better, or if all photos belong to one class.
    """
    photos = evaluation.confusion.sum(axis=1)
    if not evaluation.count or (photos > 0).sum() < 2:
        return ""
    baseline = float(photos.max()) / evaluation.count
    if evaluation.interval[0] > baseline:
        return ""
    return (
        f"an accuracy of {100 * evaluation.accuracy:.1f} % is not significantly better than always answering"
        f" {evaluation.labels[int(photos.argmax())]} ({100 * baseline:.1f} %). Perhaps the labels are in another order"
        " than the outputs, or the input range is wrong: `labels`, `input_range`"
    )
