"""Opening, inspecting and evaluating a model of either kind: a `.tflite` file or a frozen graph.

Imports are made when a function is called: labelling with a `.tflite` never loads what reads frozen graphs, which a
device does not have.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from poets_edge.core.arguments import StrPath, convert

if TYPE_CHECKING:
    from poets_edge.device.classifier import Scorer
    from poets_edge.device.evaluate import EvaluatedSplit, EvaluateResult
    from poets_edge.device.inspection import Inspection
    from poets_edge.photos.address import Location
    from poets_edge.photos.split import SplitConfig
    from poets_edge.progress import Reporter


def is_frozen_graph(model: Path) -> bool:
    """Return whether a model file is a frozen graph (`.pb`)."""
    return model.suffix.lower() == ".pb"


def open_scorer(model: StrPath, labels: StrPath | None = None, threads: int = 1) -> Scorer:
    """Open a `.tflite` or a frozen graph for labelling.

    Args:
        labels: a text file with one label a line; by default the labels inside the `.tflite`, or the file next to the
            `.pb`.
        threads: CPU threads for one inference, at least 1.

    Raises:
        ModelError, RuntimeMissingError, UsageError: as raised by `Classifier` and `FrozenGraphScorer`.
    """
    path: Path = convert(model, Path, "model")
    labels_file: Path | None = convert(labels, Path | None, "labels")
    if is_frozen_graph(path):
        from poets_edge.quantize.graph_scorer import FrozenGraphScorer

        return FrozenGraphScorer(path, labels_file, threads=threads)
    from poets_edge.device.classifier import Classifier

    return Classifier(path, labels=labels_file, threads=threads)


def inspect(model: StrPath) -> Inspection:
    """Describe a `.tflite`, or a `.pb` where the `[train]` extra is installed.

    Raises:
        ModelError: the file cannot be read as a model.
        RuntimeMissingError: a package that reads it is not installed.
    """
    path: Path = convert(model, Path, "model")
    if is_frozen_graph(path):
        from poets_edge.nets.inspection import inspect_graph

        return inspect_graph(path)
    from poets_edge.device.inspection import inspect_tflite

    return inspect_tflite(path)


def evaluate(
    model: StrPath,
    image_dir: StrPath | Location,
    *,
    split: EvaluatedSplit | None = None,
    labels: StrPath | None = None,
    percentages: SplitConfig | None = None,
    recursive: bool = False,
    reporter: Reporter | None = None,
) -> EvaluateResult:
    """Measure the accuracy of a `.tflite` or a frozen graph on a folder of labelled photos.

    The arguments are those of `poets_edge.device.evaluate.evaluate`; `labels` is a text file with one label a line.

    Raises:
        DatasetError: no photo of the split can be read, or a class is not among the model's labels.
        ModelError, RuntimeMissingError: the model cannot be run.
    """
    from poets_edge.device.evaluate import evaluate as evaluate_scorer
    from poets_edge.photos.address import Location, as_photo_path

    return evaluate_scorer(
        open_scorer(model, labels),
        convert(as_photo_path(image_dir), Location, "image_dir"),
        split=convert(split, Literal["training", "validation", "test", "all"] | None, "split"),
        percentages=percentages,
        recursive=recursive,
        reporter=reporter,
    )
