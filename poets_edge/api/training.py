"""Entry points for training and exporting: `train` and `export`."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from poets_edge.core.arguments import StrPath, convert, given
from poets_edge.core.paths import BOTTLENECKS, GRAPH, LABELS, MODELS, RUNS
from poets_edge.exporting import export as exporting
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.results import ExportResult
from poets_edge.nets.architecture import Architecture
from poets_edge.photos.address import Location
from poets_edge.progress import Reporter
from poets_edge.quantize.convert import Quantization
from poets_edge.quantize.write_full_int8 import InputType
from poets_edge.training import train as training
from poets_edge.training.options import TrainOptions
from poets_edge.training.results import TrainResult


class Run(TrainResult):
    """Result of `train`: the trained graph, its accuracies, and a method that exports the graph."""

    def export(
        self,
        *quantizations: Quantization,
        output_dir: StrPath | None = None,
        image_dir: StrPath | Location | None = None,
        float_io: bool | None = None,
        input_type: InputType | None = None,
        max_accuracy_drop: float | None = None,
        reporter: Reporter | None = None,
    ) -> ExportResult:
        """Export the trained graph; see `poets_edge.export` for the arguments."""
        return export(
            self.graph,
            *quantizations,
            output_dir=output_dir,
            image_dir=image_dir,
            float_io=float_io,
            input_type=input_type,
            max_accuracy_drop=max_accuracy_drop,
            reporter=reporter,
        )


def train(
    photos: StrPath | Location | TrainOptions,
    *,
    architecture: str | Architecture | None = None,
    weights: StrPath | None = None,
    output_dir: StrPath | None = None,
    steps: int | None = None,
    fine_tune: int | None = None,
    exclude: StrPath | None = None,
    background: StrPath | None = None,
    strangers: StrPath | None = None,
    unknown_rate: float | None = None,
    seed: int | None = None,
    reporter: Reporter | None = None,
) -> Run:
    """Retrain the last layer of a network on a folder of photos.

    Args:
        photos: a folder with one folder of photos per class, an archive of such a folder, or the address
            (`https://` or `s3://`) of either; or a `TrainOptions`, whose fields the other arguments override.
        architecture: name of the network; "mobilenet_0.50_224" by default.
        weights: "imagenet" (the default), "embedded", or a weights file.
        output_dir: folder for the graph, a report and a JSON description of the training run, the cached features, and
            the list of all runs; by default "tf_files".
        steps: number of training steps; 4,000 by default.
        fine_tune: number of final blocks of the network that are trained together with the head; 0 by default.
        exclude: path of a file that lists photos to exclude, as saved from the `audit` report.
        background: folder of photos that belong to no class, from which the model learns to recognize unknown photos.
        strangers: folder of photos that belong to no class and are not used for training; the result states how many of
            them the model classifies as unknown.
        unknown_rate: percentage of the photos in the known classes that may be classified as unknown, 5 by default; if
            it is 0, no unknown-photo detector is fitted.
        seed: seed of the random numbers; 0 by default.
        reporter: receives progress and warnings, for example `poets_edge.Progress()`.

    Returns:
        The result. For example, `run.test.accuracy` is the accuracy on the test photos, and `run.export("int8")`
        exports the graph.

    Raises:
        DatasetError: the photos cannot be read or are not sufficient for training.
        UsageError: an argument is out of range.
        WeightsError: the weights are missing or damaged.
        RuntimeMissingError: a required package is not installed.
        OutputError: an output cannot be written.
    """
    changes: dict[str, Any] = given(
        architecture=architecture,
        exclude=exclude,
        background=background,
        strangers=strangers,
        unknown_rate=unknown_rate,
    )
    if weights is not None:
        changes["weights"] = str(convert(weights, Path, "weights")) if not isinstance(weights, str) else weights
    if output_dir is not None:
        changes |= _outputs(convert(output_dir, Path, "output_dir"))
    if isinstance(photos, TrainOptions):
        options = replace(photos, **changes)
    else:
        options = TrainOptions(**{"image_dir": photos, **changes})
    head = given(steps=steps, seed=seed)
    if head:
        options = replace(options, head=replace(options.head, **head))
    if fine_tune is not None:
        options = replace(options, fine_tuning=replace(options.fine_tuning, blocks=fine_tune))
    result = training.train(options, reporter)
    return Run(**{field.name: getattr(result, field.name) for field in fields(TrainResult)})


def export(
    graph: StrPath | TrainResult | ExportOptions = GRAPH,
    *quantizations: Quantization,
    output_dir: StrPath | None = None,
    image_dir: StrPath | Location | None = None,
    labels: StrPath | None = None,
    float_io: bool | None = None,
    input_type: InputType | None = None,
    max_accuracy_drop: float | None = None,
    reporter: Reporter | None = None,
) -> ExportResult:
    """Export a frozen graph as `.tflite` files, each evaluated on the test photos before it is written.

    Args:
        graph: path of a frozen graph from `train` or the original codelab, or a result of `train`; or an
            `ExportOptions`, whose fields the other arguments override.
        quantizations: "float32", "float16", "dynamic", "int8" or "full-int8"; by default "int8" if the name of the
            architecture ends in `_quantized`, otherwise "float32".
        output_dir: folder for the files; by default the folder of the graph.
        image_dir: folder of the photos; required if they were moved, or if the JSON file that `train` writes
            next to the graph is missing.
        labels: labels file; by default the labels in the graph or, if there are none, the labels file next to it.
        float_io: whether "int8" files have float32 inputs and outputs.
        input_type: type of the input and the output of "full-int8" files: "uint8" or "int8".
        max_accuracy_drop: maximum loss of accuracy of a quantized file, in percentage points.
        reporter: receives progress and warnings.

    Returns:
        A mapping from quantizations to exported files, for example `files["int8"].path`.

    Raises:
        ModelError: the graph, its labels or the JSON file next to it are damaged or inconsistent.
        AccuracyDropError: a quantized file loses more accuracy than `max_accuracy_drop`; no file is written.
        DatasetError: required photos are missing.
        UsageError: an argument is out of range.
        RuntimeMissingError: a required package is not installed.
        OutputError: a file cannot be written.
    """
    changes = given(
        output_dir=output_dir,
        image_dir=image_dir,
        labels=labels,
        float_io=float_io,
        input_type=input_type,
        max_accuracy_drop=max_accuracy_drop,
        quantizations=quantizations or None,
    )
    if isinstance(graph, ExportOptions):
        options = replace(graph, **changes)
    else:
        options = ExportOptions(**{"graph": graph.graph if isinstance(graph, TrainResult) else graph, **changes})
    return exporting.export(options, reporter)


def _outputs(folder: Path) -> dict[str, Any]:
    """Return a dictionary of `TrainOptions` fields that make `train` write all outputs to `folder`."""
    return {
        "output_graph": folder / GRAPH.name,
        "output_labels": folder / LABELS.name,
        "bottleneck_dir": folder / BOTTLENECKS.name,
        "model_dir": folder / MODELS.name,
        "runs_dir": folder / RUNS.name,
        "summaries_dir": folder / "training_summaries",
        "intermediate_output_graphs_dir": folder / "intermediate_graphs",
    }
