"""`benchmark`: latency and accuracy of models on this device."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import poets_edge
from poets_edge.bench.machine import machine_facts
from poets_edge.bench.measurement import Measurement, measure_variants, measurements_of
from poets_edge.bench.rounds import RoundLog, TimingConfig, variants_of
from poets_edge.bench.samples import Distribution
from poets_edge.core.arguments import check_fields
from poets_edge.core.files import distinct_names
from poets_edge.core.tabular import Tabular
from poets_edge.device.classifier import Classifier
from poets_edge.device.evaluate import EvaluatedSplit, evaluate
from poets_edge.device.metrics import Evaluation
from poets_edge.device.predictions import Predictions
from poets_edge.errors import UsageError
from poets_edge.photos.address import Location
from poets_edge.photos.folder import Photo
from poets_edge.progress import Reporter, Silent

FORMAT = "poets_edge-benchmark-1"
"""Format of one device's results."""
DEVICES_FORMAT = "poets_edge-benchmarks-1"
"""Format of several devices' results, in a list called `devices`."""

_DEFAULT_THREADS = (1, 2, 4)
_STAGE_PHOTOS = 20


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """Options of `benchmark`.

    Attributes:
        models: `.tflite` files.
        threads: CPU threads of an inference; by default 1, 2 and 4, up to the number of cores.
        timing: how long to measure.
        image_dir: a folder of labelled photos, for accuracy, and for the times of decoding and resizing.
        split: the photos to score; see `evaluate`.
        labels: labels file, in place of the models' own.
    """

    models: tuple[Path, ...]
    threads: tuple[int, ...] = ()
    timing: TimingConfig = TimingConfig()
    image_dir: Location | None = None
    split: EvaluatedSplit | None = None
    labels: Path | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.models:
            raise UsageError("no model given. Name a .tflite file, or several.")
        for threads in self.threads:
            if threads < 1:
                raise UsageError(f"`threads` must be 1 or more, not {threads}.")


@dataclass(frozen=True, kw_only=True)
class ScoreCheck:
    """Scores of a model on a device compared with those on this machine, for the same photos.

    Attributes:
        photos: number of photos that both could read.
        agreement: share of them with the same label, 0 to 1.
        difference: largest difference of any score.
    """

    photos: int
    agreement: float
    difference: float


@dataclass(frozen=True, kw_only=True)
class ModelAccuracy:
    """Accuracy of a model.

    Attributes:
        agreement: share of photos with the same label as the float32 file of the same graph; None without that file.
        check: comparison with this machine's scores, if another device was measured.
    """

    evaluation: Evaluation
    agreement: float | None
    check: ScoreCheck | None = None

    def to_json(self) -> dict[str, Any]:
        checked = {"checked": asdict(self.check)} if self.check else {}
        return {**self.evaluation.to_json(), "agreement_with_float": self.agreement, **checked}


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult(Tabular):
    """The result of `benchmark`, in the order of the models given.

    Attributes:
        machine: facts about the device, as `machine_facts` returns them.
        accuracy: by model; empty without photos.
        host: the device that was measured; "" for this machine.
    """

    machine: dict[str, Any]
    measurements: tuple[Measurement, ...]
    accuracy: dict[Path, ModelAccuracy] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    host: str = ""

    @property
    def latency(self) -> Distribution:
        """Latency of the first model, in milliseconds, at the number of threads at which it is fastest."""
        first = self.measurements[0].variant.model
        own = (measurement for measurement in self.measurements if measurement.variant.model == first)
        return min((measurement.latency for measurement in own), key=lambda latency: latency.median)

    def rows(self) -> list[dict[str, Any]]:
        """Return latency, size and accuracy of each model and number of threads, for `pandas.DataFrame`."""
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
        """A distinct name for each model."""
        return {measurement.variant.model: measurement.model.name for measurement in self.measurements}

    def to_json(self) -> dict[str, Any]:
        """Return what `read_benchmark` reads."""
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
            "results": results,
            **({"host": self.host} if self.host else {}),
        }


def results_json(results: Sequence[BenchmarkResult]) -> dict[str, Any]:
    """Return the JSON of one device or of several, as `benchmark` writes it and `compare` reads it."""
    if len(results) == 1:
        return results[0].to_json()
    return {"format": DEVICES_FORMAT, "devices": [result.to_json() for result in results]}


def benchmark(options: BenchmarkOptions, reporter: Reporter | None = None) -> BenchmarkResult:
    """Measure models on this device.

    Raises:
        ModelError: a file is not a model that takes a picture.
        DatasetError: no photo can be read, or a class is not among a model's labels.
        RuntimeMissingError: no interpreter is installed.
    """
    reporter = reporter or Silent()
    check_models(options)
    machine = machine_facts()
    predictions = predict(options, reporter)
    variants = variants_of(options.models, thread_counts(options.threads, machine))
    log = RoundLog()
    disturbances = measure_variants(variants, options.timing, stage_photos(predictions), reporter, log=log)
    names = model_names(options.models)
    measurements = measurements_of(variants, [names[variant.model] for variant in variants], log, "", options.timing)
    result = BenchmarkResult(
        machine=machine,
        measurements=measurements,
        accuracy=accuracy_of(options, predictions),
        warnings=tuple(result_warnings(machine, measurements, disturbances)),
    )
    for warning in result.warnings:
        reporter.warn(warning)
    return result


def check_models(options: BenchmarkOptions) -> None:
    """Raise ModelError if a model cannot be measured."""
    for model in options.models:
        Classifier(model, labels=options.labels, unlabelled=True)


def model_names(models: Sequence[Path]) -> dict[Path, str]:
    """Return a distinct name for each model."""
    return dict(zip(models, distinct_names(models), strict=True))


def thread_counts(wanted: Sequence[int], machine: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the numbers of threads to measure on a machine: those wanted, else 1, 2 and 4 up to its cores."""
    return tuple(wanted) or tuple(n for n in _DEFAULT_THREADS if n <= machine["cores"]) or (1,)


def predict(options: BenchmarkOptions, reporter: Reporter) -> dict[Path, Predictions]:
    """Return each model's scores of the photos; empty without photos."""
    if options.image_dir is None:
        return {}
    return {
        model: evaluate(
            Classifier(model, labels=options.labels), options.image_dir, split=options.split, reporter=reporter
        ).predictions
        for model in dict.fromkeys(options.models)
    }


def stage_photos(predictions: Mapping[Path, Predictions]) -> Sequence[Photo]:
    """Return the photos with which decoding and resizing are timed."""
    return next(iter(predictions.values())).photos[:_STAGE_PHOTOS] if predictions else ()


def accuracy_of(options: BenchmarkOptions, predictions: Mapping[Path, Predictions]) -> dict[Path, ModelAccuracy]:
    """Return the accuracy of each model from its scores."""
    classifiers = {model: Classifier(model, labels=options.labels) for model in predictions}
    found = {}
    for model, scores in predictions.items():
        twin = _float_twin(classifiers[model], classifiers)
        agreement = scores.agreement(predictions[twin]) if twin else None
        found[model] = ModelAccuracy(evaluation=scores.evaluation(classifiers[model].labels), agreement=agreement)
    return found


def result_warnings(
    machine: Mapping[str, Any], measurements: Sequence[Measurement], disturbances: Sequence[str]
) -> list[str]:
    """Return what makes the result of a benchmark doubtful."""
    cores = machine["cores"]
    found = [
        f"{threads} threads on {cores} cores: they take turns, which is slower than {cores}."
        for threads in dict.fromkeys(measurement.variant.threads for measurement in measurements)
        if threads > cores
    ]
    if machine["emulated"]:
        found.append("this is an emulator: its times say nothing about any device.")
    return [*found, *disturbances, *(warning for measurement in measurements for warning in measurement.warnings())]


def _float_twin(model: Classifier, others: Mapping[Path, Classifier]) -> Path | None:
    """Return the float32 file of the same graph among the files given."""

    def graph(classifier: Classifier) -> Any:
        return (classifier.metadata.facts.get("training") or {}).get("graph_sha256")

    for path, other in others.items():
        if other.metadata.facts.get("quantization") == "float32" and graph(other) and graph(other) == graph(model):
            return path
    return None
