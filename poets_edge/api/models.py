"""Entry points for opening, inspecting and evaluating `.tflite` files and frozen graphs.

The functions import other modules only when they are called, because the modules for frozen graphs are not installed on
devices.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from poets_edge.core.arguments import StrPath, convert
from poets_edge.errors import UsageError

if TYPE_CHECKING:
    from poets_edge.device.evaluate import EvaluatedSplit, EvaluateResult
    from poets_edge.device.inspection import Inspection
    from poets_edge.device.scorer import Scorer
    from poets_edge.photos.address import Location
    from poets_edge.photos.split import SplitConfig
    from poets_edge.progress import Reporter


def is_frozen_graph(model: Path) -> bool:
    """Return whether a model file is a frozen graph, by its content or, if that is inconclusive, by its suffix."""
    from poets_edge.tflite import formats

    return model.suffix.lower() != ".tflite" and formats.is_frozen_graph(model, formats.model_format(model))


def open_scorer(
    model: StrPath,
    labels: StrPath | None = None,
    threads: int = 1,
    *,
    input_range: str | None = None,
    delegate: str | None = None,
) -> Scorer:
    """Open a `.tflite` file or a frozen graph, and return a scorer, which labels photos with the model.

    Args:
        model: path of the file.
        labels: text file with one label per line; by default the labels inside the `.tflite` file, or the labels file
            next to the `.pb` file.
        threads: CPU threads for one inference, at least 1.
        input_range: input values for the pixel values 0 and 255, such as "-1:1"; required if the model does not specify
            them.
        delegate: path or name of a shared library with a TensorFlow Lite delegate, which runs operators of a `.tflite`
            file on other hardware.

    Raises:
        ModelError, RuntimeMissingError, UsageError: as raised by `Classifier` and `FrozenGraphScorer`.
    """
    path: Path = convert(model, Path, "model")
    labels_file: Path | None = convert(labels, Path | None, "labels")
    if is_frozen_graph(path):
        if delegate is not None:
            raise UsageError(f"{path}: a frozen graph, and `delegate` runs `.tflite` files.")
        from poets_edge.quantize.graph_scorer import FrozenGraphScorer

        return FrozenGraphScorer(path, labels_file, threads=threads, input_range=input_range)
    from poets_edge.device.classifier import Classifier

    return Classifier(path, labels=labels_file, threads=threads, input_range=input_range, delegate=delegate)


def inspect(model: StrPath) -> Inspection:
    """Return a description of a model: a `.tflite` file, or a `.pb` file if the `[train]` extra is installed.

    Raises:
        ModelError: the file is not a readable model.
        RuntimeMissingError: a required package is not installed.
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
    input_range: str | None = None,
    percentages: SplitConfig | None = None,
    recursive: bool = False,
    group_by: str = "",
    strangers: StrPath | None = None,
    reporter: Reporter | None = None,
) -> EvaluateResult:
    """Measure the accuracy of a `.tflite` file or a frozen graph on a folder of labeled photos.

    Args:
        labels: text file with one label per line; by default the labels of the model.
        input_range: input values for the pixel values 0 and 255, such as "-1:1"; required if the model does not specify
            them.
        strangers: folder of photos that belong to no class; `result.unknown` states how many of them the
            model classifies as unknown.

    See `poets_edge.device.evaluate.evaluate` for the other arguments.

    Raises:
        DatasetError: no photo of the split can be read, or a class is not among the labels of the model.
        ModelError, RuntimeMissingError: the model cannot be run.
    """
    from poets_edge.device.evaluate import evaluate as evaluate_scorer
    from poets_edge.photos.address import Location, as_photo_path

    return evaluate_scorer(
        open_scorer(model, labels, input_range=convert(input_range, str | None, "input_range")),
        convert(as_photo_path(image_dir), Location, "image_dir"),
        split=convert(split, Literal["training", "validation", "test", "unseen", "all"] | None, "split"),
        percentages=percentages,
        recursive=recursive,
        group_by=convert(group_by, str, "group_by"),
        strangers=convert(strangers, Path | None, "strangers"),
        reporter=reporter,
    )
