"""Opening a model by its name: a `.tflite` with the interpreter alone, a `.pb` with TensorFlow."""

from __future__ import annotations

from pathlib import Path

from poets_edge.edge.classifier import Classifier, Scorer


def is_frozen_graph(model: Path) -> bool:
    """True for `.pb` files, which need TensorFlow to run."""
    return model.suffix.lower() == ".pb"


def open_scorer(model: Path, labels: Path | None = None, threads: int = 1) -> Scorer:
    """A classifier for either kind of file.

    Args:
        labels: text file, one label a line; by default what the `.tflite` carries, or the file beside the `.pb`.
        threads: CPU threads for one inference of a `.tflite`.

    Raises:
        ModelError, RuntimeMissingError, UsageError: see `Classifier` and `FrozenGraphScorer`.
    """
    if is_frozen_graph(model):
        from poets_edge.graphs.scorer import FrozenGraphScorer

        return FrozenGraphScorer(model, labels)
    return Classifier(model, labels=labels, threads=threads)
