"""The command `benchmark`, which measures the latency and accuracy of models on this machine."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import poets_edge
from poets_edge.bench.accuracy import EvaluatedPhotos, ModelAccuracy, accuracy_of
from poets_edge.bench.machine import machine_facts
from poets_edge.bench.measurement import Measurement, measure_variants, measurements_of
from poets_edge.bench.rounds import RoundLog, TimingConfig, variants_of
from poets_edge.bench.samples import Distribution
from poets_edge.core.arguments import check_fields, check_threads
from poets_edge.core.files import distinct_names
from poets_edge.core.tabular import Tabular
from poets_edge.device.classifier import Classifier
from poets_edge.device.compare_models import evaluate_together
from poets_edge.device.evaluate import EvaluatedSplit, EvaluateResult
from poets_edge.device.predictions import Predictions
from poets_edge.errors import UsageError
from poets_edge.photos.address import Location
from poets_edge.photos.folder import Photo
from poets_edge.progress import Reporter, Silent

FORMAT = "poets_edge-benchmark-1"
"""Value of the key `format` in a result file for one device."""
DEVICES_FORMAT = "poets_edge-benchmarks-1"
"""Value of the key `format` in a result file for several devices; their results are in the list `devices`."""

_DEFAULT_THREADS = (1, 2, 4)
_STAGE_PHOTOS = 20


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """Options of `benchmark`.

    Attributes:
        models: paths of the `.tflite` files to measure.
        threads: numbers of CPU threads to measure with; by default 1, 2 and 4, up to the number of cores.
        timing: duration of the measurements and number of rounds.
        image_dir: folder of labeled photos, on which accuracy, decoding and resizing are measured.
        split: split on which the accuracy is measured; None for the default of `evaluate`.
        labels: file with labels for models that have none, or with translated labels; None to use the labels in each
            model.
        input_range: model inputs for the pixel values 0 and 255, such as "-1:1"; used for models that do not specify
            them.
        delegate: shared library of a delegate, such as "libedgetpu.so.1", that runs the models; None for the CPU.
    """

    models: tuple[Path, ...]
    threads: tuple[int, ...] = ()
    timing: TimingConfig = TimingConfig()
    image_dir: Location | None = None
    split: EvaluatedSplit | None = None
    labels: Path | None = None
    input_range: str | None = None
    delegate: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.models:
            raise UsageError("no model given. Name a .tflite file, or several.")
        for threads in self.threads:
            check_threads(threads)


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult(Tabular):
    """Result of `benchmark`.

    Attributes:
        machine: description of the device, such as its CPU and number of cores; see `machine_facts`.
        measurements: one measurement per model and number of threads, in the order of the models.
        accuracy: accuracy of each model; empty if no photos were given.
        photos: photos on which the accuracy was measured; None if no photos were given.
        host: SSH destination of the measured device; "" for this machine.
    """

    machine: dict[str, Any]
    measurements: tuple[Measurement, ...]
    accuracy: dict[Path, ModelAccuracy] = field(default_factory=dict)
    photos: EvaluatedPhotos | None = None
    warnings: tuple[str, ...] = ()
    host: str = ""

    @property
    def latency(self) -> Distribution:
        """Latency distribution of the first model, in ms, for the number of threads with the lowest median latency."""
        first = self.measurements[0].variant.model
        own = (measurement for measurement in self.measurements if measurement.variant.model == first)
        return min((measurement.latency for measurement in own), key=lambda latency: latency.median)

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per model and number of threads, with latency, size and accuracy, for `pandas.DataFrame`."""
        names = self.names
        return [
            {
                "model": names[measurement.variant.model],
                "threads": measurement.variant.threads,
                "median_ms": measurement.latency.median,
                "p90_ms": measurement.latency.p90,
                "size": measurement.model.size,
                "accuracy": self.accuracy[measurement.variant.model].evaluation.accuracy
                if measurement.variant.model in self.accuracy
                else None,
            }
            for measurement in self.measurements
        ]

    def __repr__(self) -> str:
        where = f" on {self.host}" if self.host else ""
        first = f"{self.measurements[0].model.name} {self.latency.median:.2f} ms"
        return f"<BenchmarkResult{where}: {len(self.names)} models, {first}>"

    @property
    def names(self) -> dict[Path, str]:
        """Distinct names of the models for tables, keyed by model file."""
        return {measurement.variant.model: measurement.model.name for measurement in self.measurements}

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-compatible values, which `read_benchmark` can read from a file."""
        results = []
        for measurement in self.measurements:
            entry = measurement.to_json()
            if measurement.variant.model in self.accuracy:
                entry["accuracy"] = self.accuracy[measurement.variant.model].to_json()
            results.append(entry)
        return {
            "format": FORMAT,
            "poets_edge": poets_edge.__version__,
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": self.machine,
            "warnings": list(self.warnings),
            **({"evaluated": self.photos.to_json()} if self.photos else {}),
            "results": results,
            **({"host": self.host} if self.host else {}),
        }


def results_json(results: Sequence[BenchmarkResult]) -> dict[str, Any]:
    """Return the results from one or several devices as JSON-compatible values that `compare` can read."""
    if len(results) == 1:
        return results[0].to_json()
    return {"format": DEVICES_FORMAT, "devices": [result.to_json() for result in results]}


def benchmark(options: BenchmarkOptions, reporter: Reporter | None = None) -> BenchmarkResult:
    """Measure the latency and accuracy of models on this machine.

    Raises:
        ModelError: a file is not an image classification model.
        DatasetError: no photo can be read, or a class is not among the labels of a model.
        RuntimeMissingError: no interpreter is installed.
    """
    reporter = reporter or Silent()
    check_models(options)
    machine = machine_facts()
    evaluations = evaluate_models(options, reporter)
    predictions = {model: result.predictions for model, result in evaluations.items()}
    variants = variants_of(options.models, thread_counts(options.threads, machine), options.delegate)
    log = RoundLog()
    disturbances = measure_variants(variants, options.timing, stage_photos(predictions), reporter, log=log)
    names = model_names(options.models)
    measurements = measurements_of(variants, [names[variant.model] for variant in variants], log, "", options.timing)
    result = BenchmarkResult(
        machine=machine,
        measurements=measurements,
        accuracy=accuracy_of(predictions, evaluations),
        photos=EvaluatedPhotos.of(options.image_dir, list(evaluations.values())),
        warnings=tuple(result_warnings(machine, measurements, disturbances)),
    )
    for warning in result.warnings:
        reporter.warn(warning)
    return result


def evaluate_models(options: BenchmarkOptions, reporter: Reporter) -> dict[Path, EvaluateResult]:
    """Evaluate each model on the photos in `image_dir`, on this machine.

    Returns:
        The result for each model file; an empty dictionary if `image_dir` is None.
    """
    if options.image_dir is None:
        return {}
    models = tuple(dict.fromkeys(options.models))
    classifiers = [
        Classifier(model, labels=options.labels, input_range=options.input_range, delegate=options.delegate)
        for model in models
    ]
    results = evaluate_together(classifiers, options.image_dir, split=options.split, reporter=reporter)
    return dict(zip(models, results, strict=True))


def check_models(options: BenchmarkOptions) -> None:
    """Raise ModelError if any of the files in `options.models` is not an image classification model."""
    for model in options.models:
        Classifier(model, labels=options.labels, delegate=options.delegate, unlabeled=True)


def model_names(models: Sequence[Path]) -> dict[Path, str]:
    """Return a distinct name for each model: its file name, preceded by parent folders if necessary."""
    return dict(zip(models, distinct_names(models), strict=True))


def thread_counts(wanted: Sequence[int], machine: Mapping[str, Any]) -> tuple[int, ...]:
    """Return `wanted` or, if it is empty, the default thread counts 1, 2 and 4, up to the number of cores."""
    return tuple(wanted) or tuple(n for n in _DEFAULT_THREADS if n <= machine["cores"]) or (1,)


def stage_photos(predictions: Mapping[Path, Predictions]) -> Sequence[Photo]:
    """Return the photos for timing decoding and resizing: the first 20 photos in `predictions`; () if it is empty."""
    return next(iter(predictions.values())).photos[:_STAGE_PHOTOS] if predictions else ()


def result_warnings(
    machine: Mapping[str, Any], measurements: Sequence[Measurement], disturbances: Sequence[str]
) -> list[str]:
    """Return warnings about conditions that make the result of a benchmark unreliable."""
    cores = machine["cores"]
    found = [
        f"{threads} threads on {cores} cores: they take turns, which is slower than {cores}."
        for threads in dict.fromkeys(measurement.variant.threads for measurement in measurements)
        if threads > cores
    ]
    if machine["emulated"]:
        found.append("this is an emulator: its times do not apply to any device.")
    return [*found, *disturbances, *(warning for measurement in measurements for warning in measurement.warnings())]
