"""Opening a model by its name: a `.tflite` with the interpreter alone, a `.pb` with TensorFlow."""

from __future__ import annotations

import re
from pathlib import Path

from poets_edge.edge.classifier import Classifier, Scorer

_QUANTIZATIONS = ("_dynamic", "_float16", "_int8")
_GRAPH_CHECKSUM = re.compile(rb'"graph_sha256": "([0-9a-f]{64})"')
_RECORD_HEAD_BYTES = 4096


def stale_line(classifier: Classifier) -> str | None:
    """A warning where a model was exported from another graph than the one that lies beside it now.

    The record of a training says near its start which graph it describes, so only that much of it is read.
    """
    training = classifier.metadata.facts.get("training") or {}
    stem = classifier.path.stem
    for end in _QUANTIZATIONS:
        stem = stem.removesuffix(end)
    try:
        with classifier.path.with_name(f"{stem}.json").open("rb") as record:
            found = _GRAPH_CHECKSUM.search(record.read(_RECORD_HEAD_BYTES))
    except OSError:
        return None
    if found is None or training.get("graph_sha256") in (None, found[1].decode()):
        return None
    return (
        f"{classifier.path} comes from an earlier training than {classifier.path.with_name(f'{stem}.pb')}, and may know"
        " other classes. Export that graph again."
    )


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
