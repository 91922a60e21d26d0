"""`benchmark`: how fast, and how good, models are on this device."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import poets_edge
from poets_edge.bench.machine import machine_facts
from poets_edge.bench.measurement import Measurement, Settings, Variant, measure_variants, model_facts
from poets_edge.core.arguments import check_fields
from poets_edge.core.files import distinct_names
from poets_edge.core.parallel import cores
from poets_edge.device.classifier import Classifier
from poets_edge.device.evaluate import EvaluatedSplit, evaluate
from poets_edge.device.metrics import Evaluation
from poets_edge.device.predictions import Scored
from poets_edge.errors import UsageError
from poets_edge.photos.address import Location
from poets_edge.progress import Reporter, Silent

FORMAT = "poets_edge-benchmark-1"
DEVICES_FORMAT = "poets_edge-benchmarks-1"
"""Several of them, in a list called devices."""

_DEFAULT_THREADS = (1, 2, 4)
_STAGE_PHOTOS = 20


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """Options of `benchmark`.

    Attributes:
        models: `.tflite` files.
        threads: empty means 1, 2 and 4, as far as there are cores.
        image_dir: a folder of labelled photos, for accuracy, and for the times of decoding and resizing.
        split: the photos to score; see `evaluate`.
        labels: labels file, in place of the models' own.
    """

    models: tuple[Path, ...]
    threads: tuple[int, ...] = ()
    settings: Settings = Settings()
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


@dataclass(frozen=True)
class Judged:
    """A model's answers on the photos; `agreement` with the float file's, None where there is none."""

    evaluation: Evaluation
    agreement: float | None

    def to_json(self) -> dict[str, Any]:
        return {**self.evaluation.to_json(), "agreement_with_float": self.agreement}


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult:
    """The result of `benchmark`, in the order of the models given."""

    machine: dict[str, Any]
    measurements: tuple[Measurement, ...]
    judged: dict[Path, Judged] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    scored: dict[Path, Scored] = field(default_factory=dict)

    @property
    def names(self) -> dict[Path, str]:
        """A name for each model; no two are the same."""
        return {measurement.variant.model: measurement.model.name for measurement in self.measurements}

    def to_json(self) -> dict[str, Any]:
        """For JSON; `read_benchmark` of `compare` reads it back."""
        results = []
        for measurement in self.measurements:
            model = measurement.variant.model
            entry = measurement.to_json()
            if model in self.judged:
                entry["accuracy"] = self.judged[model].to_json()
            results.append(entry)
        return {
            "format": FORMAT,
            "poets_edge": poets_edge.__version__,
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": self.machine,
            "warnings": list(self.warnings),
            "results": results,
        }


def benchmark(
    options: BenchmarkOptions,
    reporter: Reporter | None = None,
    *,
    known: Mapping[tuple[Variant, int], dict[str, Any]] | None = None,
    keep: Callable[[Variant, int, dict[str, Any]], object] = lambda variant, number, entry: None,
) -> BenchmarkResult:
    """Measure models on this device.

    Args:
        known, keep: rounds measured before, and where to keep new ones: see `measure_variants`.

    Raises:
        ModelError: a file is no model, or not one that takes a picture.
        DatasetError: no photo can be read, or a class is not among a model's labels.
        RuntimeMissingError: no interpreter is installed.
    """
    reporter = reporter or Silent()
    for model in options.models:
        Classifier(model, labels=options.labels, unlabelled=True)
    threads = options.threads or tuple(n for n in _DEFAULT_THREADS if n <= cores()) or (1,)
    warnings = [
        f"{n} threads on {cores()} cores: they take turns, which is slower than {cores()}."
        for n in threads
        if n > cores()
    ]
    facts = machine_facts()
    if facts["emulated"]:
        warnings.append("this is an emulator: its times say nothing about any device.")
    scored = _score(options, reporter)
    variants = [Variant(model, n) for model in dict.fromkeys(options.models) for n in dict.fromkeys(threads)]
    photos = next(iter(scored.values())).photos[:_STAGE_PHOTOS] if scored else ()
    rounds, troubles = measure_variants(variants, options.settings, photos, reporter, known, keep)
    names = dict(zip(options.models, distinct_names(options.models), strict=True))
    measurements = tuple(
        Measurement(variant, model_facts(variant.model, names[variant.model]), tuple(rounds[variant]))
        for variant in variants
    )
    warnings += troubles + [trouble for measurement in measurements for trouble in measurement.troubles()]
    for warning in warnings:
        reporter.warn(warning)
    return BenchmarkResult(
        machine=facts,
        measurements=measurements,
        judged=_judge(options, scored),
        warnings=tuple(warnings),
        scored=scored,
    )


def _score(options: BenchmarkOptions, reporter: Reporter) -> dict[Path, Scored]:
    if options.image_dir is None:
        return {}
    return {
        model: evaluate(
            Classifier(model, labels=options.labels), options.image_dir, split=options.split, reporter=reporter
        ).predictions
        for model in dict.fromkeys(options.models)
    }


def _judge(options: BenchmarkOptions, scored: Mapping[Path, Scored]) -> dict[Path, Judged]:
    classifiers = {model: Classifier(model, labels=options.labels) for model in scored}
    judged = {}
    for model, scores in scored.items():
        twin = _float_twin(classifiers[model], classifiers)
        agreement = scores.agreement(scored[twin]) if twin else None
        judged[model] = Judged(scores.evaluation(classifiers[model].labels), agreement)
    return judged


def _float_twin(model: Classifier, others: Mapping[Path, Classifier]) -> Path | None:
    """Among the files given, the float32 one that came from the same graph."""

    def graph(classifier: Classifier) -> Any:
        return (classifier.metadata.facts.get("training") or {}).get("graph_sha256")

    for path, other in others.items():
        if other.metadata.facts.get("quantization") == "float32" and graph(other) and graph(other) == graph(model):
            return path
    return None
